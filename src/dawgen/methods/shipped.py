"""What ``dawgen run`` hands over: all its stages, and the classifier that they choose.

The paper compares methods, each for itself. A user is handed the best of several candidates
(docs/selection.md), and a cell of this method has the figures of them all in its details.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from dawgen.backbone import Backbone
from dawgen.backbone.load import load_writer
from dawgen.methods.base import Prediction, Task
from dawgen.pipeline.run import stages_of
from dawgen.pipeline.stage import Context, make
from dawgen.selection.store import FOLDER
from dawgen.settings import Settings
from dawgen.storage.folder import RunFolder
from dawgen.storage.locking import turn
from dawgen.storage.reading import read_json
from dawgen.streams import Streams
from dawgen.synthesis import SyntheticRow, load_synthetic
from dawgen.tasks import Shots
from dawgen.tasks.job import Job

LEFT_OUT = {"evaluation", "map"}
"""Stages that only the report needs."""
QUALITY = ("text2_alone", "text1_alone", "telling_words", "reader_agreement")


def shipped(
    task: Task, shots: Shots, backbone: Backbone, settings: Settings, streams: Streams
) -> Prediction:
    """The rows by the candidate that a run chooses; the run stays in the task's folder.

    With ``selection.candidates`` paper a run would choose nothing, so ``quick`` is taken instead.
    """
    del streams  # the stages have their own, of the settings' seed
    if settings.selection.candidates == "paper":
        settings = settings.model_copy(
            update={"selection": settings.selection.model_copy(update={"candidates": "quick"})}
        )
    folder = RunFolder(task.folder / "shipped")
    job, writer = Job(task.card, shots, list(task.rows)), load_writer(settings, backbone)
    context = Context(folder, job, backbone, settings.seed, writer)

    @cache
    def rows() -> list[SyntheticRow]:
        return load_synthetic(folder.path / "synthetic", task.card)

    with turn(task.folder / ".shipped-turn"), folder.lock():
        for stage in stages_of(context, settings, rows):
            if stage.name not in LEFT_OUT:
                make(stage, context)
        return Prediction(_chances(context), _details(context))


def _chances(context: Context) -> np.ndarray:
    """p(label) [N,C] of the shipped candidate, as it wrote them."""
    table = pq.read_table(context.path / FOLDER / "predictions.parquet").to_pylist()
    names = [f"p_{label}" for label in context.job.card.labels]
    return np.array([[row[name] for name in names] for row in table], np.float32)


def _details(context: Context) -> dict[str, Any]:
    home = context.path
    quality = read_json(home / "synthetic" / "quality.json")
    ledger = read_json(home / "synthetic" / "ledger.json")
    return {
        "choice": read_json(home / FOLDER / "choice.json")["name"],
        "candidates": read_json(home / FOLDER / "candidates.json", list),
        "written": {name: ledger[name] for name in ("attempted", "kept")},
        "quality": {name: quality.get(name) for name in QUALITY},
    }
