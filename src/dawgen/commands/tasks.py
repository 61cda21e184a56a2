"""`dawgen tasks`: the built-in cards, and cards for new data."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from dawgen.commands import manners
from dawgen.commands.options import Task
from dawgen.errors import UserError
from dawgen.terminal.harmless import in_shell, on_terminal, visible

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
) -> None:
    """Write a task card for a data file, and print the guesses in it."""
    from dawgen.storage.atomic import write_text
    from dawgen.storage.locking import locked_target
    from dawgen.tasks import new_card

    card = new_card(data, label=label, text=text, text2=text2)
    target = out or Path(f"{Path(data).stem}.yaml")
    with locked_target(target):
        if os.path.lexists(target):
            raise UserError(f"{target} exists already; name another file with --out.")
        write_text(target, card.text)
    for guess in card.guesses:
        typer.echo(on_terminal(guess))
    named = f"{in_shell(target)} --data {in_shell(data)}"
    typer.echo(f"Card: {target}. Check it, then: dawgen validate {named}")


@tasks_app.command("show")
def show_card(task: Task) -> None:
    """Print a task card: a built-in one, or a file."""
    from dawgen.tasks import load_card
    from dawgen.tasks.card import card_text

    load_card(task)
    typer.echo(visible(card_text(task)), nl=False)
