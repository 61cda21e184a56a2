"""Further charts as inline SVG: bars, pairs of shares, histograms, points."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from dawgen.report.charts import (
    BOTTOM,
    COLOURS,
    HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    Line,
    Point,
    Span,
    axes,
    figure,
    key,
    legend,
    line_chart,
    scale,
    shape,
    x_of,
    y_of,
)

_LETTERS = 54
"""That fit above a bar, also on a phone, where letters are larger."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One named share in [0, 1] with its interval, a note such as its n, and a kind of the style.

    Without a kind every bar has its own.
    """

    name: str
    value: float
    low: float
    high: float
    note: str
    kind: str = ""


@dataclass(frozen=True, slots=True)
class PairOfShares:
    """Two shares of the same thing, each in [0, 1]."""

    name: str
    first: float
    second: float


@dataclass(frozen=True, slots=True)
class Dot:
    """A point with what it says, of a class of the page's style; shape 0 is round."""

    x: float
    y: float
    says: str
    kind: str
    radius: float = 3.5
    shape: int = 0


def bar_chart(title: str, bars: Sequence[Bar]) -> Markup:
    """Horizontal bars of shares from 0 to 100 %, each with its interval as a whisker."""
    row, left = 44, 10
    width = WIDTH - 2 * left
    shapes = []
    for number, bar in enumerate(bars):
        top = number * row
        note, kind = f"{bar.value:.1%} · {bar.note}", bar.kind or f"s{number % COLOURS}"
        box: dict[str, Any] = {"x": left, "y": top + 19}
        low, high = left + bar.low * width, left + bar.high * width
        shapes += [
            shape("text", _shortened(bar.name, note), x=left, y=top + 13),
            shape("text", note, x=WIDTH - left, y=top + 13, text_anchor="end"),
            shape("rect", says=bar.name, kind="track", **box, width=width, height=16),
            shape("rect", kind=kind, **box, width=float(bar.value * width), height=16),
            shape("line", kind="whisker", x1=low, x2=high, y1=top + 27, y2=top + 27),
        ]
    return figure(title, len(bars) * row, shapes)


def _shortened(name: str, note: str) -> str:
    """A bar's name as far as there is room beside its note; whole where the pointer is on it."""
    room = _LETTERS - len(note)
    return name if len(name) <= room else f"{name[: room - 1].rstrip()}…"


def stacked_chart(
    title: str, stacks: Mapping[str, Mapping[str, int]], order: Sequence[str]
) -> Markup:
    """Horizontal bars, all to one scale, each cut into its parts in the given order."""
    row = 46
    largest = max((sum(parts.values()) for parts in stacks.values()), default=0) or 1
    shapes, totals = [], Counter[str]()
    for number, (name, parts) in enumerate(stacks.items()):
        top, left, total = number * row, 0.0, sum(parts.values())
        totals.update(parts)
        shapes.append(shape("text", name, x=0, y=top + 13))
        shapes.append(shape("text", f"{total:,}", x=WIDTH, y=top + 13, text_anchor="end"))
        for place, part in enumerate(order):
            count = parts.get(part, 0)
            width = count / largest * WIDTH
            if count:
                says = f"{name}, {part}: {count:,} ({count / total:.1%})"
                kind, drawn = f"f{place % COLOURS}", max(width - 1, 0.5)
                box: dict[str, Any] = {"x": left, "y": top + 19, "width": drawn, "height": 18}
                shapes.append(shape("rect", says=says, kind=kind, **box))
            left += width
    keys = [
        key(f"f{place % COLOURS}", part, f"{totals[part]:,}")
        for place, part in enumerate(order)
        if totals[part]
    ]
    return figure(title, len(stacks) * row, shapes, legend(keys))


def pairs_chart(title: str, pairs: Sequence[PairOfShares], names: tuple[str, str]) -> Markup | None:
    """For each thing two dots on one line, ``names`` saying which is which; None without any."""
    if not pairs:
        return None
    row, left, right = 22, 132, WIDTH - 12
    span = (0.0, max(max(pair.first, pair.second) for pair in pairs) or 1.0)
    shapes = []
    for number, pair in enumerate(pairs):
        y = number * row + 12
        first, second = scale(pair.first, span, left, right), scale(pair.second, span, left, right)
        says = f"{pair.name}: {names[0]} {pair.first:.1%}, {names[1]} {pair.second:.1%}"
        shapes += [
            shape("text", pair.name, x=0, y=y + 4),
            shape("line", kind="grid", x1=left, x2=right, y1=y, y2=y),
            shape("line", kind="link", x1=first, x2=second, y1=y, y2=y),
            shape("circle", says=says, kind="hollow s7", cx=first, cy=y, r=5),
            shape("circle", says=says, kind="s0", cx=second, cy=y, r=5),
        ]
    bottom = len(pairs) * row
    note = f"0 to {span[1]:.0%} of the texts"
    shapes.append(shape("text", note, x=right, y=bottom + 14, text_anchor="end"))
    keys = legend([key("ring s7", names[0]), key("s0", names[1])])
    return figure(title, bottom + 20, shapes, keys)


def histogram(title: str, series: Mapping[str, Sequence[int]], x_label: str) -> Markup | None:
    """Shares of whole numbers in each series, as stepped lines over bins of one width."""
    every = [value for values in series.values() for value in values]
    if not every:
        return None
    low, high = min(every), max(every)
    width = max(1, -(-(high - low + 1) // 24))
    lines = [
        Line(f"{name}, n = {len(values):,}", _steps(values, low, high, width))
        for name, values in series.items()
        if values
    ]
    return line_chart(title, lines, x_label=x_label, y_label="share", last=False)


def _steps(values: Sequence[int], low: int, high: int, width: int) -> list[Point]:
    """The outline of a histogram: two points per bin."""
    counts = Counter((value - low) // width for value in values)
    points: list[Point] = []
    for number in range((high - low) // width + 1):
        share = counts[number] / len(values)
        left = low + number * width - 0.5
        points += [(left, share), (left + width, share)]
    return points


def dots_chart(
    title: str,
    dots: Sequence[Dot],
    *,
    keys: Mapping[str, str],
    labels: tuple[str, str] | None = None,
) -> Markup | None:
    """Points in a plane, with axes where they have ``labels``; None without points.

    Args:
        keys: names of the points' classes, for the legend, and the classes.
    """
    if not dots:
        return None
    x_range, y_range = _padded([dot.x for dot in dots]), _padded([dot.y for dot in dots])
    shapes = list(axes(x_range, y_range, *labels)) if labels else []
    shapes += _marks(dots, x_range, y_range)
    below = legend(key(kind, name) for name, kind in keys.items())
    return figure(title, HEIGHT, shapes, below)


def reliability_chart(title: str, bins: Sequence[tuple[float, float, int]]) -> Markup:
    """Accuracy against mean confidence; a dot's area grows with its rows. bins: (conf, acc, n)."""
    unit = (0.0, 1.0)
    x2, y1 = WIDTH - RIGHT, HEIGHT - BOTTOM
    ideal = shape("line", kind="ideal", x1=LEFT, y1=y1, x2=x2, y2=TOP)
    total = sum(n for *_, n in bins)
    dots = [
        Dot(
            confidence,
            accuracy,
            f"confidence {confidence:.2f}, accuracy {accuracy:.2f}, n = {n:,}",
            "s0 dot",
            3 + 14 * math.sqrt(n / total),
        )
        for confidence, accuracy, n in bins
    ]
    axis = axes(unit, unit, "confidence", "accuracy")
    return figure(title, HEIGHT, [*axis, ideal, *_marks(dots, unit, unit)])


def _marks(dots: Sequence[Dot], x_range: Span, y_range: Span) -> list[Markup]:
    return [_mark(dot, x_of(dot.x, x_range), y_of(dot.y, y_range)) for dot in dots]


_CORNERS = {
    1: ((-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)),
    2: ((0, -1.25), (1.25, 0), (0, 1.25), (-1.25, 0)),
    3: ((0, -1.25), (1.2, 0.9), (-1.2, 0.9)),
}
"""Of a square, a diamond and a triangle around a circle of radius 1, as in map.js."""


def _mark(dot: Dot, x: float, y: float) -> Markup:
    about: dict[str, Any] = {"says": dot.says, "kind": dot.kind}
    if dot.shape == 0:
        return shape("circle", **about, cx=x, cy=y, r=dot.radius)
    corners = [(x + dot.radius * dx, y + dot.radius * dy) for dx, dy in _CORNERS[dot.shape]]
    points = " ".join(f"{across:.1f},{down:.1f}" for across, down in corners)
    return shape("polygon", **about, points=points)


def _padded(values: Sequence[float]) -> Span:
    low, high = min(values), max(values)
    margin = (high - low) * 0.06 or abs(low) * 0.1 or 1.0
    return low - margin, high + margin
