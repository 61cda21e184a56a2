"""Options that several commands share, and what they open."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dawgen.errors import UserError

if TYPE_CHECKING:
    from dawgen.pipeline.stage import Context
    from dawgen.settings import Settings
    from dawgen.synthesis.teacher import Teacher

Task = Annotated[str, typer.Argument(help="Built-in task, or path to a task card (YAML).")]
Train = Annotated[
    str | None,
    typer.Option(
        help="Labelled rows: JSONL, JSON, CSV, TSV, Parquet or hub:NAME; - for standard input."
    ),
]
Dev = Annotated[
    str | None,
    typer.Option(help="Labelled rows for choosing the checkpoint; - for standard input."),
]
Test = Annotated[str | None, typer.Option(help="Labelled rows to score; - for standard input.")]
Synthetic = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="Rows from elsewhere (an LLM, a person) instead of a generator's: "
        "JSONL, JSON, CSV, TSV, Parquet or hub:NAME; - for standard input.",
    ),
]
TeacherUrl = Annotated[
    str | None,
    typer.Option(
        "--teacher",
        metavar="URL",
        help="Ask this chat-completions API for the rows; its key: DAWGEN_API_KEY.",
    ),
]
TeacherModel = Annotated[
    str | None, typer.Option(metavar="NAME", help="Model of the teacher, as its API names it.")
]
TeacherRows = Annotated[int, typer.Option(min=1, help="Rows per label to ask the teacher for.")]
TeacherPrice = Annotated[
    tuple[float, float] | None,
    typer.Option(metavar="IN OUT", help="Prices of a million tokens, to count the cost."),
]
Unlabelled = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="Texts without labels: a .txt file with one per line, or a table with the columns of "
        "the texts. First texts of written pairs, and more rows for `embeddings+unlabelled`.",
    ),
]
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
Seed = Annotated[
    int | None, typer.Option(metavar="N", help="Seed of all random numbers: -s seed=N.")
]
Shots = Annotated[
    int | None, typer.Option(metavar="N", help="Rows per label to learn from: -s shots=N.")
]
Quick = Annotated[
    bool,
    typer.Option(
        "--quick",
        help="Choose a classifier by your rows alone: no rows are written, no prompt is tuned.",
    ),
]
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
AsJson = Annotated[
    bool, typer.Option("--json", help="Print one JSON object; everything else on standard error.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing, also on a terminal.")]
Config = Annotated[Path | None, typer.Option(help="YAML file of settings.")]


def read_settings(
    preset: str | None, config: Path | None, over: list[str] | None, **short: int | None
) -> Settings:
    """The settings of a command from its options.

    Args:
        short: settings with an option of their own, such as ``seed``; None leaves one as it is.
    """
    from dawgen.settings.layers import build_settings

    return build_settings(preset=preset, file=config, overrides=with_short(over, **short))[0]


def with_short(over: list[str] | None, **short: int | None) -> list[str]:
    """The changes of settings, with those that have an option of their own."""
    given = ((name, str(value).lower()) for name, value in short.items() if value is not None)
    return [*(over or []), *(f"{name}={value}" for name, value in given)]


def open_stage(
    task: str, settings: Settings, out: Path, *, writes: bool = False, **files: str | None
) -> Context:
    """What a stage that runs alone is made from.

    Args:
        writes: whether it needs the language model that writes rows.
    """
    from dawgen.backbone import load_backbone
    from dawgen.backbone.load import load_writer
    from dawgen.pipeline.stage import Context
    from dawgen.storage.folder import RunFolder
    from dawgen.tasks.job import load_job

    job = load_job(task, settings, **files)
    backbone = load_backbone(settings.backbone)
    backbone.label_word_ids(job.card)
    writer = load_writer(settings, backbone) if writes else None
    return Context(RunFolder(out), job, backbone, settings.seed, writer)


def read_teacher(
    url: str | None, model: str | None, rows: int, price: tuple[float, float] | None
) -> Teacher | None:
    """The teacher of a command from its options; None where none is asked.

    Raises:
        UserError: a teacher without a model, or options of a teacher without one.
    """
    if url is None:
        if model is not None or price is not None:
            raise UserError("--teacher-model and --teacher-price need --teacher, an address.")
        return None
    if model is None:
        raise UserError("--teacher needs --teacher-model, the name of the model to ask.")
    if price is not None and min(price) < 0:
        raise UserError("--teacher-price must be two prices of at least 0.")
    from dawgen.synthesis.chat import Chat
    from dawgen.synthesis.teacher import Teacher

    return Teacher(Chat(url, model), rows, price)
