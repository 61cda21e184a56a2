"""`dawgen fit-generator` and `dawgen tune`: single stages of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dawgen.commands.options import (
    Config,
    Dev,
    Out,
    Preset,
    Seed,
    Set,
    Shots,
    Task,
    Train,
    open_stage,
    read_settings,
)


def fit_generator(
    task: Task,
    train: Train = None,
    dev: Dev = None,
    out: Out = Path("runs/latest"),
    seed: Seed = None,
    shots: Shots = None,
    over: Set = None,
    preset: Preset = None,
    config: Config = None,
) -> None:
    """Tune one soft prompt per label on the few shots, and write OUT/generator."""
    from dawgen.pipeline import stages
    from dawgen.pipeline.stage import held, make

    settings = read_settings(preset, config, over, seed=seed, shots=shots)
    context = open_stage(task, settings, out, writes=True, train=train, dev=dev)
    with held(context.folder):
        make(stages.generator(context, settings.generator, settings.synthesis), context)
    typer.echo(f"Label prompts: {out / 'generator'}")


def tune(
    task: Task,
    train: Train = None,
    dev: Dev = None,
    synthetic: Annotated[
        str | None,
        typer.Option(
            help="Folder or file of synthetic rows, - for standard input. Default: real rows alone."
        ),
    ] = None,
    out: Out = Path("runs/latest"),
    seed: Seed = None,
    shots: Shots = None,
    over: Set = None,
    preset: Preset = None,
    config: Config = None,
) -> None:
    """Tune the task's soft prompt on real and synthetic rows; fills OUT/prompt, OUT/baseline."""
    from dawgen.pipeline import stages
    from dawgen.pipeline.reader import RunReader, chosen_rows
    from dawgen.pipeline.stage import held, make
    from dawgen.settings.choosing import ChoosingSettings
    from dawgen.synthesis import load_synthetic
    from dawgen.terminal.progress import say

    settings = read_settings(preset, config, over, seed=seed, shots=shots)
    context = open_stage(task, settings, out, train=train, dev=dev)
    rows = load_synthetic(Path(synthetic), context.job.card) if synthetic else []
    if not rows:
        say("no synthetic rows were named, so the prompt is tuned on the real rows alone.")
        real = settings.tuning.model_copy(update={"combine": "real"})
        all_rows = settings.synthesis.model_copy(update={"choose": ChoosingSettings()})
        settings = settings.model_copy(update={"tuning": real, "synthesis": all_rows})
    arms = stages.arms_of(settings)
    with held(context.folder):
        if stages.BASELINE in arms:
            say("first a prompt on the few shots alone")
            alone = stages.baseline(context, settings.tuning, arms[stages.BASELINE])
            make(alone, context)
        if synthetic and settings.synthesis.chooses:
            reader, card = RunReader.of(context, settings), context.job.card
            rows = chosen_rows(reader, card, settings.synthesis, rows, Path(synthetic))
        make(stages.tuning(context, settings, lambda: rows), context)
    typer.echo(f"Prompt: {out / 'prompt'}")
