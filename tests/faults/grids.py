"""A small grid that is killed, and what of its cells must not depend on it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.bench.toys import write_grid
from tests.faults.harness import NOTHING, Harness
from tests.faults.server import Disturbance, Outcome

METHODS = ["tfidf", "zero-shot", "prompt-tuning", "dawgen-surgery"]


class KilledGrid:
    """Eight cells on the harness's model: two seeds of four methods."""

    def __init__(self, harness: Harness) -> None:
        self.harness = harness
        self.folder = harness.folder / "grid"
        self.folder.mkdir()
        small = write_grid(self.folder, harness.job.model)
        self.data = small.data
        tree = small.tree | {"methods": METHODS}
        self.grid = self.folder / "grid.yaml"
        self.grid.write_text(json.dumps(tree))
        self.undisturbed = self.run(self.folder / "whole")
        assert self.undisturbed.code == 0, self.undisturbed.err
        self.reference = self.cells(self.folder / "whole")
        assert len(self.reference) == 2 * len(METHODS)

    def run(self, out: Path, disturbance: Disturbance = NOTHING) -> Outcome:
        """`dawgen bench` on the small grid."""
        parts = ["bench", self.grid, "--data", self.data, "--out", out]
        return self.harness.command([str(part) for part in parts], disturbance)

    def cells(self, out: Path) -> dict[str, dict[str, Any]]:
        """Every cell without what it cost: that differs from run to run."""
        found = {}
        for path in sorted((out / "cells").rglob("*.json")):
            tree = json.loads(path.read_text("utf-8"))
            found[path.name] = {k: v for k, v in tree.items() if not _is_cost(k)}
        return found

    def killed(self, disturbances: Sequence[Disturbance]) -> tuple[list[Outcome], bool]:
        """Outcomes of the commands, and whether the cells are those of the whole grid."""
        out = self.folder / "killed"
        outcomes = [self.run(out, one) for one in [*disturbances, NOTHING]]
        equal = self.cells(out) == self.reference
        shutil.rmtree(out)
        return outcomes, equal


def _is_cost(name: str) -> bool:
    words = ("seconds", "memory", "energy", "cost", "kwh", "hardware", "rate", "shared_by")
    return any(word in name for word in words)
