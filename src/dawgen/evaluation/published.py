"""The paper's figures, and which of our methods stands for which of its rows."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

TRANSFER = ("spot", "optima")
"""Methods that learn from a source task; the paper has none of them on QNLI and RTE."""


@dataclass(frozen=True)
class PaperRow:
    """A row of one of the paper's tables.

    Attributes:
        method: our name for the system.
        title: how the row is headed.
        key: where its figures are below the backbone; none for rows of ours.
    """

    method: str
    title: str
    key: tuple[str, ...] = ()


_BASELINES = {
    "zero-shot": "Zero-shot prompting",
    "in-context": "In-context learning",
    "fine-tuning": "Fine-tuning",
    "prompt-fine-tuning": "Prompt-based fine-tuning",
    "soft-prompt-fine-tuning": "Prompt-based fine-tuning + soft prompt",
    "ppt": "PPT",
    "prompt-tuning": "Prompt tuning",
    "dawgen-surgery": "DawGen + gradient surgery",
    "spot": "SPoT (transfer)",
    "optima": "OPTIMA (transfer)",
}
_COMBINED = {
    "mixed": "Real+Syn",
    "mixed-smoothed": "Real+Syn+LS",
    "real-then-synthetic": "Real→Syn",
    "synthetic-then-real": "Syn→Real",
    "paired": "(Real,Syn)",
}
_ABLATION = {
    "synthetic": "synthetic only",
    "paired": "(Real,Syn)",
    "surgery": "(Real,Syn) + surgery",
}


def _by_generator(ways: dict[str, str]) -> tuple[PaperRow, ...]:
    return tuple(
        PaperRow(f"{name.lower()}-{way}", f"{name}, {title}", (name.lower(), _key(title)))
        for name in ("FewGen", "DawGen")
        for way, title in ways.items()
    )


def _key(title: str) -> str:
    """What published.json calls the row of a title."""
    return title.lower().replace("→", "->")


PAPER_ROWS: dict[int, tuple[PaperRow, ...]] = {
    1: (
        *(PaperRow(method, title, (_key(title),)) for method, title in _BASELINES.items()),
        PaperRow("tfidf", "TF-IDF + logistic regression"),
        PaperRow("dawgen-selected", "DawGen, rows selected by label ratio"),
    ),
    2: _by_generator(_COMBINED),
    3: _by_generator(_ABLATION),
}
"""The rows of each table, in its order."""


@cache
def published() -> dict[str, Any]:
    """What the paper prints, with its source and remarks."""
    return dict(json.loads((resources.files(__package__) / "published.json").read_text("utf-8")))


def paper_tasks() -> list[str]:
    """The paper's tasks by our names, in its order."""
    return [name.lower() for name in published()["tasks"] if name != "AVG"]


def paper_backbones(table: int) -> list[str]:
    """Names of the backbones that a table has figures for."""
    return [key for key, value in published()[f"table{table}"].items() if isinstance(value, dict)]


def paper_scores(table: int, backbone: str, row: PaperRow) -> dict[str, float | None] | None:
    """Accuracy in percent by task, the printed average under ``average``.

    None where the paper has no such row.
    """
    if not row.key:
        return None
    place: Any = published()[f"table{table}"].get(backbone)
    for part in row.key:
        place = place.get(part) if place else None
    if place is None:
        return None
    scores = place["scores"] if isinstance(place, dict) else place
    return dict(zip([*paper_tasks(), "average"], scores, strict=True))


def remark(table: int) -> str | None:
    """What is to be known about a table's printed figures."""
    note = published()[f"table{table}"].get("note")
    return str(note) if note else None
