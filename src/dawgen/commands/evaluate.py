"""Scoring one prompt, or one of the methods dawgen is compared with, on labelled rows."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dawgen.backbone import Backbone, load_backbone
from dawgen.errors import UserError
from dawgen.evaluation import score, write_predictions
from dawgen.methods import METHODS, Prediction, Source, Task
from dawgen.methods.base import label_by_prompt
from dawgen.prompts import load_prompt
from dawgen.settings import Settings
from dawgen.storage.folder import RunFolder, write_json
from dawgen.storage.locking import LOCK, refuse_links
from dawgen.storage.seals import check_seal
from dawgen.streams import Streams
from dawgen.tasks import Row, Shots, TaskCard, load_rows, packaged_data
from dawgen.tasks.job import Task as TaskName
from dawgen.tasks.job import card_of, load_job
from dawgen.tasks.load import Source as Rows
from dawgen.terminal.progress import warn

Scores = dict[str, Any]
SCORES, PREDICTIONS = "scores.json", "predictions.parquet"
_TEST, _DEV = "test rows", "development shots"


def score_prompt(
    task: TaskName, test: Rows | None, prompt: Path, settings: Settings, out: Path
) -> Scores:
    """Score a tuned prompt, or a run's, on labelled rows; writes scores and predictions."""
    _check_out(out)
    card = card_of(task)
    if card.takes_many:
        return _score_several(card, test, prompt, settings, out)
    rows = _test_rows(card, test, settings)
    backbone = _backbone(card, settings)
    adapter = prompt / "prompt" if (prompt / "prompt").is_dir() else prompt
    if adapter != prompt:
        refuse_links(adapter)
    check_seal(adapter)
    soft = load_prompt(adapter, backbone)
    with RunFolder(out).lock():
        found = label_by_prompt(Task(card, rows, out), soft, backbone, settings)
        return _write(out, card, rows, found, "prompt", backbone, settings)


def _score_several(
    card: TaskCard, test: Rows | None, run: Path, settings: Settings, out: Path
) -> Scores:
    """Score what a run of a task of several labels per text ships."""
    from dawgen.many.rows import load_many
    from dawgen.many.run import score_run

    if test is None:
        raise UserError(f"Task {card.name} has no rows of its own; name a file with --test.")
    rows = load_many(card, test, skip_empty=settings.on_empty == "skip")
    with RunFolder(out).lock():
        scores = score_run(card, run, rows, out / PREDICTIONS)
        write_json(out / SCORES, scores)
    return scores


def score_method(
    task: TaskName,
    method: str,
    settings: Settings,
    out: Path,
    *,
    train: Rows | None = None,
    dev: Rows | None = None,
    test: Rows | None = None,
    unlabelled: Rows | None = None,
    source: TaskName | None = None,
    source_rows: Rows | None = None,
) -> Scores:
    """Run one method of :data:`dawgen.methods.METHODS` alone; writes scores and predictions.

    What a method makes once and uses again is in ``out/work``.

    Args:
        train, dev, test: labelled rows, as files or in memory; the task's own without.
        unlabelled: rows of the task whose labels, if any, are not looked at (OPTIMA).
        source: card of a large labelled task, and ``source_rows`` its rows (transfer).
    """
    if method not in METHODS:
        raise UserError(f"There is no method {method!r}; choose one of {', '.join(METHODS)}.")
    _check_out(out)
    card = card_of(task)
    scored_on = _TEST
    if method == "zero-shot":  # looks at no shots, so none need be named
        shots, rows = Shots([], []), _test_rows(card, test, settings)
    else:
        job = load_job(task, settings, train=train, dev=dev, test=test)
        shots, rows = job.shots, job.scored
        if job.test is None:
            scored_on = _DEV
            warn("no test rows were given, so the scores are of the development shots.")
    backbone = _backbone(card, settings)
    with RunFolder(out).lock():
        bare = () if unlabelled is None else _rows(card, unlabelled, settings, labelled=False)
        problem = Task(card, rows, out / "work", bare, _source(source, source_rows, settings))
        found = METHODS[method](problem, shots, backbone, settings, Streams(settings.seed))
        return _write(out, card, rows, found, method, backbone, settings, scored_on)


def _check_out(out: Path) -> None:
    """Refuse a folder in which a file lies that is not an evaluation's and would be lost."""
    if (out / "run.json").exists() or (out / "prompt").exists():
        raise UserError(
            f"{out} holds a run, whose scores would be lost; name another folder with --out."
        )
    scores = out / SCORES
    if os.path.lexists(scores):
        foreign = None if _are_ours(scores) else scores
    else:  # a stopped evaluation may have left predictions, in a folder that it has locked
        theirs = os.path.lexists(out / PREDICTIONS) and not (out / LOCK).exists()
        foreign = out / PREDICTIONS if theirs else None
    if foreign is not None:
        raise UserError(
            f"{foreign} exists, was not made by `dawgen evaluate` and would be overwritten; "
            "name another folder with --out."
        )


def _are_ours(scores: Path) -> bool:
    """Whether a file holds what :func:`_write` writes."""
    try:
        found = json.loads(scores.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(found, dict) and {"method", "scored_on", "accuracy"} <= found.keys()


def _backbone(card: TaskCard, settings: Settings) -> Backbone:
    backbone = load_backbone(settings.backbone)
    backbone.label_word_ids(card)  # says at once where the label words do not suit the model
    return backbone


def _rows(
    card: TaskCard,
    source: Rows,
    settings: Settings,
    *,
    split: str = "train",
    labelled: bool = True,
) -> list[Row]:
    skip = settings.on_empty == "skip"
    return load_rows(card, source, split=split, labelled=labelled, skip_empty=skip)


def _test_rows(card: TaskCard, test: Rows | None, settings: Settings) -> list[Row]:
    given = packaged_data(card).get("test", "hub") if test is None else test
    return _rows(card, given, settings, split="test")


def _source(name: TaskName | None, rows: Rows | None, settings: Settings) -> Source | None:
    if name is None and rows is None:
        return None
    if name is None:
        raise UserError("--source-rows needs --source, the card of the task they belong to.")
    card = card_of(name)
    return Source(card, _rows(card, "hub" if rows is None else rows, settings))


def _write(
    out: Path,
    card: TaskCard,
    rows: Sequence[Row],
    found: Prediction,
    method: str,
    backbone: Backbone,
    settings: Settings,
    scored_on: str = _TEST,
) -> Scores:
    labels = [row.label for row in rows if row.label is not None]
    scores = {
        "task": card.name,
        "method": method,
        "backbone": backbone.name,
        "seed": settings.seed,
        "scored_on": scored_on,
        **score(card, labels, found.probabilities),
        "details": found.details,
    }
    write_predictions(out / PREDICTIONS, card, rows, found.probabilities)
    write_json(out / SCORES, scores)
    return scores
