"""Further charts as inline SVG: stacked bars, pairs of shares, histograms, points."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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
    axes,
    figure,
    line_chart,
    mark,
    scale,
)


@dataclass(frozen=True, slots=True)
class Stack:
    """One bar: its name, and how many of each part it has."""

    name: str
    parts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class PairOfShares:
    """Two shares of the same thing, each in [0, 1]."""

    name: str
    first: float
    second: float


def stacked_chart(title: str, stacks: Sequence[Stack], order: Sequence[str]) -> Markup:
    """Horizontal bars, all to one scale, cut into parts in the given order."""
    row = 46
    largest = max((sum(stack.parts.values()) for stack in stacks), default=0) or 1
    shapes = []
    for number, stack in enumerate(stacks):
        top, left, total = number * row, 0.0, sum(stack.parts.values())
        shapes += [
            Markup('<text x="0" y="{}">{}</text>').format(top + 13, stack.name),
            Markup('<text x="{}" y="{}" text-anchor="end">{}</text>').format(
                WIDTH, top + 13, f"{total:,}"
            ),
        ]
        for part in order:
            count = stack.parts.get(part, 0)
            width = count / largest * WIDTH
            if count:
                shapes.append(
                    mark(
                        "rect",
                        f"{stack.name}, {part}: {count:,} ({count / total:.1%})",
                        kind=f"f{order.index(part) % COLOURS}",
                        x=left,
                        y=top + 19,
                        width=max(width - 1, 0.5),
                        height=18,
                    )
                )
            left += width
    totals: Counter[str] = Counter()
    for stack in stacks:
        totals.update(stack.parts)
    keys = [
        Markup('<span class="key f{}">{} <small>{}</small></span>').format(
            number % COLOURS, part, f"{totals[part]:,}"
        )
        for number, part in enumerate(order)
        if totals[part]
    ]
    legend = Markup('<p class="keys">{}</p>').format(Markup(" ").join(keys))
    return figure(title, len(stacks) * row, shapes, [legend])


def pairs_chart(title: str, pairs: Sequence[PairOfShares], names: tuple[str, str]) -> Markup | None:
    """For each thing two dots on one line, ``names`` saying which is which; None without any."""
    if not pairs:
        return None
    row, left, right = 22, 132, WIDTH - 12
    top_share = max(max(pair.first, pair.second) for pair in pairs) or 1.0
    span = (0.0, top_share)
    shapes = []
    for number, pair in enumerate(pairs):
        y = number * row + 12
        first, second = scale(pair.first, span, left, right), scale(pair.second, span, left, right)
        says = f"{pair.name}: {names[0]} {pair.first:.1%}, {names[1]} {pair.second:.1%}"
        shapes += [
            Markup('<text x="0" y="{}">{}</text>').format(y + 4, pair.name),
            Markup('<line class="grid" x1="{}" x2="{}" y1="{}" y2="{}"/>').format(
                left, right, y, y
            ),
            Markup('<line class="link" x1="{:.1f}" x2="{:.1f}" y1="{}" y2="{}"/>').format(
                first, second, y, y
            ),
            mark("circle", says, kind="hollow s7", cx=first, cy=y, r=5),
            mark("circle", says, kind="s0", cx=second, cy=y, r=5),
        ]
    shapes.append(
        Markup('<text x="{}" y="{}" text-anchor="end">{}</text>').format(
            right, len(pairs) * row + 14, f"0 to {top_share:.0%} of the texts"
        )
    )
    legend = Markup(
        '<p class="keys"><span class="key ring s7">{}</span> <span class="key s0">{}</span></p>'
    ).format(*names)
    return figure(title, len(pairs) * row + 20, shapes, [legend])


def histogram(title: str, series: Mapping[str, Sequence[int]], x_label: str) -> Markup | None:
    """Shares of whole numbers in each series, as stepped lines over bins of one width."""
    filled = {name: values for name, values in series.items() if values}
    if not filled:
        return None
    low = min(min(values) for values in filled.values())
    high = max(max(values) for values in filled.values())
    width = max(1, -(-(high - low + 1) // 24))
    lines = [
        Line(f"{name}, n = {len(values):,}", _steps(values, low, high, width))
        for name, values in filled.items()
    ]
    return line_chart(title, lines, x_label=x_label, y_label="share", last=False)


def _steps(values: Sequence[int], low: int, high: int, width: int) -> list[Point]:
    """The outline of a histogram: two points a bin."""
    counts = Counter((value - low) // width for value in values)
    points: list[Point] = []
    for number in range((high - low) // width + 1):
        share = counts[number] / len(values)
        left = low + number * width - 0.5
        points += [(left, share), (left + width, share)]
    return points


@dataclass(frozen=True, slots=True)
class Dot:
    """A point with what it says; ``kind`` is its colour, hollow or filled."""

    x: float
    y: float
    says: str
    kind: int
    hollow: bool = False


def dots_chart(
    title: str,
    dots: Sequence[Dot],
    *,
    keys: Sequence[str] = (),
    labels: tuple[str, str] | None = None,
    radius: float = 3.5,
) -> Markup | None:
    """Points in a plane, with axes where they are named; None without points.

    Args:
        keys: names of the kinds, for the legend.
        labels: of the axes.
    """
    if not dots:
        return None
    xs, ys = [dot.x for dot in dots], [dot.y for dot in dots]
    x_range, y_range = _padded(min(xs), max(xs)), _padded(min(ys), max(ys))
    shapes = list(axes(x_range, y_range, *labels)) if labels else []
    for dot in dots:
        shapes.append(
            mark(
                "circle",
                dot.says,
                kind=f"s{dot.kind % COLOURS}" + (" hollow" if dot.hollow else ""),
                cx=scale(dot.x, x_range, LEFT, WIDTH - RIGHT),
                cy=scale(dot.y, y_range, HEIGHT - BOTTOM, TOP),
                r=radius,
            )
        )
    found = [
        Markup('<span class="key s{}">{}</span>').format(number % COLOURS, key)
        for number, key in enumerate(keys)
    ]
    legend = [Markup('<p class="keys">{}</p>').format(Markup(" ").join(found))] if found else []
    return figure(title, HEIGHT, shapes, legend)


def _padded(low: float, high: float) -> tuple[float, float]:
    margin = (high - low) * 0.06 or abs(low) * 0.1 or 1.0
    return low - margin, high + margin
