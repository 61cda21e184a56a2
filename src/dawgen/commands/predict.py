"""`dawgen predict`: a file of any size labelled with a finished run."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

from dawgen.commands.options import MachineSet
from dawgen.terminal.harmless import on_terminal

OnEmpty = Literal["error", "skip", "null"]
Use = Literal["choice", "prompt"]


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(predict)


def predict(
    folder: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    rows: Annotated[
        str, typer.Argument(help="File of rows to label; a label column is not needed.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="A .csv, .tsv, .jsonl or .parquet file. Default: print."),
    ] = None,
    abstain_below: Annotated[
        float | None,
        typer.Option(min=0.0, max=1.0, help="Mark rows if no label has at least this probability."),
    ] = None,
    on_empty: Annotated[
        OnEmpty,
        typer.Option(help="Rows with an empty text: error, skip (leave out) or null (no label)."),
    ] = "null",
    use: Annotated[
        Use, typer.Option(help="The classifier that the run has chosen, or its tuned prompt.")
    ] = "choice",
    over: MachineSet = None,
) -> None:
    """Label new rows with a finished run. Files of any size work, and a stopped run resumes."""
    from dawgen.use import predicting

    if out is not None:
        count, before = predicting.predict_file(
            folder, rows, out, abstain_below, over or [], on_empty, use
        )
        there = f", {before:,} of them before" if before else ""
        typer.echo(f"{count:,} rows labelled{there}: {out}")
        return
    _print(folder, rows, abstain_below, over or [], on_empty, use)


def _print(
    folder: Path,
    source: str,
    abstain_below: float | None,
    overrides: Sequence[str],
    on_empty: OnEmpty,
    use: Use,
) -> None:
    """CSV on standard output, chunk by chunk."""
    from dawgen.use import predicting
    from dawgen.use.labelled import as_text

    classifier, _, rows = predicting.open_file(folder, source, overrides, on_empty, use)
    heading = True
    for chunk in predicting.label_chunks(classifier, rows, abstain_below):
        table = as_text(chunk, ".csv", heading=heading)
        if sys.stdout.isatty():
            table = "\n".join(on_terminal(line) for line in table.split("\n"))
        typer.echo(table, nl=False)
        heading = False
