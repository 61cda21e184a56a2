"""What written rows bring each classifier on SmolLM2: the cells of ``results/smollm2/``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from dawgen.evaluation.statistics import sign_flip_test
from tools.expect_page import SINGLE, TITLES

_RESULTS = Path(__file__).resolve().parents[1] / "results"
CELLS = _RESULTS / "smollm2" / "cells" / "smollm2"
VARIED = _RESULTS / "smollm2-varied" / "cells" / "smollm2"
"""Cells with rows that vary, from presets as they are since 2026-12-01."""
PAIRS = {
    "prompt": ("baseline", "prompt"),
    "counted words": ("tfidf", "tfidf+written"),
    "MPNet": ("embeddings", "embeddings+written"),
    "states": ("states", "states+written"),
    "all together": ("embeddings+states", "embeddings+states+written"),
}
"""Candidates without and with written rows, by their title."""

Cell = dict[str, Any]


@cache
def cells(task: str) -> list[Cell]:
    """The cells of a task, a draw of shots each."""
    paths = sorted((CELLS / task).glob("dawgen-shipped-*.json"))
    return [json.loads(path.read_text("utf-8")) for path in paths]


def both(cell: Cell, title: str) -> tuple[float, float]:
    """Accuracy in per cent without and with written rows, of a classifier of ``PAIRS``."""
    found = {each["name"]: 100 * each["test_accuracy"] for each in cell["details"]["candidates"]}
    one, other = PAIRS[title]
    return found[one], found[other]


def written_means() -> Iterator[str]:
    """Markdown: a line per task, the mean over draws; then means of tasks, gains and their p."""
    yield f"| task | draws | {' | '.join(PAIRS)} |"
    yield f"| --- | ---: |{' ---: |' * len(PAIRS)}"
    of = {task: cells(task) for task in TITLES if cells(task)}
    for task, found in of.items():
        means = {title: _mean([both(cell, title) for cell in found]) for title in PAIRS}
        yield _line(TITLES[task], len(found), [_arrow(*mean) for mean in means.values()])
    for name, some in {
        "**tasks of one text**": [task for task in of if task in SINGLE],
        "**pairs of texts**": [task for task in of if task not in SINGLE],
    }.items():
        means = {
            title: _mean([_mean([both(cell, title) for cell in of[task]]) for task in some])
            for title in PAIRS
        }
        count = sum(len(of[task]) for task in some)
        yield _line(name, count, [f"**{_arrow(*mean)}**" for mean in means.values()])
    every = [cell for found in of.values() for cell in found]
    gains = {title: [np.subtract(*both(cell, title)[::-1]) for cell in every] for title in PAIRS}
    tests = [sign_flip_test([float(gain) for gain in each]) for each in gains.values()]
    yield _line(
        "mean gain of a draw (p)",
        len(every),
        [f"{test.mean:+.1f} ({test.p:.3f})" for test in tests],
    )


def varied_table() -> Iterator[str]:
    """Markdown: a line per cell of ``VARIED``; the prompt with the shots alone, tuned as in a run
    and as long as the others, with written and with true rows."""
    shots = "the shots alone, 120 steps | 360 steps"
    yield f"| task | draw | zero-shot | {shots} | written rows | true rows | kept |"
    yield f"| --- | --- |{' ---: |' * 6}"
    for task, title in TITLES.items():
        for path in sorted((VARIED / task).glob("dawgen-shipped-*.json")):
            cell = json.loads(path.read_text("utf-8"))
            long, true = (
                json.loads(other.read_text("utf-8"))["accuracy"] if other.exists() else None
                for other in (
                    path.with_name(path.name.replace("dawgen-shipped", method))
                    for method in ("prompt-tuning", "true-rows")
                )
            )
            found = {each["name"]: each["test_accuracy"] for each in cell["details"]["candidates"]}
            shown = [found["zero-shot"], found["baseline"], long, found["prompt"], true]
            figures = ["" if each is None else f"{100 * each:.1f}" for each in shown]
            rows = cell["details"]["written"]
            row = [title, str(cell["seed"]), *figures, f"{rows['kept']:,} of {rows['attempted']:,}"]
            yield f"| {' | '.join(row)} |"


def written_table() -> Iterator[str]:
    """Markdown: a line per cell; each classifier with the shots alone, and with written rows."""
    yield f"| task | draw | zero-shot | {' | '.join(PAIRS)} | rows |"
    yield f"| --- | --- | ---: |{' ---: |' * len(PAIRS)} ---: |"
    for task, title in TITLES.items():
        for cell in cells(task):
            yield _draw(title, cell)


def _draw(title: str, cell: Cell) -> str:
    found = {each["name"]: 100 * each["test_accuracy"] for each in cell["details"]["candidates"]}
    written = cell["details"]["written"]
    rows = f"{written['kept']:,} of {written['attempted']:,}"
    pairs = [_arrow(*both(cell, name)) for name in PAIRS]
    row = [title, str(cell["seed"]), f"{found['zero-shot']:.1f}", *pairs, rows]
    return f"| {' | '.join(row)} |"


def _mean(pairs: Sequence[tuple[float, float]]) -> tuple[float, float]:
    one, other = np.mean(pairs, axis=0)
    return float(one), float(other)


def _arrow(one: float, other: float) -> str:
    return f"{one:.1f} → {other:.1f}"


def _line(name: str, draws: int, row: Sequence[str]) -> str:
    return f"| {name} | {draws} | {' | '.join(row)} |"
