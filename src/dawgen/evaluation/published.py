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
        key: where its figures lie below the backbone; none for rows of ours.
    """

    method: str
    title: str
    key: tuple[str, ...] = ()


_TABLE_1 = (
    PaperRow("zero-shot", "Zero-shot prompting", ("zero-shot prompting",)),
    PaperRow("in-context", "In-context learning", ("in-context learning",)),
    PaperRow("fine-tuning", "Fine-tuning", ("fine-tuning",)),
    PaperRow("prompt-fine-tuning", "Prompt-based fine-tuning", ("prompt-based fine-tuning",)),
    PaperRow(
        "soft-prompt-fine-tuning",
        "Prompt-based fine-tuning + soft prompt",
        ("prompt-based fine-tuning + soft prompt",),
    ),
    PaperRow("ppt", "PPT", ("ppt",)),
    PaperRow("prompt-tuning", "Prompt tuning", ("prompt tuning",)),
    PaperRow("dawgen-surgery", "DawGen + gradient surgery", ("dawgen + gradient surgery",)),
    PaperRow("spot", "SPoT (transfer)", ("spot (transfer)",)),
    PaperRow("optima", "OPTIMA (transfer)", ("optima (transfer)",)),
    PaperRow("tfidf", "TF-IDF + logistic regression"),
    PaperRow("dawgen-selected", "DawGen, rows selected by label ratio"),
)
_GENERATORS = {"fewgen": "FewGen", "dawgen": "DawGen"}
_COMBINED = {
    "mixed": ("Real+Syn", "real+syn"),
    "mixed-smoothed": ("Real+Syn+LS", "real+syn+ls"),
    "real-then-synthetic": ("Real→Syn", "real->syn"),
    "synthetic-then-real": ("Syn→Real", "syn->real"),
    "paired": ("(Real,Syn)", "(real,syn)"),
}
_ABLATION = {
    "synthetic": ("synthetic only", "synthetic only"),
    "paired": ("(Real,Syn)", "(real,syn)"),
    "surgery": ("(Real,Syn) + surgery", "(real,syn) + surgery"),
}


def _by_generator(ways: dict[str, tuple[str, str]]) -> tuple[PaperRow, ...]:
    return tuple(
        PaperRow(f"{generator}-{way}", f"{name}, {title}", (generator, key))
        for generator, name in _GENERATORS.items()
        for way, (title, key) in ways.items()
    )


PAPER_ROWS: dict[int, tuple[PaperRow, ...]] = {
    1: _TABLE_1,
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
