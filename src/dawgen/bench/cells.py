"""One cell of a grid: its place on disk, its fingerprint, its record."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

import dawgen
from dawgen.backbone import Backbone
from dawgen.bench.grid import folder_name
from dawgen.errors import UserError
from dawgen.evaluation import overlap, score
from dawgen.machine.hardware import hardware, versions
from dawgen.machine.meter import Cost
from dawgen.methods.base import Prediction, Task
from dawgen.settings import Settings
from dawgen.settings.layers import dump_settings
from dawgen.storage.folder import fingerprint, write_json, write_text
from dawgen.streams import Streams
from dawgen.synthesis.sources import source_hashes
from dawgen.tasks import Shots
from dawgen.tasks.job import rows_hash
from dawgen.terminal.harmless import hide_secrets, without_secrets

Found = TypeVar("Found")
_TRACEBACK_LINES = 12
_ONLY_SPEED: dict[str, Any] = {
    "backbone": {"device", "checkpointing"},
    "tuning": {"tokens_per_batch"},
    "evaluation": {"tokens_per_batch"},
    "tracking": True,
    "selection": True,  # a cell is one method, not a choice among several
    "on_empty": True,  # the rows that it leaves enter by themselves
}


@dataclass(frozen=True)
class Cell:
    """Where in the grid."""

    task: str
    method: str
    seed: int
    backbone: str

    def path(self, out: Path) -> Path:
        """The file of its figures."""
        folder = out / "cells" / self.backbone / folder_name(self.task)
        return folder / f"{self.method}-{self.seed}.json"

    def error_path(self, out: Path) -> Path:
        """The file that lies there instead where it failed."""
        path = self.path(out)
        return path.with_name(f"{path.stem}.error.json")


@dataclass(frozen=True)
class Order:
    """A cell with everything that its method is given."""

    cell: Cell
    task: Task
    shots: Shots
    settings: Settings
    data: dict[str, str | None]
    backbone_fingerprint: str

    def give(self, work: Callable[..., Found], backbone: Backbone) -> Found:
        """Call a method, or what prepares one, with everything of the cell."""
        return work(self.task, self.shots, backbone, self.settings, Streams(self.cell.seed))

    @cached_property
    def settings_hash(self) -> str:
        """Of the settings without the seed, which names the cell, and without mere speed."""
        exclude = {"seed": True, **_ONLY_SPEED}
        return fingerprint(self.settings.model_dump(mode="json", exclude=exclude))

    @cached_property
    def fingerprint(self) -> str:
        """Of all that the figures depend on."""
        return fingerprint(
            {
                "dawgen": dawgen.__version__,
                "method": self.cell.method,
                "seed": self.cell.seed,
                "card": self.task.card.model_dump(mode="json"),
                "source_card": self.task.source and self.task.source.card.model_dump(mode="json"),
                "backbone": self.backbone_fingerprint,
                "settings": self.settings.model_dump(mode="json", exclude=_ONLY_SPEED),
                "data": self.data,
                **self._named_files(),
            }
        )

    def _named_files(self) -> dict[str, Any]:
        """Hashes of the files that the settings name and the method reads, if there are any."""
        method, settings = self.cell.method, self.settings
        if method == "ppt":
            hashes = source_hashes(settings.methods.ppt.corpus)
        elif method.startswith(("fewgen-", "dawgen-")):
            hashes = source_hashes(settings.synthesis.first_sentences)
        else:
            return {}
        return {"files": hashes} if any(hashes) else {}

    def is_done(self, out: Path) -> bool:
        """True where the same settings and rows have made its file already."""
        try:
            found = json.loads(self.cell.path(out).read_text("utf-8"))
        except (OSError, ValueError):
            return False
        return isinstance(found, dict) and found.get("fingerprint") == self.fingerprint


def shots_hashes(shots: Shots) -> dict[str, str | None]:
    """Of the training and the development shots."""
    return {"train": rows_hash(shots.train), "dev": rows_hash(shots.dev)}


def cell_record(order: Order, prediction: Prediction, cost: Cost, shared_by: int) -> dict[str, Any]:
    """The content of a cell's file."""
    card, rows = order.task.card, order.task.rows
    if not np.isfinite(prediction.probabilities).all():
        raise ValueError("some of the predicted probabilities are not finite")
    scores = score(card, [row.label for row in rows], prediction.probabilities)
    predicted = prediction.probabilities.argmax(axis=1)
    return {
        **vars(order.cell),
        "accuracy": scores.pop("accuracy"),
        "n": scores.pop("n"),
        **scores,
        "details": _plain(prediction.details),
        "fingerprint": order.fingerprint,
        "settings_hash": order.settings_hash,
        "data": order.data,
        "source": order.task.source.card.name if order.task.source else None,
        "overlap": overlap([*order.shots.train, *order.shots.dev], rows).count,
        "backbone_path": order.settings.backbone.path,
        "backbone_fingerprint": order.backbone_fingerprint,
        **cost.record(),
        "shared_by": shared_by,
        "dawgen": dawgen.__version__,
        "versions": versions(),
        "hardware": hardware(),
        "label_names": card.labels,
        "gold": " ".join(str(card.label_index(str(row.label))) for row in rows),
        "predicted": " ".join(map(str, predicted)),
    }


def write_cell(out: Path, order: Order, record: dict[str, Any]) -> None:
    """Lay down a finished cell, with the settings that its hash stands for."""
    settings = out / "settings" / f"{order.settings_hash}.yaml"
    if not settings.exists():
        write_text(settings, dump_settings(order.settings))
    write_json(order.cell.path(out), record)
    order.cell.error_path(out).unlink(missing_ok=True)


def write_failure(out: Path, order: Order, error: Exception) -> None:
    """Record why a cell has no figures; figures of other settings go."""
    cell = order.cell
    lines = "".join(traceback.format_exception(error)).rstrip().splitlines()
    write_json(
        cell.error_path(out),
        {
            **vars(cell),
            "error": type(error).__name__,
            "message": without_secrets(str(error)),
            "user_error": isinstance(error, UserError),
            "traceback": hide_secrets(lines[-_TRACEBACK_LINES:]),
            "fingerprint": order.fingerprint,
            "dawgen": dawgen.__version__,
        },
    )
    cell.path(out).unlink(missing_ok=True)


def _plain(details: dict[str, Any]) -> dict[str, Any]:
    """Details as JSON has them; numbers of numpy and torch become plain ones."""

    def convert(value: Any) -> Any:
        return value.tolist() if hasattr(value, "tolist") else str(value)

    return dict(json.loads(json.dumps(details, default=convert)))
