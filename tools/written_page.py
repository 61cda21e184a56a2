"""What written rows bring each classifier on SmolLM2: the cells of ``results/smollm2/``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tools.expect_page import TITLES

CELLS = Path(__file__).resolve().parents[1] / "results" / "smollm2" / "cells" / "smollm2"
PAIRS = {
    "prompt": ("baseline", "prompt"),
    "counted words": ("tfidf", "tfidf+written"),
    "MPNet": ("embeddings", "embeddings+written"),
    "states": ("states", "states+written"),
    "both together": ("embeddings+states", "embeddings+states+written"),
}
"""Candidates without and with written rows, by their title."""


def written_table() -> Iterator[str]:
    """Markdown: a line per cell; each classifier with the shots alone, and with written rows."""
    yield f"| task | draw | zero-shot | {' | '.join(PAIRS)} | rows | CPU minutes |"
    yield f"| --- | --- | ---: |{' ---: |' * len(PAIRS)} ---: | ---: |"
    for task, title in TITLES.items():
        for path in sorted((CELLS / task).glob("dawgen-shipped-*.json")):
            yield _line(title, json.loads(path.read_text("utf-8")))


def _line(title: str, cell: dict[str, Any]) -> str:
    found = {each["name"]: 100 * each["test_accuracy"] for each in cell["details"]["candidates"]}
    pairs = [f"{found[one]:.1f} → {found[other]:.1f}" for one, other in PAIRS.values()]
    written = cell["details"]["written"]
    rows = f"{written['kept']:,} of {written['attempted']:,}"
    cells = [title, str(cell["seed"]), f"{found['zero-shot']:.1f}", *pairs, rows]
    return f"| {' | '.join(cells)} | {cell['cpu_seconds'] / 60:.0f} |"
