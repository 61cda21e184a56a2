"""Scoring one prompt, or one of the methods dawgen is compared with, on labelled rows."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dawgen.backbone import Backbone, load_backbone
from dawgen.errors import UserError
from dawgen.evaluation import predict, score, write_predictions
from dawgen.methods import METHODS, Source, Task
from dawgen.prompts import load_prompt
from dawgen.settings import Settings
from dawgen.storage.folder import RunFolder, write_json
from dawgen.storage.locking import LOCK, refuse_links
from dawgen.storage.seals import check_seal
from dawgen.streams import Streams
from dawgen.tasks import Row, Shots, TaskCard, load_card, load_rows, packaged_data
from dawgen.tasks.job import load_job
from dawgen.terminal.progress import warn

Scores = dict[str, Any]
SCORES, PREDICTIONS = "scores.json", "predictions.parquet"
_TEST, _DEV = "test rows", "development shots"


@dataclass(frozen=True)
class MethodData:
    """Where a method's rows come from.

    Attributes:
        train: labelled rows for the few shots; the task's own source without.
        dev: rows for choosing a checkpoint; drawn from ``train`` without.
        test: rows to score.
        source: card of a large labelled task, and ``source_rows`` its rows (transfer).
        unlabelled: rows of the task whose labels, if any, are not looked at (OPTIMA).
    """

    train: str | None = None
    dev: str | None = None
    test: str | None = None
    source: str | None = None
    source_rows: str | None = None
    unlabelled: str | None = None


def evaluate_prompt(
    task: str, test: str | None, prompt: Path, settings: Settings, out: Path
) -> Scores:
    """Score a tuned prompt, or a run's, on labelled rows; writes scores and predictions."""
    _check_out(out)
    card = load_card(task)
    rows = _test_rows(card, test, settings)
    backbone = _backbone(card, settings)
    adapter = prompt / "prompt" if (prompt / "prompt").is_dir() else prompt
    if adapter != prompt:
        refuse_links(adapter)
    check_seal(adapter)
    soft = load_prompt(adapter, backbone)
    with RunFolder(out).lock():
        tokens = settings.evaluation.tokens_per_batch
        found = predict(backbone, card, soft, rows, tokens_per_batch=tokens)
        about = _about(card, "prompt", backbone, settings, _TEST)
        return _write(out, card, rows, found, about, {})


def evaluate_method(
    task: str, method: str, data: MethodData, settings: Settings, out: Path
) -> Scores:
    """Run one method of :data:`dawgen.methods.METHODS` alone; writes scores and predictions.

    What a method makes once and uses again lies in ``out/work``.
    """
    if method not in METHODS:
        raise UserError(f"There is no method {method!r}; choose one of {', '.join(METHODS)}.")
    _check_out(out)
    card = load_card(task)
    scored_on = _TEST
    if method == "zero-shot":  # looks at no shots, so none need be named
        shots, rows = Shots([], []), _test_rows(card, data.test, settings)
    else:
        job = load_job(task, settings, train=data.train, dev=data.dev, test=data.test)
        shots, rows = job.shots, job.scored
        if job.test is None:
            scored_on = _DEV
            warn("no test rows were given, so the scores are of the development shots.")
    backbone = _backbone(card, settings)
    unlabelled = data.unlabelled
    with RunFolder(out).lock():
        problem = Task(
            card,
            rows,
            out / "work",
            _rows(card, unlabelled, settings, labelled=False) if unlabelled else (),
            _source(data, settings),
        )
        found = METHODS[method](problem, shots, backbone, settings, Streams(settings.seed))
        about = _about(card, method, backbone, settings, scored_on)
        return _write(out, card, rows, found.probabilities, about, found.details)


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
    source: str,
    settings: Settings,
    *,
    split: str = "train",
    labelled: bool = True,
) -> list[Row]:
    skip = settings.on_empty == "skip"
    return load_rows(card, source, split=split, labelled=labelled, skip_empty=skip)


def _test_rows(card: TaskCard, test: str | None, settings: Settings) -> list[Row]:
    given = packaged_data(card).get("test", "hub") if test is None else test
    return _rows(card, given, settings, split="test")


def _source(data: MethodData, settings: Settings) -> Source | None:
    if data.source is None and data.source_rows is None:
        return None
    if data.source is None:
        raise UserError("--source-rows needs --source, the card of the task they belong to.")
    card = load_card(data.source)
    return Source(card, _rows(card, data.source_rows or "hub", settings))


def _about(
    card: TaskCard, method: str, backbone: Backbone, settings: Settings, scored_on: str
) -> Scores:
    return {
        "task": card.name,
        "method": method,
        "backbone": backbone.name,
        "seed": settings.seed,
        "scored_on": scored_on,
    }


def _write(
    out: Path,
    card: TaskCard,
    rows: Sequence[Row],
    probabilities: np.ndarray,
    about: Scores,
    details: dict[str, Any],
) -> Scores:
    labels = [row.label for row in rows if row.label is not None]
    scores = {**about, **score(card, labels, probabilities), "details": details}
    write_predictions(out / PREDICTIONS, card, rows, probabilities)
    write_json(out / SCORES, scores)
    return scores
