"""`dawgen run`: the whole job."""

from __future__ import annotations

import json
import sys
from contextlib import nullcontext, redirect_stdout
from pathlib import Path
from typing import Any

import typer

from dawgen.commands.options import (
    AsJson,
    Config,
    Dev,
    MaxHours,
    MaxKwh,
    Out,
    Preset,
    Quick,
    Seed,
    Set,
    Shots,
    Synthetic,
    Task,
    TeacherModel,
    TeacherPrice,
    TeacherRows,
    TeacherUrl,
    Test,
    Train,
    Unlabelled,
    read_teacher,
    with_short,
)


def run(
    task: Task,
    train: Train = None,
    dev: Dev = None,
    test: Test = None,
    out: Out = Path("runs/latest"),
    quick: Quick = False,
    seed: Seed = None,
    shots: Shots = None,
    over: Set = None,
    preset: Preset = None,
    config: Config = None,
    max_hours: MaxHours = None,
    max_kwh: MaxKwh = None,
    unlabelled: Unlabelled = None,
    synthetic: Synthetic = None,
    teacher: TeacherUrl = None,
    teacher_model: TeacherModel = None,
    teacher_rows: TeacherRows = 200,
    teacher_price: TeacherPrice = None,
    as_json: AsJson = False,
) -> None:
    """Run all stages: rows, a prompt tuned on them, scores and a report."""
    from dawgen.pipeline import run as pipeline
    from dawgen.pipeline.limits import Limits
    from dawgen.pipeline.summary import summary
    from dawgen.settings.layers import build_settings
    from dawgen.terminal import screen

    overrides = with_short(over, seed=seed, shots=shots, quick=quick or None)
    settings, used = build_settings(preset=preset, file=config, overrides=overrides)
    with redirect_stdout(sys.stderr) if as_json else nullcontext():
        result = pipeline.run(
            task,
            train=train,
            dev=dev,
            test=test,
            out=out,
            settings=settings,
            preset=used,
            command=["dawgen", *sys.argv[1:]],
            limits=Limits(max_hours, max_kwh),
            synthetic=synthetic,
            unlabelled=unlabelled,
            teacher=read_teacher(teacher, teacher_model, teacher_rows, teacher_price),
        )
    if "micro_f1" in result.scores:
        _show_several(result.folder, result.scores, as_json)
        return
    if as_json:
        ledger = result.ledger
        account = {name: ledger[name] for name in ("attempted", "kept", "rejected") if ledger}
        found = {"folder": str(result.folder), "overlap": result.overlap, "rows": account}
        typer.echo(json.dumps(found | {"scores": result.scores}, ensure_ascii=False))
        return
    screen.show(summary(result.folder, screen.width()))


def _show_several(folder: Path, scores: dict[str, Any], as_json: bool) -> None:
    """The outcome of a task of several labels per text."""
    from dawgen.many.words import summary_many
    from dawgen.terminal.harmless import on_terminal

    if as_json:
        typer.echo(json.dumps({"folder": str(folder), "scores": scores}, ensure_ascii=False))
        return
    for line in summary_many(folder, scores):
        typer.echo(on_terminal(line))
