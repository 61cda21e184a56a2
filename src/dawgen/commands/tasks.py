"""`dawgen tasks`: the built-in cards, and cards for new data."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dawgen.commands import manners
from dawgen.commands.asking import ask_card, on_a_terminal
from dawgen.commands.options import Task, Yes
from dawgen.errors import UserError
from dawgen.terminal.harmless import in_shell, on_terminal, visible

if TYPE_CHECKING:
    from dawgen.tasks import TaskCard

tasks_app = manners.app(
    help="List the built-in tasks, show one, or write a task card for your own data."
)


@tasks_app.callback(invoke_without_command=True)
def list_tasks(context: typer.Context) -> None:
    """List the built-in tasks."""
    if context.invoked_subcommand:
        return
    from dawgen.tasks import list_cards

    for card in list_cards():
        shape = "pair" if card.is_pair else "text"
        typer.echo(f"{card.name:6} {shape}  {len(card.labels)} labels  {card.description}")


@tasks_app.command("new")
def new_task(
    data: Annotated[str, typer.Argument(help="Data file with a header row.")],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Path of the card. Default: NAME.yaml.")
    ] = None,
    text: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Column of the texts. Default: guessed.")
    ] = None,
    text2: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Column of the second texts of pairs.")
    ] = None,
    label: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Column of the labels. Default: guessed.")
    ] = None,
    yes: Yes = False,
) -> None:
    """Write a task card for a data file, and print the guesses in it; asks on a terminal."""
    from dawgen.storage.atomic import write_text
    from dawgen.storage.locking import locked_target
    from dawgen.tasks import new_card

    target = out or Path(f"{Path(data).stem}.yaml")
    if os.path.lexists(target):
        raise UserError(f"{target} exists already; name another file with --out.")
    if not yes and on_a_terminal():
        card = ask_card(data, label=label, text=text, text2=text2)
    else:
        card = new_card(data, label=label, text=text, text2=text2)
    with locked_target(target):
        if os.path.lexists(target):
            raise UserError(f"{target} exists already; name another file with --out.")
        write_text(target, card.text)
    for guess in card.guesses:
        typer.echo(on_terminal(guess))
    _try_words(card.card, data)
    named = f"{in_shell(target)} --data {in_shell(data)}"
    typer.echo(f"Card: {target}. Check it, then: dawgen validate {named}")


def _try_words(card: TaskCard, data: str) -> None:
    """Say what the default model makes of the label words; the card is written in any case."""
    from dawgen.backbone import load_backbone
    from dawgen.commands.label_words import word_lines
    from dawgen.settings import Settings
    from dawgen.tasks import load_rows
    from dawgen.terminal.progress import hushed, warn

    with hushed():  # what is skipped is among the guesses
        rows = load_rows(card, data, skip_empty=True)
        backbone = load_backbone(Settings().backbone)
    try:
        lines, warning = word_lines(card, backbone, rows)
    except UserError as error:
        warn(str(error))
        return
    for line in lines:
        typer.echo(on_terminal(line))
    if warning:
        warn(warning)


@tasks_app.command("show")
def show_card(task: Task) -> None:
    """Print a task card: a built-in one, or a file."""
    from dawgen.tasks import load_card
    from dawgen.tasks.card import card_text

    load_card(task)
    typer.echo(visible(card_text(task)), nl=False)
