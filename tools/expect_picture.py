"""The table of what to expect with 16 examples per class as a picture: one line of dots a task."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

import numpy as np

from tools.expect_page import COLUMNS, SINGLE, TITLES, accuracies

_COLOURS = (
    *("#8a8f98", "#a0764f", "#5b8def", "#17a2a2", "#2e7d32", "#7a5cc4", "#d4569b", "#e0a030"),
    "#b3261e",
)
"""Of the columns, in their order; the last is what a run ships."""
_WIDTH, _LEFT, _RIGHT, _TOP, _LINE = 800, 240, 24, 100, 25
_LEAST, _MOST, _EVERY = 40, 100, 10
"""Of the axis, per cent."""
_INK, _PALE = "#24292f", "#d8dee4"


def picture() -> str:
    """SVG with its own white ground, so that it can be read in a dark page too."""
    groups = [
        [task for task in TITLES if task in (*SINGLE, "banking77")],
        [task for task in TITLES if task not in (*SINGLE, "banking77")],
    ]
    height = _TOP + _LINE * (sum(map(len, groups)) + 1) + 40
    title = "Accuracy with 16 examples per class for training and 16 for choosing, by task"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" '
        f'height="{height}" role="img" aria-label="{title}" font-size="13" '
        'font-family="system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif">',
        f'<rect width="{_WIDTH}" height="{height}" rx="8" fill="#ffffff"/>',
        *_legend(),
        *_axis(height - 40),
    ]
    y = _TOP + _LINE / 2
    for group in groups:
        for task in group:
            parts += _task(task, y)
            y += _LINE
        y += _LINE
    return "\n".join([*parts, "</svg>", ""])


def _x(value: float) -> float:
    share = (value - _LEAST) / (_MOST - _LEAST)
    return round(_LEFT + share * (_WIDTH - _LEFT - _RIGHT), 1)


def _text(x: float, y: float, words: str, anchor: str = "start", more: str = "") -> str:
    return (
        f'<text x="{x}" y="{y}" text-anchor="{anchor}" fill="{_INK}"{more}>{escape(words)}</text>'
    )


def _legend() -> Iterator[str]:
    yield _text(16, 26, "What to expect with 16 examples per class", more=' font-weight="600"')
    x, y = 16.0, 51
    for column, colour in zip(COLUMNS, _COLOURS, strict=True):
        words = f"{column.title} (shipped)" if column is COLUMNS[-1] else column.title
        width = 33 + 6.7 * len(words)
        if x + width > _WIDTH:
            x, y = 16.0, y + 22
        yield f'<circle cx="{x + 5}" cy="{y - 4}" r="{_radius(colour)}" fill="{colour}"/>'
        yield _text(x + 16, y, words)
        x += width


def _axis(bottom: float) -> Iterator[str]:
    for value in range(_LEAST, _MOST + 1, _EVERY):
        x = _x(value)
        yield f'<line x1="{x}" y1="{_TOP}" x2="{x}" y2="{bottom}" stroke="{_PALE}"/>'
        yield _text(x, bottom + 18, f"{value} %", "middle")


def _task(task: str, y: float) -> Iterator[str]:
    means = [(np.mean(found) if (found := accuracies(c, task)) else None) for c in COLUMNS]
    there = [float(mean) for mean in means if mean is not None]
    yield _text(16, y + 4, TITLES[task])
    yield (
        f'<line x1="{_x(min(there))}" y1="{y}" x2="{_x(max(there))}" y2="{y}" stroke="{_INK}" '
        'stroke-opacity="0.25" stroke-width="2"/>'
    )
    for column, mean, colour in zip(COLUMNS, means, _COLOURS, strict=True):
        if mean is not None:
            yield (
                f'<circle cx="{_x(float(mean))}" cy="{y}" r="{_radius(colour)}" fill="{colour}">'
                f"<title>{escape(column.title)}: {mean:.1f} %</title></circle>"
            )


def _radius(colour: str) -> float:
    return 6 if colour == _COLOURS[-1] else 4.5
