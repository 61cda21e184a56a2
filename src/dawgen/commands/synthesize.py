"""`dawgen synthesize`: rows from a tuned generator, or anybody's rows cleaned and counted."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from dawgen.commands.asking import on_a_terminal
from dawgen.commands.options import (
    ClusterAddress,
    Config,
    Dev,
    Out,
    Preset,
    Seed,
    Set,
    Shots,
    Task,
    TeacherModel,
    TeacherPrice,
    TeacherRows,
    TeacherUrl,
    Test,
    Train,
    Unlabelled,
    WorkerGpus,
    Yes,
    open_stage,
    read_settings,
    read_teacher,
)
from dawgen.errors import UserError

if TYPE_CHECKING:
    from dawgen.cluster import Cluster
    from dawgen.settings import Settings
    from dawgen.storage.folder import RunFolder
    from dawgen.synthesis.teacher import Teacher
    from dawgen.tasks.job import Job


class Preview(NamedTuple):
    """Rows to show before the work, and whether the user may then stop it."""

    rows: int
    ask: bool


def synthesize(
    task: Task,
    train: Train = None,
    dev: Dev = None,
    test: Test = None,
    unlabelled: Unlabelled = None,
    generator: Annotated[
        Path | None, typer.Option(help="Folder of a generator. Default: OUT/generator.")
    ] = None,
    rows: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Rows per label. For an import, the best ones."),
    ] = None,
    preview: Annotated[
        int | None, typer.Option(min=1, help="Show this many rows first; ask on a terminal.")
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            "--import", metavar="ROWS", help="Clean these rows instead: file, folder or hub:NAME."
        ),
    ] = None,
    classifier: Annotated[
        Path | None,
        typer.Option(help="Check labels by this classifier: model or run folder."),
    ] = None,
    keep_rejected: Annotated[
        bool, typer.Option("--keep-rejected", help="Also write rejected rows, with their reason.")
    ] = False,
    teacher: TeacherUrl = None,
    teacher_model: TeacherModel = None,
    teacher_rows: TeacherRows = 200,
    teacher_price: TeacherPrice = None,
    cluster: ClusterAddress = None,
    worker_gpus: WorkerGpus = 0.0,
    yes: Yes = False,
    out: Out = Path("runs/latest"),
    seed: Seed = None,
    shots: Shots = None,
    over: Set = None,
    preset: Preset = None,
    config: Config = None,
) -> None:
    """Write labelled rows into OUT/synthetic: a tuned generator's, a teacher's or anybody's."""
    from dawgen.pipeline.stage import held

    if classifier is not None:
        from dawgen.use.agreement import check_classifier

        check_classifier(classifier)
    settings = read_settings(preset, config, over, seed=seed, shots=shots)
    changes: dict[str, Any] = {"rows_per_label": rows} if rows else {}
    changes |= {"keep_rejected": True} if keep_rejected else {}
    chosen = settings.synthesis.model_copy(update=changes)
    settings = settings.model_copy(update={"synthesis": chosen})
    files = {"train": train, "dev": dev, "test": test}
    shows = Preview(preview, not yes) if preview else None
    if unlabelled is not None:
        if source is not None or teacher is not None:
            raise UserError("--unlabelled is for a generator; it excludes --import and --teacher.")
        settings = _with_first_texts(task, settings, unlabelled)
    asked = read_teacher(teacher, teacher_model, teacher_rows, teacher_price)
    if asked is not None:
        if any(other is not None for other in (source, generator, preview, cluster)):
            raise UserError("--teacher excludes --import, --generator, --preview and --cluster.")
        folder, job, stage = _ask(task, settings, asked, rows, out, **files)
    elif source is not None:
        if cluster:
            raise UserError("--cluster spreads writing; rows are imported on one machine.")
        folder, job, stage = _import(task, settings, source, rows, generator, shows, out, **files)
    else:
        from dawgen.cluster import Cluster

        nodes = Cluster.like_here(cluster, worker_gpus) if cluster else None
        folder, job, stage = _write(task, settings, generator, shows, out, nodes, **files)
    folder.finished_stays = True
    with held(folder):
        stage()
        _report(folder, job, settings, classifier)


def import_rows(
    task: Task,
    source: Annotated[
        str, typer.Argument(metavar="ROWS", help="Rows to clean: file, folder or hub:NAME.")
    ],
    train: Train = None,
    dev: Dev = None,
    test: Test = None,
    generator: Annotated[
        Path | None, typer.Option(help="Generator that gives the rows a label ratio.")
    ] = None,
    rows: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Most rows per label: the best ones.")
    ] = None,
    keep_rejected: Annotated[
        bool, typer.Option("--keep-rejected", help="Also write rejected rows, with their reason.")
    ] = False,
    out: Out = Path("runs/latest"),
    over: Set = None,
    preset: Preset = None,
    config: Config = None,
) -> None:
    """Clean and count anybody's labelled rows into OUT/synthetic."""
    synthesize(
        task,
        train=train,
        dev=dev,
        test=test,
        generator=generator,
        rows=rows,
        source=source,
        keep_rejected=keep_rejected,
        out=out,
        over=over,
        preset=preset,
        config=config,
    )


def _with_first_texts(task: str, settings: Settings, source: str) -> Settings:
    """The settings with the first texts of a file as first sentences.

    Raises:
        UserError: a task of single texts, or first sentences from another source.
    """
    from dawgen.tasks import load_card
    from dawgen.tasks.unlabelled import load_unlabelled

    card = load_card(task)
    if not card.is_pair:
        raise UserError(
            f"--unlabelled: task {card.name} has single texts, which start from nothing; "
            "`dawgen run` can learn from such texts (the candidate embeddings+unlabelled)."
        )
    chosen = settings.synthesis
    if "first_sentences" in chosen.model_fields_set:
        raise UserError(
            "--unlabelled and synthesis.first_sentences exclude each other; set one of them."
        )
    changes = {"first_sentences": load_unlabelled(card, source).first_sentences}
    return settings.model_copy(update={"synthesis": chosen.model_copy(update=changes)})


def _write(
    task: str,
    settings: Settings,
    generator: Path | None,
    preview: Preview | None,
    out: Path,
    cluster: Cluster | None,
    **files: str | None,
) -> tuple[RunFolder, Job, Callable[[], object]]:
    from dawgen.pipeline import stages
    from dawgen.pipeline.reader import RunReader
    from dawgen.pipeline.stage import make
    from dawgen.synthesis.preview import preview_lines
    from dawgen.synthesis.spread import Spread
    from dawgen.terminal.progress import say

    home = _generator(generator or out / "generator")
    context = open_stage(task, settings, out, writes=True, **files)
    if preview:
        lines = preview_lines(context.job, context.writer, settings, home, preview.rows)
        _show(lines, preview.ask)

    def stage() -> None:
        chosen = settings.synthesis
        if chosen.chooses:
            say("first a prompt on the few shots alone, which may choose the rows")
            reader = stages.arms_of(settings)[stages.BASELINE]
            make(stages.baseline(context, settings.tuning, reader), context)
        spread = Spread(cluster, settings.writer) if cluster else None
        read = partial(RunReader.of, context, settings)
        make(stages.synthesis(context, chosen, read, home, spread), context)

    return context.folder, context.job, stage


def _import(
    task: str,
    settings: Settings,
    source: str,
    rows: int | None,
    generator: Path | None,
    preview: Preview | None,
    out: Path,
    **files: str | None,
) -> tuple[RunFolder, Job, Callable[[], object]]:
    from dawgen.backbone import load_backbone
    from dawgen.settings.choosing import ChoosingSettings
    from dawgen.storage.folder import RunFolder
    from dawgen.synthesis import importing
    from dawgen.synthesis.scoring import Scorer
    from dawgen.tasks.job import load_job

    home = _generator(generator) if generator else None
    # What is tuned on imported rows chooses among them: `dawgen tune` has the reader.
    every = settings.synthesis.model_copy(update={"choose": ChoosingSettings()})
    settings = settings.model_copy(update={"synthesis": every})
    job, folder = load_job(task, settings, **files), RunFolder(out)
    given = importing.Given.read(source, job.card)
    scorer = None
    if home:
        scorer = Scorer.load(home, job.card, load_backbone(settings.writer))
    what = importing.Import(
        job, settings.synthesis, settings.seed, given.origin, given.rows, rows, scorer
    )
    if preview:
        _show(what.preview(preview.rows), preview.ask)
    return folder, job, partial(importing.import_stage, folder, what)


def _ask(
    task: str,
    settings: Settings,
    teacher: Teacher,
    rows: int | None,
    out: Path,
    **files: str | None,
) -> tuple[RunFolder, Job, Callable[[], object]]:
    from dawgen.storage.folder import RunFolder
    from dawgen.synthesis import importing
    from dawgen.tasks.job import load_job

    job, folder = load_job(task, settings, **files), RunFolder(out)

    def stage() -> None:
        given = teacher.stage(folder, job, settings.seed)
        what = importing.Import(
            job,
            settings.synthesis,
            settings.seed,
            given.origin,
            given.rows,
            rows,
            usage=given.usage,
        )
        importing.import_stage(folder, what)
        usage = given.usage or {}
        cost = "" if usage["cost"] is None else f", cost {usage['cost']:,.4f}"
        typer.echo(
            f"Teacher: {usage['requests']:,} requests, {usage['prompt_tokens']:,} tokens in, "
            f"{usage['completion_tokens']:,} out{cost}"
        )

    return folder, job, stage


def _generator(folder: Path) -> Path:
    if not (folder / "label-prompts").is_dir():
        raise UserError(f"There is no generator in {folder}; make one with `dawgen fit-generator`.")
    return folder


def _show(lines: list[str], ask: bool) -> None:
    """Rows before anything long starts; on a terminal the user may stop here."""
    for line in lines:
        typer.echo(line)
    if ask and on_a_terminal() and not typer.confirm("Go on?", default=True):
        typer.echo("Nothing was written.")
        raise typer.Exit


def _report(folder: RunFolder, job: Job, settings: Settings, classifier: Path | None) -> None:
    """Print the quality report; with a classifier, ask it first and write what it says."""
    from dawgen.storage.folder import write_json
    from dawgen.storage.seals import renew_seal
    from dawgen.synthesis import load_synthetic
    from dawgen.synthesis.quality import quality_lines
    from dawgen.use.agreement import agreement

    path = folder.path / "synthetic" / "quality.json"
    report = json.loads(path.read_text("utf-8"))
    if classifier is not None:
        kept = load_synthetic(folder.path / "synthetic", job.card)
        report["agreement"] = agreement(classifier, job.card, kept, settings)
        write_json(path, report)
        renew_seal(path.parent)
    for line in quality_lines(report):
        typer.echo(line)
    record = folder.stages["synthesis"]
    if "speed" in record:
        speed = record["speed"]
        write_json(folder.path / "synthesis-speed.json", speed)
        typer.echo(
            f"{speed['attempted']:,} rows written in {speed['seconds']:,.0f} s: "
            f"{speed['rows_per_second']:,.1f} rows/s, {speed['kept_rows_per_second']:,.1f} of them "
            f"kept, {speed['tokens_per_second']:,.0f} tokens/s"
        )
    elif record["skipped"]:
        typer.echo("The rows were there already, made from the same rows with the same settings.")
    typer.echo(f"Rows, ledger, quality report and card: {folder.path / 'synthetic'}")
