"""What the tuned prompt answered: confusion, calibration, the most confident mistakes."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from dawgen.report.bars import reliability_chart
from dawgen.report.read import Rows


def confusion(scores: dict[str, Any]) -> list[tuple[str, list[tuple[int, float]], int]]:
    """Per true label: its name, (count, share of the row) per predicted label, its n."""
    return [
        (label, [(count, count / (n or 1)) for count in row.values()], n)
        for label, row in scores.get("confusion", {}).items()
        for n in [sum(row.values())]
    ]


def reliability(predictions: Rows, bins: int = 10) -> list[tuple[float, float, int]]:
    """(mean confidence, accuracy, n) of every filled bin of equal width."""
    filled: dict[int, list[tuple[float, bool]]] = {}
    for row in predictions:
        if row["label"] is not None:
            index = min(int(row["confidence"] * bins), bins - 1)
            right = row["label"] == row["prediction"]
            filled.setdefault(index, []).append((row["confidence"], right))
    return [
        (sum(c for c, _ in group) / len(group), sum(r for _, r in group) / len(group), len(group))
        for _, group in sorted(filled.items())
    ]


def reliability_figure(predictions: Rows, seed: object) -> Markup | None:
    """Accuracy against confidence, None without scored predictions."""
    bins = reliability(predictions)
    n = sum(count for *_, count in bins)
    title = f"Is a confident answer right? n = {n:,}, seed {seed}"
    return reliability_chart(title, bins) if bins else None


def wrong(predictions: Rows, most: int = 6) -> Rows:
    """The wrong predictions that were surest."""
    found = [row for row in predictions if row["label"] not in (None, row["prediction"])]
    return sorted(found, key=lambda row: -row["confidence"])[:most]
