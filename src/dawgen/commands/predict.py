"""`dawgen predict`: a file of any size labelled with a finished run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from dawgen.commands.options import MachineSet
from dawgen.commands.standard_input import standard_input
from dawgen.terminal.harmless import on_terminal

OnEmpty = Literal["error", "skip", "null"]
Use = Literal["choice", "prompt"]


def predict(
    folder: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    rows: Annotated[
        str,
        typer.Argument(help="File of rows to label, - for standard input; labels are not needed."),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="A .csv, .tsv, .jsonl or .parquet file. Default, and -: print."
        ),
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
    from dawgen.use.labelled import as_text

    over = over or []
    if rows == "-":
        with standard_input() as source:
            predict(folder, source, out, abstain_below, on_empty, use, over)
        return
    if out is not None and str(out) != "-":
        count, before = predicting.predict_file(
            folder, rows, out, abstain_below, over, on_empty, use
        )
        there = f", {before:,} of them before" if before else ""
        typer.echo(f"{count:,} rows labelled{there}: {out}")
        return
    classifier, _, cells = predicting.open_file(folder, rows, over, on_empty, use)
    total = predicting.count_rows(rows)
    chunks = predicting.label_chunks(classifier, cells, abstain_below, total)
    for number, chunk in enumerate(chunks):
        table = as_text(chunk, ".csv", heading=number == 0)
        if sys.stdout.isatty():
            table = "\n".join(on_terminal(line) for line in table.split("\n"))
        typer.echo(table, nl=False)
