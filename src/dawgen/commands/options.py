"""Options that several commands share, and what they open."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from dawgen.pipeline.stage import Context
    from dawgen.settings import Settings

Task = Annotated[str, typer.Argument(help="Built-in task, or path to a task card (YAML).")]
Train = Annotated[
    str | None, typer.Option(help="Labelled rows: JSONL, JSON, CSV, TSV, Parquet or hub:NAME.")
]
Dev = Annotated[str | None, typer.Option(help="Labelled rows for choosing the checkpoint.")]
Test = Annotated[str | None, typer.Option(help="Labelled rows to score.")]
Out = Annotated[Path, typer.Option(help="Run folder.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", "-s", metavar="KEY=VALUE", help="Change a setting: tuning.steps=500."),
]
MachineSet = Annotated[
    list[str] | None,
    typer.Option("--set", "-s", metavar="KEY=VALUE", help="Change a setting: backbone.device=cpu."),
]
Preset = Annotated[str | None, typer.Option(help="Settings for one backbone.")]
ClusterAddress = Annotated[
    str | None,
    typer.Option("--cluster", metavar="ADDRESS", help="Distribute the work over a Ray cluster."),
]
WorkerGpus = Annotated[float, typer.Option(min=0, help="GPUs per worker on the cluster.")]
MaxHours = Annotated[
    float | None, typer.Option(min=0, help="Start no further stage after this many hours.")
]
MaxKwh = Annotated[
    float | None, typer.Option(min=0, help="Start no further stage after this much energy.")
]
Config = Annotated[Path | None, typer.Option(help="YAML file of settings.")]


def read_settings(preset: str | None, config: Path | None, over: list[str] | None) -> Settings:
    """The settings of a command from its options."""
    from dawgen.settings.layers import build_settings

    return build_settings(preset=preset, file=config, overrides=over or [])[0]


def open_stage(task: str, settings: Settings, out: Path, **files: str | None) -> Context:
    """What a stage that runs alone is made from."""
    from dawgen.backbone import load_backbone
    from dawgen.pipeline.stage import Context
    from dawgen.storage.folder import RunFolder
    from dawgen.tasks.job import load_job

    job = load_job(task, settings, **files)
    backbone = load_backbone(settings.backbone)
    backbone.label_word_ids(job.card)
    return Context(RunFolder(out), job, backbone, settings.seed)
