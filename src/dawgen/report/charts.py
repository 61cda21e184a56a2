"""Charts as inline SVG: no scripts, nothing loaded, colours from the page's own style.

Every text passes through ``Markup.format``, which escapes it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

WIDTH, HEIGHT = 420, 230
LEFT, RIGHT, TOP, BOTTOM = 52, 18, 10, 38
MOST_POINTS = 240

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


def _axes(
    x_range: tuple[float, float], y_range: tuple[float, float], x_label: str, y_label: str
) -> Iterator[Markup]:
    for value in ticks(*y_range):
        y = _scale(value, y_range, HEIGHT - BOTTOM, TOP)
        yield Markup('<line class="grid" x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}"/>').format(
            LEFT, WIDTH - RIGHT, y, y
        )
        yield Markup('<text x="{}" y="{:.1f}" text-anchor="end">{}</text>').format(
            LEFT - 5, y + 4, short(value)
        )
    for value in ticks(*x_range):
        x = _scale(value, x_range, LEFT, WIDTH - RIGHT)
        yield Markup('<text x="{:.1f}" y="{}" text-anchor="middle">{}</text>').format(
            x, HEIGHT - BOTTOM + 14, short(value)
        )
    yield Markup('<text x="{}" y="{}" text-anchor="end">{}</text>').format(
        WIDTH - RIGHT, HEIGHT - 6, x_label
    )
    yield Markup('<text x="{}" y="{}">{}</text>').format(4, HEIGHT - 6, "↑ " + y_label)


def _scale(value: float, source: tuple[float, float], start: float, end: float) -> float:
    return start + (value - source[0]) / (source[1] - source[0]) * (end - start)


def line_chart(
    title: str,
    lines: Sequence[Line],
    *,
    x_label: str,
    y_label: str,
    y_range: tuple[float, float] | None = None,
) -> Markup | None:
    """A figure with one line per series and a legend with each one's last value.

    None where no series has a finite point.
    """
    drawn = [Line(line.name, points) for line in lines if (points := _finite(line.points))]
    if not drawn:
        return None
    x_range = _span([x for line in drawn for x, _ in line.points])
    y_range = y_range or _span([y for line in drawn for _, y in line.points])
    shapes = list(_axes(x_range, y_range, x_label, y_label))
    keys = []
    for number, line in enumerate(drawn):
        path = " ".join(
            f"{_scale(x, x_range, LEFT, WIDTH - RIGHT):.1f},"
            f"{_scale(y, y_range, HEIGHT - BOTTOM, TOP):.1f}"
            for x, y in thin(line.points)
        )
        kind = f"s{number % 4}"
        shapes.append(Markup('<polyline class="{}" points="{}"/>').format(kind, path))
        if len(line.points) == 1:
            x, y = path.split(",")
            shapes.append(Markup('<circle class="{}" cx="{}" cy="{}" r="3"/>').format(kind, x, y))
        keys.append(
            Markup('<span class="key {}">{} <small>(last {})</small></span>').format(
                kind, line.name, short(line.points[-1][1])
            )
        )
    return _figure(title, HEIGHT, shapes, keys)


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
                f"s{number % 4}", left, top + 19, bar.value * width
            ),
            Markup('<line class="whisker" x1="{:.1f}" x2="{:.1f}" y1="{}" y2="{}"/>').format(
                at(bar.low), at(bar.high), top + 27, top + 27
            ),
        ]
    return _figure(title, len(bars) * row, shapes, [])


def reliability_chart(title: str, bins: Sequence[tuple[float, float, int]]) -> Markup:
    """Accuracy against mean confidence; a dot's area grows with its rows. bins: (conf, acc, n)."""
    unit = (0.0, 1.0)
    shapes = list(_axes(unit, unit, "confidence", "accuracy"))
    shapes.append(
        Markup('<line class="ideal" x1="{}" y1="{}" x2="{}" y2="{}"/>').format(
            LEFT, HEIGHT - BOTTOM, WIDTH - RIGHT, TOP
        )
    )
    total = sum(n for *_, n in bins)
    for confidence, accuracy, n in bins:
        shapes.append(
            Markup('<circle class="s0 dot" cx="{:.1f}" cy="{:.1f}" r="{:.1f}">').format(
                _scale(confidence, unit, LEFT, WIDTH - RIGHT),
                _scale(accuracy, unit, HEIGHT - BOTTOM, TOP),
                3 + 14 * math.sqrt(n / total),
            )
            + Markup("<title>confidence {:.2f}, accuracy {:.2f}, n = {}</title></circle>").format(
                confidence, accuracy, n
            )
        )
    return _figure(title, HEIGHT, shapes, [])


def _figure(title: str, height: int, shapes: Sequence[Markup], keys: Sequence[Markup]) -> Markup:
    return Markup(
        '<figure><figcaption>{}</figcaption><svg viewBox="0 0 {} {}" role="img" aria-label="{}">{}'
        "</svg>{}</figure>"
    ).format(title, WIDTH, height, title, Markup("").join(shapes), Markup(" ").join(keys))
