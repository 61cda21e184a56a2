"""`dawgen evaluate`: a prompt or a method scored."""

from __future__ import annotations

import json
import sys
from contextlib import nullcontext, redirect_stdout
from pathlib import Path
from typing import Annotated

import typer

from dawgen.commands.options import (
    AsJson,
    Config,
    Dev,
    Preset,
    Seed,
    Set,
    Shots,
    Task,
    Test,
    Train,
    read_settings,
)
from dawgen.errors import UserError


def evaluate(
    task: Task,
    train: Train = None,
    dev: Dev = None,
    test: Test = None,
    prompt: Annotated[
        Path | None, typer.Option(help="Folder of a tuned prompt, or a run folder.")
    ] = None,
    method: Annotated[
        str | None, typer.Option(help="Method to run and score, such as zero-shot.")
    ] = None,
    source: Annotated[str | None, typer.Option(help="Source task for transfer methods.")] = None,
    source_rows: Annotated[
        str | None, typer.Option(help="Labelled rows of the source task.")
    ] = None,
    unlabelled: Annotated[
        str | None, typer.Option(help="Rows whose labels are not read; for optima.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for scores and predictions.")] = Path(
        "runs/evaluation"
    ),
    seed: Seed = None,
    shots: Shots = None,
    over: Set = None,
    preset: Preset = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Score a tuned prompt, or run and score a method that dawgen is compared with."""
    from dawgen.commands.evaluate import score_method, score_prompt

    settings = read_settings(preset, config, over, seed=seed, shots=shots)
    if (prompt is None) == (method is None):
        raise UserError(
            "Name what to score: a tuned prompt with --prompt, or a method with --method."
        )
    with redirect_stdout(sys.stderr) if as_json else nullcontext():
        if prompt is not None:
            scores = score_prompt(task, test, prompt, settings, out)
        else:
            files = {"train": train, "dev": dev, "test": test, "unlabelled": unlabelled}
            sources = {"source": source, "source_rows": source_rows}
            scores = score_method(task, str(method), settings, out, **files, **sources)
    if as_json:
        typer.echo(json.dumps({"folder": str(out), "scores": scores}, ensure_ascii=False))
        return
    if "micro_f1" in scores:  # several labels per text
        from dawgen.many.words import figures

        typer.echo(f"{figures(scores)}; {out / 'scores.json'}")
        return
    f1 = scores["macro_f1"] if scores["metric"] == "macro_f1" else None
    typer.echo(
        f"{'' if f1 is None else f'macro-F1 {100 * f1:.2f} %, '}"
        f"accuracy {100 * scores['accuracy']:.2f} % on {scores['n']:,} {scores['scored_on']}; "
        f"{out / 'scores.json'}"
    )
