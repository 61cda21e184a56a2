"""The commands that are not functions elsewhere, for Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from dawgen.commands.evaluate import Scores, score_method, score_prompt
from dawgen.errors import UserError
from dawgen.exporting import export_run
from dawgen.settings import Settings
from dawgen.settings.layers import settings_from
from dawgen.synthesis.rows import SyntheticRow
from dawgen.tasks.job import Task, card_of
from dawgen.tasks.load import Source


def evaluate(
    task: Task,
    *,
    prompt: str | Path | None = None,
    method: str | None = None,
    train: Source | None = None,
    dev: Source | None = None,
    test: Source | None = None,
    unlabelled: Source | None = None,
    source: Task | None = None,
    source_rows: Source | None = None,
    out: str | Path = "runs/evaluation",
    settings: Settings | Mapping[str, Any] | None = None,
    preset: str | None = None,
) -> Scores:
    """Score a tuned prompt, or run and score a method that dawgen is compared with.

    Args:
        prompt: folder of a tuned prompt, or a run folder.
        method: method to run and score, such as ``zero-shot`` or ``tfidf``, instead.
        train: labelled rows, as :func:`dawgen.run` takes them; the task's own without.
        dev: the same, for choosing the checkpoint.
        test: the same, to score.
        unlabelled: rows whose labels are not read; for ``optima``.
        source: task that transfer methods start from.
        source_rows: its labelled rows.
        out: folder for scores and predictions.
        settings: as :func:`dawgen.run` takes them.
        preset: settings made for one backbone.

    Returns:
        The content of ``scores.json``: ``accuracy``, ``n`` and so on.

    Raises:
        UserError: both or none of prompt and method, or something wrong in rows or settings.
    """
    if (prompt is None) == (method is None):
        raise UserError("Name what to score: a tuned prompt (prompt=) or a method (method=).")
    chosen, _ = settings_from(settings, preset)
    if prompt is not None:
        return score_prompt(task, test, Path(prompt), chosen, Path(out))
    files = {"train": train, "dev": dev, "test": test, "unlabelled": unlabelled}
    other = {"source": source, "source_rows": source_rows}
    return score_method(task, str(method), chosen, Path(out), **files, **other)


def synthesize(
    task: Task,
    *,
    train: Source | None = None,
    dev: Source | None = None,
    test: Source | None = None,
    rows: Source | None = None,
    out: str | Path = "runs/latest",
    settings: Settings | Mapping[str, Any] | None = None,
    preset: str | None = None,
) -> list[SyntheticRow]:
    """Labelled rows for a task: written after the few shots, or somebody else's, cleaned.

    A generator is tuned on the few shots first, in ``out/generator``, unless it is there already.

    Args:
        train: labelled rows, as :func:`dawgen.run` takes them; the task's own without.
        dev: the same, for choosing the checkpoint.
        test: the same; rows that repeat one of them or of ``dev`` are rejected.
        rows: labelled rows from elsewhere to be cleaned; nothing is written then.
        out: run folder; ``out/synthetic`` has the rows with their ledger and card.
        settings: as :func:`dawgen.run` takes them.
        preset: settings made for one backbone.

    Returns:
        The kept rows: ``text1``, ``text2``, ``label``, ``label_ratio`` and where each is from.

    Raises:
        UserError: something in rows or settings that the user can fix.
    """
    from dawgen.backbone import load_backbone
    from dawgen.backbone.load import load_writer
    from dawgen.pipeline import stages
    from dawgen.pipeline.reader import RunReader
    from dawgen.pipeline.stage import Context, held, make
    from dawgen.storage.folder import RunFolder
    from dawgen.synthesis import load_synthetic
    from dawgen.synthesis.importing import Given
    from dawgen.tasks.job import load_job

    chosen, _ = settings_from(settings, preset)
    job = load_job(task, chosen, train=train, dev=dev, test=test)
    given = None if rows is None else Given.read(rows, job.card)
    backbone = load_backbone(chosen.backbone)
    backbone.label_word_ids(job.card)
    writer = load_writer(chosen, backbone) if given is None else None
    context = Context(RunFolder(Path(out)), job, backbone, chosen.seed, writer)
    context.folder.finished_stays = True
    read, synthesis = partial(RunReader.of, context, chosen), chosen.synthesis
    with held(context.folder):
        if synthesis.chooses:
            reader = stages.arms_of(chosen)[stages.BASELINE]
            make(stages.baseline(context, chosen.tuning, reader), context)
        if given is None:
            make(stages.generator(context, chosen.generator, synthesis), context)
            make(stages.synthesis(context, synthesis, read), context)
        else:
            make(stages.imported(context, synthesis, lambda: given, read), context)
    return load_synthetic(context.path / "synthetic", card_of(task))


def export(
    run: str | Path, to: str, out: str | Path | None = None, overrides: Sequence[str] = ()
) -> Path:
    """Write a run for use without dawgen, with a model card and a script that labels rows.

    Args:
        run: folder of a finished run.
        to: format: ``choice`` and ``onnx`` hold what the run ships, ``peft``, ``hf``,
            ``ctranslate2`` and ``gguf`` its tuned prompt.
        out: new folder; ``run/exports/to`` without.
        overrides: settings of this machine, such as ``backbone.device=cpu``.

    Raises:
        UserError: no finished run, no such format, or ``out`` exists already.
    """
    folder = Path(run)
    return export_run(folder, to, folder / "exports" / to if out is None else Path(out), overrides)
