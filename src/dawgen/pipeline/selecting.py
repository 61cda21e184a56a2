"""The stage that chooses which of several classifiers a run hands over."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from dawgen.backbone.frame import load_frame
from dawgen.evaluation import score, write_predictions
from dawgen.pipeline.stage import Context, Stage, Workspace
from dawgen.prompts import load_label_prompts, load_prompt
from dawgen.selection.candidates import Candidate, Made
from dawgen.selection.encoder import encoder_of
from dawgen.selection.parts import Models
from dawgen.selection.select import MADE, asks_for_embeddings, select, teaches, wanted
from dawgen.selection.store import FOLDER, Choice
from dawgen.settings import Settings
from dawgen.settings.selection import PACKAGED
from dawgen.storage.folder import folder_hash, write_json
from dawgen.storage.reading import read_json
from dawgen.tasks import Row
from dawgen.tasks.job import Job, rows_hash
from dawgen.terminal.progress import say

UNTUNED = "zero-shot.json"
"""The scores of the untuned model, in the folder of a quick run's choice."""
_TABLED = ("accuracy", "macro_f1", "macro_f1_95")
"""Scores of every candidate that `candidates` has."""


def selection(
    context: Context,
    settings: Settings,
    arms: Collection[str],
    written: Callable[[], Sequence[Row]],
    models: Models,
) -> Stage:
    """All that the run has made -> the best classifier, its scores and predictions in ``choice/``.

    Test rows are scored here, and never looked at in choosing.

    Args:
        arms: folders of tuned prompts; a quick run has none, nor a generator.
        written: the kept synthetic rows.
        models: may know rows already that the reader of an earlier stage has read.
    """
    job, path = context.job, context.path
    unlabelled = job.unlabelled.rows if job.unlabelled else []
    label_prompts = path / "generator" / "label-prompts"

    def inputs() -> dict[str, Any]:
        names = wanted(settings.selection, job.card)
        return {
            "dev": rows_hash(job.shots.dev),
            "test": rows_hash(job.test),
            "candidates": names,
            "made": MADE,
            "encoder": models.encoder.fingerprint if asks_for_embeddings(names) else None,
            "prompts": {name: folder_hash(path / name) for name in arms},
            "generator": folder_hash(label_prompts) if arms else "",
            "synthetic": rows_hash(written()),
            **({"unlabelled": rows_hash(unlabelled)} if unlabelled and teaches(names) else {}),
        }

    def build(workspace: Workspace) -> dict[str, Any]:
        prompts = {name: load_prompt(path / name, context.backbone) for name in arms}
        generator = None  # of a run on rows from elsewhere
        if arms and label_prompts.is_dir():
            labels = load_label_prompts(label_prompts, job.card.labels, context.writer)
            generator = labels, load_frame(path / "generator")
        made = Made(written(), prompts, generator, unlabelled)
        if encoder_of(settings.selection) == PACKAGED:
            say("  `dawgen backbones get mpnet` brings a larger sentence encoder, often better")
        found = select(job.shots, made, models)
        seconds: dict[str, float] = {}
        for candidate, facts in zip(found.candidates, found.table, strict=True):
            began, shipped = perf_counter(), candidate.ship()
            chances = _scored(candidate, shipped, job)
            if job.test is not None and (candidate.name == "zero-shot" or candidate.name in arms):
                context.labelled[candidate.name] = chances
            scores = score(job.card, [row.label for row in job.scored], chances)
            if job.test is not None:
                facts |= {f"test_{name}": scores[name] for name in _TABLED if name in scores}
            facts["bytes"] = shipped.bytes
            if candidate.name == "zero-shot" and not arms:  # no evaluation follows
                write_json(workspace.folder / UNTUNED, scores)
            seconds[candidate.name] = round(candidate.seconds + perf_counter() - began, 2)
            if candidate is found.shipped:
                shipped.save(workspace.folder, models, {"labelled_rows": candidate.rows})
                write_json(workspace.folder / "scores.json", scores)
                predictions = workspace.folder / "predictions.parquet"
                write_predictions(predictions, job.card, job.scored, chances)
        write_json(workspace.folder / "candidates.json", found.table)
        return {"candidates": seconds}

    return Stage("selection", "choosing the best classifier", FOLDER, inputs, build)


def _scored(candidate: Candidate, shipped: Choice, job: Job) -> np.ndarray:
    """p(label) [N,C] of the test rows; of development shots, as one that has not seen them."""
    if job.test is not None:
        return shipped.probabilities(job.test)
    return candidate.held_out[len(job.shots.train) :]


def with_choice(run: Path, scores: dict[str, Any]) -> dict[str, Any]:
    """The evaluation's scores with those of the shipped classifier at the top, and the prompt's
    below ``prompt``; as they are where the run has chosen none."""
    home = run / FOLDER
    if not home.is_dir():
        return scores
    shipped, table = read_json(home / "scores.json"), read_json(home / "candidates.json", list)
    prompt = {name: scores[name] for name in shipped}
    choice = read_json(home / "choice.json")["name"]
    return {**scores, **shipped, "prompt": prompt, "choice": choice, "candidates": table}
