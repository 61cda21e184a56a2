"""A small grid on disk, and methods that cost nothing."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import yaml

from dawgen.errors import UserError
from dawgen.methods import Prediction
from tests.invariants.jobs import CARD, SETTINGS, Outcome, dawgen, rows, write_rows


def noisy(task, shots, backbone, settings, streams):
    """Probabilities by the cell's own stream."""
    drawn = streams.numpy("toy").dirichlet([1.0] * len(task.card.labels), len(task.rows))
    return Prediction(drawn.astype(np.float32), {"drawn": np.float32(drawn[0, 0])})


def gold(task, shots, backbone, settings, streams):
    """Always right."""
    hits = [[float(label == row.label) for label in task.card.labels] for row in task.rows]
    return Prediction(np.array(hits, dtype=np.float32))


def broken(task, shots, backbone, settings, streams):
    raise RuntimeError("the toy broke")


def refusing(task, shots, backbone, settings, streams):
    raise UserError("The toy needs a better card.")


@dataclass
class Recorder:
    """A method that keeps what it was given."""

    seen: list = field(default_factory=list)

    def __call__(self, task, shots, backbone, settings, streams):
        self.seen.append((task, shots, settings, streams.root))
        return gold(task, shots, backbone, settings, streams)


@dataclass
class SmallGrid:
    """A grid of one task on the random model; files that a test may change."""

    folder: Path
    model: Path
    tree: dict

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def out(self) -> Path:
        return self.folder / "results"

    def run(self, *more: object, **changes: object) -> Outcome:
        """``dawgen bench`` with changes of the grid's entries."""
        path = self.folder / "grid.yaml"
        path.write_text(yaml.safe_dump(self.tree | changes))
        return dawgen("bench", path, "--data", self.data, "--out", self.out, *more)

    def cell(self, method: str, seed: int, out: Path | None = None) -> dict:
        return json.loads(self.path(method, seed, out).read_text())

    def path(self, method: str, seed: int, out: Path | None = None, ending: str = "json") -> Path:
        return (out or self.out) / "cells" / "toy" / "pairs" / f"{method}-{seed}.{ending}"


def write_grid(folder: Path, model: Path) -> SmallGrid:
    (folder / "pairs.yaml").write_text(CARD)
    data = folder / "data" / "pairs"
    data.mkdir(parents=True)
    write_rows(data / "train.jsonl", rows(0, 40))
    write_rows(data / "test.jsonl", rows(60, 30))
    settings = {**SETTINGS, "backbone.path": str(model)}
    tree = {
        "tasks": [str(folder / "pairs.yaml")],
        "seeds": [13, 21],
        "methods": ["noisy", "gold"],
        "backbones": [{"name": "toy"}],
        "test_rows": 20,
        "settings": settings,
    }
    return SmallGrid(folder, model, tree)
