"""`dawgen prompt-for`: the request for rows that one pastes into any chat."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from dawgen.commands.options import Task
from dawgen.errors import UserError
from dawgen.terminal.harmless import visible


def prompt_for(
    task: Task,
    train: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Labelled rows to show some of, - for standard input. Default: none, or ours.",
        ),
    ] = None,
    rows_per_label: Annotated[int, typer.Option(min=1, help="Rows per label to ask for.")] = 20,
    examples: Annotated[int, typer.Option(min=0, help="Examples per label to show.")] = 3,
    seed: Annotated[int, typer.Option(help="Seed that the examples are drawn with.")] = 13,
) -> None:
    """Print the request for labelled rows to paste into an LLM; run them with --synthetic."""
    from dawgen.streams import Streams
    from dawgen.synthesis.request import request
    from dawgen.tasks import load_card, load_rows, packaged_data

    card = load_card(task)
    if card.takes_many:
        raise UserError(
            f"Task {card.name} gives a text several labels; no rows are written for it."
        )
    source = packaged_data(card).get("train") if train is None else train
    shots = load_rows(card, source) if source else []
    text = request(card, shots, rows_per_label, Streams(seed), examples=examples)
    typer.echo(visible(text) if sys.stdout.isatty() else text, nl=False)
