"""Finished and failed cells of a benchmark, read back from their files."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dawgen.errors import UserError

Key = tuple[str, str, str]
"""(backbone, method, task)"""


@dataclass(frozen=True)
class CellResult:
    """What a cell's file says.

    Attributes:
        accuracy: 0..1.
        right: [N], whether each test row was labelled right, in the rows' order.
        test: hash of the test rows.
        settings: hash of the settings.
        seconds, memory_mib, energy_kwh: what it cost; no energy where it was not measured.
        candidates: test accuracy, 0..1, of each candidate that a whole run chose from.
    """

    accuracy: float
    right: npt.NDArray[np.bool_]
    test: str
    settings: str
    seconds: float = 0.0
    memory_mib: float = 0.0
    energy_kwh: float | None = None
    candidates: dict[str, float] = field(default_factory=dict)


Pair = tuple[CellResult, CellResult]
Side = tuple[str, str]
"""(backbone, method)"""


@dataclass
class Results:
    """The cells of a results folder."""

    done: dict[Key, dict[int, CellResult]] = field(default_factory=dict)
    """By seed."""
    failed: dict[Key, list[int]] = field(default_factory=dict)
    """Seeds."""

    @property
    def keys(self) -> list[Key]:
        """All places of the grid where anything was tried."""
        return list({**self.done, **self.failed})

    @property
    def backbones(self) -> list[str]:
        """Their names, sorted."""
        return sorted({backbone for backbone, _, _ in self.keys})

    def seeds(self, backbone: str, method: str, task: str) -> dict[int, CellResult]:
        """Finished cells by seed, in the seeds' order."""
        return dict(sorted(self.done.get((backbone, method, task), {}).items()))

    def of_candidates(self, shipped: str) -> Results:
        """What whole runs chose from, each candidate as a method, and what they chose.

        Args:
            shipped: what the choice is called among them.
        """
        found = Results()
        for (backbone, _, task), cells in self.done.items():
            for seed, cell in cells.items():
                if not cell.candidates:
                    continue
                for name, accuracy in {shipped: cell.accuracy, **cell.candidates}.items():
                    one = replace(cell, accuracy=accuracy, candidates={})
                    found.done.setdefault((backbone, name, task), {})[seed] = one
        return found

    def pairs(self, ours: Side, theirs: Side) -> dict[tuple[str, int], Pair]:
        """The cells of the same task and seed, by both."""
        tasks = sorted(task for backbone, method, task in self.done if (backbone, method) == ours)
        found = {}
        for task in tasks:
            other = self.seeds(*theirs, task)
            for seed, cell in self.seeds(*ours, task).items():
                if seed in other:
                    found[task, seed] = cell, other[seed]
        return found


def read_results(out: Path) -> Results:
    """Every cell below ``out/cells``."""
    found = Results()
    for path in sorted((out / "cells").glob("*/*/*.json")):
        if path.name.startswith("."):
            continue  # a file that was being written when its process was killed
        try:
            tree = json.loads(path.read_text("utf-8"))
            key = (tree["backbone"], tree["method"], tree["task"])
            if path.name.endswith(".error.json"):
                found.failed.setdefault(key, []).append(tree["seed"])
            else:
                found.done.setdefault(key, {})[tree["seed"]] = _cell(tree)
        except (OSError, ValueError, KeyError, TypeError):
            raise UserError(f"{path} is not a cell of a benchmark; take it away.") from None
    if not found.keys:
        raise UserError(f"There are no cells in {out}; make some with `dawgen bench`.")
    return found


def _cell(tree: dict[str, Any]) -> CellResult:
    candidates = (tree.get("details") or {}).get("candidates", ())
    right = np.array(tree["gold"].split()) == np.array(tree["predicted"].split())
    return CellResult(
        float(tree["accuracy"]),
        right,
        tree["data"]["test"],
        tree["settings_hash"],
        tree.get("wall_seconds") or 0.0,
        tree.get("peak_memory_mib") or 0.0,
        tree.get("energy_kwh"),
        {each["name"]: each["test_accuracy"] for each in candidates},
    )
