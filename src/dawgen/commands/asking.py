"""Questions on a terminal; nobody is asked in a pipe."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer

from dawgen.errors import UserError
from dawgen.terminal.harmless import on_terminal

if TYPE_CHECKING:
    from dawgen.tasks import NewCard

_NONE = "none"
_MOST_WORDS = 6
"""Labels whose words are asked for one by one."""


def on_a_terminal() -> bool:
    """Whether there is somebody to ask."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def ask_card(source: str, *, label: str | None, text: str | None, text2: str | None) -> NewCard:
    """A new card whose columns and label words the user confirms or changes.

    Args:
        source: the data file.
        label, text, text2: columns that are named already, which are not asked for.

    Raises:
        UserError: as :func:`dawgen.tasks.new_card`.
    """
    from dawgen.tasks import new_card
    from dawgen.tasks.load import read_table

    columns = read_table(source).columns
    typer.echo(f"Columns: {', '.join(on_terminal(column) for column in columns)}")
    guess = _guess(source, label, text, text2)
    usual = guess.card.columns if guess else {}
    if label is None:
        label = _column("Column of the labels", columns, usual.get("label"))
    if text is None:
        text = _column("Column of the texts", columns, usual.get("text1"))
        second = _column("Column of a second text", [*columns, _NONE], usual.get("text2", _NONE))
        text2 = None if second == _NONE else second
    card = new_card(source, label=label, text=text, text2=text2)
    return _ask_words(source, card, label, text, text2)


def _guess(source: str, label: str | None, text: str | None, text2: str | None) -> NewCard | None:
    from dawgen.tasks import new_card

    try:
        return new_card(source, label=label, text=text, text2=text2)
    except UserError as error:
        typer.echo(on_terminal(str(error)))
        return None


def _column(question: str, columns: list[str], default: str | None) -> str:
    while True:
        answer: str = typer.prompt(question, default=default)
        if answer in columns:
            return answer
        typer.echo(f"There is no column {answer!r}.")


def _ask_words(source: str, card: NewCard, label: str, text: str, text2: str | None) -> NewCard:
    """The card with the words that the user names instead of the guessed ones."""
    from dawgen.tasks import new_card

    guessed = card.card.label_words
    if len(guessed) > _MOST_WORDS:
        return card
    typer.echo("The word that a person would write after the template, for each label:")
    words = {
        name: typer.prompt(f"  {name}", default=word).strip() for name, word in guessed.items()
    }
    if words == guessed:
        return card
    return new_card(source, label=label, text=text, text2=text2, label_words=words)
