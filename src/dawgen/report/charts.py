"""Charts as inline SVG: drawn without scripts, nothing loaded, colours from the page's own style.

Every text passes through ``Markup.format``, which escapes it. What a mark says when it is pointed
at is in its ``data-tip``; a line chart's points are in its ``data-lines``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

WIDTH, HEIGHT = 420, 230
LEFT, RIGHT, TOP, BOTTOM = 52, 18, 10, 38
MOST_POINTS = 240
COLOURS = 8
"""Kinds of the page's style, s0 to s7; further series begin again."""
SHAPES = 4
"""Round, square, diamond, triangle; each is for eight labels."""

Point = tuple[float, float]
Span = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Line:
    """One named line; points are (x, y) in the order of x."""

    name: str
    points: Sequence[Point]


# --- what every chart is made of -------------------------------------------------------


def shape(tag: str, text: str = "", *, says: str = "", **attributes: object) -> Markup:
    """An SVG element; ``says`` appears when it is pointed at, with scripts or without.

    Floats are written with one digit; ``kind`` stands for ``class``, ``_`` for ``-``.
    """
    if says:
        attributes["data_tip"] = says
        text = Markup("<title>{}</title>").format(says)
    written = Markup("").join(
        Markup(' {}="{}"').format(
            "class" if name == "kind" else name.replace("_", "-"),
            f"{value:.1f}" if isinstance(value, float) else value,
        )
        for name, value in attributes.items()
    )
    form = Markup("<{0}{1}>{2}</{0}>") if text else Markup("<{0}{1}/>")
    return form.format(tag, written, text)


def label_shape(place: int) -> int:
    """The shape of the label at this place, 0 (round) to 3; eight labels have the same."""
    return place // COLOURS % SHAPES


def label_kind(place: int) -> str:
    """The classes of the label at this place: its colour and its shape."""
    return f"l{place % COLOURS} shape{label_shape(place)}"


def key(kind: str, name: str, note: str = "") -> Markup:
    """An entry of a legend."""
    small = Markup(" <small>{}</small>").format(note) if note else ""
    return Markup('<span class="key {}">{}{}</span>').format(kind, name, small)


def legend(keys: Iterable[Markup]) -> Markup:
    """The entries below a chart; nothing where there are none."""
    joined = Markup(" ").join(keys)
    return Markup('<p class="keys">{}</p>').format(joined) if joined else joined


def figure(
    title: str,
    height: float,
    shapes: Iterable[Markup],
    below: Markup | str = "",
    hover: dict[str, Any] | None = None,
) -> Markup:
    """A captioned figure; ``hover`` is what the page's script needs to point at its lines."""
    lines = Markup(" data-lines='{}'").format(json.dumps(hover)) if hover else ""
    return Markup(
        '<figure{0}><figcaption>{1}</figcaption><svg viewBox="0 0 {2} {3:g}" role="img" '
        'aria-label="{1}">{4}</svg>{5}</figure>'
    ).format(lines, title, WIDTH, height, Markup("").join(shapes), below)


def scale(value: float, span: Span, start: float, end: float) -> float:
    """A value of ``span`` as its place from ``start`` to ``end``."""
    return start + (value - span[0]) / (span[1] - span[0]) * (end - start)


def x_of(value: float, span: Span) -> float:
    """The place of a value on the x axis."""
    return scale(value, span, LEFT, WIDTH - RIGHT)


def y_of(value: float, span: Span) -> float:
    """The place of a value on the y axis."""
    return scale(value, span, HEIGHT - BOTTOM, TOP)


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
    return f"{value:.1e}" if abs(value) < 1e-3 else f"{value:.4g}"


def axes(x_range: Span, y_range: Span, x_label: str, y_label: str) -> Iterator[Markup]:
    """Grid, round numbers and the axes' names."""
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    for value in ticks(*y_range):
        y = y_of(value, y_range)
        yield shape("line", kind="grid", x1=LEFT, x2=right, y1=y, y2=y)
        yield shape("text", short(value), x=LEFT - 5, y=y + 4, text_anchor="end")
    for value in ticks(*x_range):
        x = x_of(value, x_range)
        yield shape("text", short(value), x=x, y=bottom + 14, text_anchor="middle")
    yield shape("text", x_label, x=right, y=HEIGHT - 6, text_anchor="end")
    yield shape("text", "↑ " + y_label, x=4, y=HEIGHT - 6)


# --- lines -----------------------------------------------------------------------------


def thin(points: Sequence[Point], most: int = MOST_POINTS) -> list[Point]:
    """At most ``most`` points: means over equal runs of neighbours."""
    size = math.ceil(len(points) / most) or 1
    groups = [points[start : start + size] for start in range(0, len(points), size)]
    return [
        (sum(x for x, _ in group) / len(group), sum(y for _, y in group) / len(group))
        for group in groups
    ]


def line_chart(
    title: str,
    lines: Sequence[Line],
    *,
    x_label: str,
    y_label: str,
    y_range: Span | None = None,
    last: bool = True,
) -> Markup | None:
    """A figure with one line per series and a legend, with each one's ``last`` value where asked.

    None where no series has a finite point.
    """
    finite = [Line(ln.name, [p for p in ln.points if all(map(math.isfinite, p))]) for ln in lines]
    drawn = [line for line in finite if line.points]
    if not drawn:
        return None
    x_range = _span([x for line in drawn for x, _ in line.points])
    y_range = y_range or _span([y for line in drawn for _, y in line.points])
    shapes = list(axes(x_range, y_range, x_label, y_label))
    keys, shown = [], []
    for number, line in enumerate(drawn):
        kind = f"s{number % COLOURS}"
        points = thin(line.points)
        places = [f"{x_of(x, x_range):.1f},{y_of(y, y_range):.1f}" for x, y in points]
        shapes.append(shape("polyline", kind=kind, points=" ".join(places)))
        if len(line.points) == 1:
            x, y = places[0].split(",")
            shapes.append(shape("circle", kind=kind, cx=x, cy=y, r=3))
        keys.append(key(kind, line.name, f"(last {short(line.points[-1][1])})" if last else ""))
        shown.append([line.name, [[_rounded(x), _rounded(y)] for x, y in points]])
    hover = {
        "x": [*map(_rounded, x_range)],
        "y": [*map(_rounded, y_range)],
        "box": [LEFT, WIDTH - RIGHT, TOP, HEIGHT - BOTTOM],
        "unit": x_label,
        "lines": shown,
    }
    return figure(title, HEIGHT, shapes, legend(keys) if len(keys) > 1 else keys[0], hover)


def _span(values: Sequence[float]) -> Span:
    low, high = min(values), max(values)
    if low == high:
        margin = abs(low) * 0.1 or 1.0
        return low - margin, high + margin
    return low, high


def _rounded(value: float) -> float:
    """Enough digits to point at; fewer bytes on the page."""
    return float(f"{value:.5g}")
