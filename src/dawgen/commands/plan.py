"""`dawgen plan`: what a run will take on this machine, before anything long."""

from __future__ import annotations

from typing import Annotated

import typer

from dawgen.commands.options import (
    Config,
    Dev,
    Preset,
    Quick,
    Seed,
    Set,
    Shots,
    Synthetic,
    Task,
    Test,
    Train,
    read_settings,
)


def plan(
    task: Task,
    train: Train = None,
    dev: Dev = None,
    test: Test = None,
    price: Annotated[
        float | None, typer.Option(min=0, help="Price of an hour on this machine, in any currency.")
    ] = None,
    synthetic: Synthetic = None,
    quick: Quick = False,
    seed: Seed = None,
    shots: Shots = None,
    over: Set = None,
    preset: Preset = None,
    config: Config = None,
) -> None:
    """Estimate time, memory, disk, energy and cost of `dawgen run` on this machine."""
    from dawgen.backbone import load_backbone
    from dawgen.backbone.load import load_writer
    from dawgen.pipeline import plan as planning
    from dawgen.pipeline.quick import with_all_rows
    from dawgen.synthesis.importing import Given
    from dawgen.tasks.job import card_of, load_job

    settings = read_settings(preset, config, over, seed=seed, shots=shots, quick=quick or None)
    settings = with_all_rows(settings, card_of(task))
    job = load_job(task, settings, train=train, dev=dev, test=test)
    backbone = load_backbone(settings.backbone)
    backbone.label_word_ids(job.card)
    imported = Given.read(synthetic, job.card) if synthetic else None
    writes = imported is None and not settings.quick
    writer = load_writer(settings, backbone) if writes else None
    for line in planning.plan(job, backbone, settings, imported, writer).lines(price):
        typer.echo(line)
