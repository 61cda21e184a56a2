"""Charts as inline SVG: drawn without scripts, nothing loaded, colours from the page's own style.

Every text passes through ``Markup.format``, which escapes it. What a mark says when it is pointed
at stands in its ``data-tip``; a line chart's points stand in its ``data-lines``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

WIDTH, HEIGHT = 420, 230
LEFT, RIGHT, TOP, BOTTOM = 52, 18, 10, 38
MOST_POINTS = 240
COLOURS = 8
"""Kinds of the page's style, s0 to s7; further series begin again."""

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Line:
    """One named line; points are (x, y) in the order of x."""

    name: str
    points: Sequence[Point]


@dataclass(frozen=True, slots=True)
class Bar:
    """One named share in [0, 1] with its interval and a note such as its n."""

    name: str
    value: float
    low: float
    high: float
    note: str


def thin(points: Sequence[Point], most: int = MOST_POINTS) -> list[Point]:
    """At most ``most`` points: means over equal runs of neighbours."""
    size = math.ceil(len(points) / most) or 1
    groups = [points[start : start + size] for start in range(0, len(points), size)]
    return [
        (sum(x for x, _ in group) / len(group), sum(y for _, y in group) / len(group))
        for group in groups
    ]


def _finite(points: Sequence[Point]) -> list[Point]:
    return [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)]


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Round numbers from ``low`` to ``high``, at most ``most`` + 1 of them."""
    span = high - low
    if span <= 0:
        return [low]
    power = 10.0 ** math.floor(math.log10(span / most))
    step = next(m * power for m in (1, 2, 5, 10) if span / (m * power) <= most)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(n * step, 12) for n in range(first, last + 1)]


def short(value: float) -> str:
    """A number for an axis: at most four significant figures, thousands separated."""
    if value == 0:
        return "0"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    if abs(value) < 1e-3:
        return f"{value:.1e}"
    return f"{value:.4g}"


def _span(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    if low == high:
        margin = abs(low) * 0.1 or 1.0
        return low - margin, high + margin
    return low, high


def axes(
    x_range: tuple[float, float], y_range: tuple[float, float], x_label: str, y_label: str
) -> Iterator[Markup]:
    """Grid, round numbers and the axes' names."""
    for value in ticks(*y_range):
        y = scale(value, y_range, HEIGHT - BOTTOM, TOP)
        yield Markup('<line class="grid" x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}"/>').format(
            LEFT, WIDTH - RIGHT, y, y
        )
        yield Markup('<text x="{}" y="{:.1f}" text-anchor="end">{}</text>').format(
            LEFT - 5, y + 4, short(value)
        )
    for value in ticks(*x_range):
        x = scale(value, x_range, LEFT, WIDTH - RIGHT)
        yield Markup('<text x="{:.1f}" y="{}" text-anchor="middle">{}</text>').format(
            x, HEIGHT - BOTTOM + 14, short(value)
        )
    yield Markup('<text x="{}" y="{}" text-anchor="end">{}</text>').format(
        WIDTH - RIGHT, HEIGHT - 6, x_label
    )
    yield Markup('<text x="{}" y="{}">{}</text>').format(4, HEIGHT - 6, "↑ " + y_label)


def mark(tag: str, says: str, **attributes: object) -> Markup:
    """A shape that says something when pointed at, with scripts or without.

    Numbers are written with one digit; ``kind`` stands for ``class``.
    """
    written = Markup("").join(
        Markup(' {}="{}"').format(
            "class" if name == "kind" else name,
            f"{value:.1f}" if isinstance(value, float) else value,
        )
        for name, value in attributes.items()
    )
    return Markup('<{}{} data-tip="{}"><title>{}</title></{}>').format(
        tag, written, says, says, tag
    )


def scale(value: float, source: tuple[float, float], start: float, end: float) -> float:
    """A value of ``source`` as its place from ``start`` to ``end``."""
    return start + (value - source[0]) / (source[1] - source[0]) * (end - start)


def line_chart(
    title: str,
    lines: Sequence[Line],
    *,
    x_label: str,
    y_label: str,
    y_range: tuple[float, float] | None = None,
    last: bool = True,
) -> Markup | None:
    """A figure with one line per series and a legend, with each one's ``last`` value where asked.

    None where no series has a finite point.
    """
    drawn = [Line(line.name, points) for line in lines if (points := _finite(line.points))]
    if not drawn:
        return None
    x_range = _span([x for line in drawn for x, _ in line.points])
    y_range = y_range or _span([y for line in drawn for _, y in line.points])
    shapes = list(axes(x_range, y_range, x_label, y_label))
    keys, shown = [], []
    for number, line in enumerate(drawn):
        points = thin(line.points)
        shown.append([line.name, [[_rounded(x), _rounded(y)] for x, y in points]])
        path = " ".join(
            f"{scale(x, x_range, LEFT, WIDTH - RIGHT):.1f},"
            f"{scale(y, y_range, HEIGHT - BOTTOM, TOP):.1f}"
            for x, y in points
        )
        kind = f"s{number % COLOURS}"
        shapes.append(Markup('<polyline class="{}" points="{}"/>').format(kind, path))
        if len(line.points) == 1:
            x, y = path.split(",")
            shapes.append(Markup('<circle class="{}" cx="{}" cy="{}" r="3"/>').format(kind, x, y))
        value = Markup(" <small>(last {})</small>").format(short(line.points[-1][1]))
        keys.append(
            Markup('<span class="key {}">{}{}</span>').format(
                kind, line.name, value if last else Markup()
            )
        )
    if len(drawn) > 1:
        keys = [Markup('<p class="keys">{}</p>').format(Markup(" ").join(keys))]
    box = [LEFT, WIDTH - RIGHT, TOP, HEIGHT - BOTTOM]
    hover = {"x": [*map(_rounded, x_range)], "y": [*map(_rounded, y_range)], "box": box}
    return figure(title, HEIGHT, shapes, keys, hover | {"unit": x_label, "lines": shown})


def _rounded(value: float) -> float:
    """Enough digits to point at; fewer bytes on the page."""
    return float(f"{value:.5g}")


def bar_chart(title: str, bars: Sequence[Bar]) -> Markup:
    """Horizontal bars of shares from 0 to 100 %, each with its interval as a whisker."""
    row, left = 44, 10
    shapes = []
    for number, bar in enumerate(bars):
        top = number * row
        width = WIDTH - 2 * left

        def at(value: float, width: float = width) -> float:
            return left + value * width

        shapes += [
            Markup('<text x="{}" y="{}">{}</text>').format(left, top + 13, bar.name),
            Markup('<text x="{}" y="{}" text-anchor="end">{}</text>').format(
                WIDTH - left, top + 13, f"{bar.value:.1%} · {bar.note}"
            ),
            Markup('<rect class="track" x="{}" y="{}" width="{}" height="16"/>').format(
                left, top + 19, width
            ),
            Markup('<rect class="{}" x="{}" y="{}" width="{:.1f}" height="16"/>').format(
                f"s{number % COLOURS}", left, top + 19, bar.value * width
            ),
            Markup('<line class="whisker" x1="{:.1f}" x2="{:.1f}" y1="{}" y2="{}"/>').format(
                at(bar.low), at(bar.high), top + 27, top + 27
            ),
        ]
    return figure(title, len(bars) * row, shapes)


def reliability_chart(title: str, bins: Sequence[tuple[float, float, int]]) -> Markup:
    """Accuracy against mean confidence; a dot's area grows with its rows. bins: (conf, acc, n)."""
    unit = (0.0, 1.0)
    shapes = list(axes(unit, unit, "confidence", "accuracy"))
    shapes.append(
        Markup('<line class="ideal" x1="{}" y1="{}" x2="{}" y2="{}"/>').format(
            LEFT, HEIGHT - BOTTOM, WIDTH - RIGHT, TOP
        )
    )
    total = sum(n for *_, n in bins)
    for confidence, accuracy, n in bins:
        shapes.append(
            mark(
                "circle",
                f"confidence {confidence:.2f}, accuracy {accuracy:.2f}, n = {n:,}",
                kind="s0 dot",
                cx=scale(confidence, unit, LEFT, WIDTH - RIGHT),
                cy=scale(accuracy, unit, HEIGHT - BOTTOM, TOP),
                r=3 + 14 * math.sqrt(n / total),
            )
        )
    return figure(title, HEIGHT, shapes)


def figure(
    title: str,
    height: float,
    shapes: Sequence[Markup],
    keys: Sequence[Markup] = (),
    hover: dict[str, Any] | None = None,
) -> Markup:
    """A captioned figure; ``hover`` is what the page's script needs to point at its lines."""
    lines = Markup(" data-lines='{}'").format(json.dumps(hover)) if hover else Markup()
    return Markup(
        '<figure{}><figcaption>{}</figcaption><svg viewBox="0 0 {} {}" role="img" aria-label="{}">'
        "{}</svg>{}</figure>"
    ).format(
        lines, title, WIDTH, f"{height:g}", title, Markup("").join(shapes), Markup(" ").join(keys)
    )
