"""Written rows beside true ones, by the presets as they are now: ``results/oracles/``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tools.expect_page import TITLES

CELLS = Path(__file__).resolve().parents[1] / "results" / "oracles" / "cells" / "smollm2"
LEAST_DRAWS = 3
"""A share of a gain is told where so many draws have both cells."""
HEADS = {
    "counted words": ("tfidf",),
    "MPNet": ("embeddings",),
    "together": ("embeddings+states", "cross-encoder+alignment"),
}
"""Heads that are compared with and without written rows, the last of each that a cell has."""

Both = tuple[float, float]


def oracle_table() -> Iterator[str]:
    """Markdown: a line per draw; the prompt and heads without and with written rows, and the
    prompt with true rows in their place."""
    yield f"| task | draw | prompt | ... with 960 true rows | {' | '.join(HEADS)} | rows |"
    yield f"| --- | --- | ---: | ---: |{' ---: |' * len(HEADS)} ---: |"
    for task, seed in _draws():
        found = _accuracies(task, seed)
        written = _read(task, "dawgen-shipped", seed)["details"]["written"]
        prompt = _arrow((found["baseline"], found["prompt"]))
        heads = [_arrow(_with_and_without(found, title)) for title in HEADS]
        rows = f"{written['kept']:,} of {written['attempted']:,}"
        true = _with_true_rows(task, seed)
        with_true = "" if true is None else f"{true:.1f}"
        line = [TITLES[task], str(seed), prompt, with_true, *heads, rows]
        yield f"| {' | '.join(line)} |"


def share_of_gain() -> Iterator[str]:
    """A sentence: how much of what true rows bring the prompt written ones bring."""
    rows = []
    for task, seed in _draws():
        true = _with_true_rows(task, seed)
        if true is not None:
            found = _accuracies(task, seed)
            rows.append((found["baseline"], found["prompt"], true))
    if len(rows) < LEAST_DRAWS:
        return
    alone, written, true = np.mean(rows, axis=0)
    share = f", {(written - alone) / (true - alone):.0%} of it" if true > alone else ""
    yield (
        f"Mean of {len(rows)} draws: {alone:.1f} % with the shots alone; 960 true rows bring "
        f"{true - alone:+.1f} points, written rows {written - alone:+.1f}{share}."
    )


def _draws() -> Iterator[tuple[str, int]]:
    for task in TITLES:
        for path in sorted((CELLS / task).glob("dawgen-shipped-*.json")):
            yield task, int(path.stem.rpartition("-")[2])


def _read(task: str, method: str, seed: int) -> dict[str, Any]:
    return json.loads((CELLS / task / f"{method}-{seed}.json").read_text("utf-8"))


def _accuracies(task: str, seed: int) -> dict[str, float]:
    """Of each candidate, in per cent of test rows."""
    candidates = _read(task, "dawgen-shipped", seed)["details"]["candidates"]
    return {each["name"]: 100 * each["test_accuracy"] for each in candidates}


def _with_true_rows(task: str, seed: int) -> float | None:
    """Accuracy in per cent of the prompt with true rows, where it was run."""
    if not (CELLS / task / f"true-rows-{seed}.json").is_file():
        return None
    return float(100 * _read(task, "true-rows", seed)["accuracy"])


def _with_and_without(found: dict[str, float], title: str) -> Both | None:
    names = [name for name in HEADS[title] if {name, f"{name}+written"} <= found.keys()]
    return (found[names[-1]], found[f"{names[-1]}+written"]) if names else None


def _arrow(pair: Both | None) -> str:
    return f"{pair[0]:.1f} → {pair[1]:.1f}" if pair else ""
