"""Runs and files of several labels per text, in lines for the screen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dawgen.many.rows import ManyRow
from dawgen.report.candidates import title
from dawgen.tasks import TaskCard
from dawgen.terminal.harmless import in_shell

MOST_LABELS = 15


def summary_many(folder: Path, scores: dict[str, Any]) -> list[str]:
    """What came out, how the candidates compare, the labels that are found worst, what to do."""
    labels = sorted(scores["labels"].items(), key=lambda item: item[1]["f1"])[:MOST_LABELS]
    hidden = len(scores["labels"]) - len(labels)
    lines = [
        f"{scores['task']}: {figures(scores)}",
        f"Shipped: {title(scores['choice'])}, of lowest loss on held-out rows:",
    ]
    for each in scores["candidates"]:
        mark = "*" if each["name"] == scores["choice"] else " "
        lines.append(
            f"{mark} {title(each['name']):40} loss {each['held_out_loss']:.3f}, "
            f"macro-F1 {_percent(each['held_out_macro_f1'])}"
        )
    lines += ["", "Labels, the worst first"]
    lines += [f"  F1 {_percent(part['f1']):>7}  {label} ({part['n']:,})" for label, part in labels]
    lines += [f"  and {hidden} better ones"] if hidden else []
    return [*lines, "", f"Use it:  dawgen predict {in_shell(folder)} ROWS.csv"]


def figures(scores: dict[str, Any]) -> str:
    """The three figures in one line."""
    return (
        f"macro-F1 {_percent(scores['macro_f1'])}, micro-F1 {_percent(scores['micro_f1'])}, "
        f"exactly right {_percent(scores['accuracy'])} of {scores['n']:,} {scores['scored_on']}"
    )


def look_many(name: str, card: TaskCard, rows: Sequence[ManyRow]) -> list[str]:
    """How many rows have each label, and how many labels a row has."""
    counts = Counter(label for each in rows for label in each.labels)
    sizes = Counter(len(each.labels) for each in rows)
    width = max(map(len, card.labels))
    return [
        f"{name}: {len(rows):,} rows, {len(card.labels)} labels, several per row",
        "",
        *(f"  {label:{width}}  {counts[label]:,} rows" for label in card.labels),
        "",
        *(f"  {sizes[size]:,} rows with {_labels(size)}" for size in sorted(sizes)),
    ]


def _labels(size: int) -> str:
    return {0: "no label", 1: "one label"}.get(size, f"{size} labels")


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
