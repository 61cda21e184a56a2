"""The page of a benchmark: its tables, every seed's point, significance, cost against accuracy."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from dawgen.evaluation.formats import body, columns, title
from dawgen.evaluation.results import CellResult, Results, read_results
from dawgen.evaluation.statistics import SignFlip, mean_std, sign_flip_test
from dawgen.evaluation.tables import Line, Table, build_tables
from dawgen.report.bars import Dot, dots_chart
from dawgen.report.charts import COLOURS, LEFT, RIGHT, WIDTH, figure, scale, shape, ticks
from dawgen.report.environment import render_page
from dawgen.storage.folder import write_text
from dawgen.storage.reading import as_dawgen_writes

REFERENCE = "dawgen-surgery"
"""The method that the others are held to, where it has cells."""


@dataclass(frozen=True, slots=True)
class Significance:
    """A method against the reference over the tasks and seeds that both have, in points."""

    backbone: str
    method: str
    test: SignFlip


@dataclass(frozen=True, slots=True)
class Cost:
    """What a method's cells cost on average, beside its accuracy in percent."""

    backbone: str
    method: str
    cells: int
    accuracy: float
    seconds: float
    memory_mib: float
    energy_wh: float | None


def write_bench_report(out: Path) -> Path:
    """Write ``out/report.html`` from the cells of a benchmark.

    Raises:
        UserError: there are no cells, or one cannot be read.
    """
    results = read_results(out)
    path = out / "report.html"
    with as_dawgen_writes(f"A cell in {out}"):
        write_text(path, render_page("bench.html.j2", _context(out, results)))
    return path


def _context(out: Path, results: Results) -> dict[str, Any]:
    methods = sorted({method for _, method, _ in results.keys})
    done = {method for _, method, _ in results.done}
    reference = REFERENCE if REFERENCE in done else min(done, default=None)
    cost_lines = costs(results)
    return {
        "name": out.resolve().name,
        "done": sum(len(cells) for cells in results.done.values()),
        "failed": sum(len(seeds) for seeds in results.failed.values()),
        "tasks": sorted({task for _, _, task in results.keys}),
        "methods": methods,
        "backbones": results.backbones,
        "tables": [_table(table) for table in build_tables(results)],
        "seeds": seed_charts(results),
        "reference": reference,
        "significance": significance(results, reference) if reference else [],
        "costs": cost_lines,
        "cost_chart": _cost_chart(cost_lines),
    }


def _table(table: Table) -> dict[str, Any]:
    """A table's texts, each with whether it is the best of our figures in its column."""
    best = [_best(table.lines, column) for column in columns(table)]
    lines = []
    for line, (name, by, *texts) in zip(table.lines, body(table, seeds=False), strict=True):
        figures = [line.figures[column] for column in columns(table)]
        is_best = [
            line.ours and figure is not None and figure.mean is not None and figure.mean == top
            for figure, top in zip(figures, best, strict=True)
        ]
        cells = list(zip(texts, is_best, strict=True))
        lines.append({"title": name, "by": by, "ours": line.ours, "cells": cells})
    return {"title": title(table), "columns": columns(table), "lines": lines, "notes": table.notes}


def _best(lines: Sequence[Line], column: str) -> float | None:
    figures = [line.figures[column] for line in lines if line.ours]
    means = [figure.mean for figure in figures if figure is not None and figure.mean is not None]
    return max(means) if len(means) > 1 else None


# --- every seed ------------------------------------------------------------------------


def seed_charts(results: Results) -> list[Markup]:
    """Per backbone and task a row of points for each method, one a seed, and their mean."""
    charts = []
    for backbone in results.backbones:
        for task in sorted({t for b, _, t in results.done if b == backbone}):
            methods = sorted(m for b, m, t in results.done if (b, t) == (backbone, task))
            charts.append(_seed_chart(results, backbone, task, methods))
    return charts


def _seed_chart(results: Results, backbone: str, task: str, methods: Sequence[str]) -> Markup:
    row, left, right = 22, LEFT + 118, WIDTH - RIGHT
    cells = {m: results.seeds(backbone, m, task) for m in methods}
    values = [100 * cell.accuracy for part in cells.values() for cell in part.values()]
    span = (min(values) - 1, max(values) + 1)
    bottom = len(methods) * row
    shapes = []
    for value in ticks(*span):
        x = scale(value, span, left, right)
        shapes.append(shape("line", kind="grid", x1=x, x2=x, y1=0, y2=bottom))
        shapes.append(shape("text", f"{value:g}", x=x, y=bottom + 14, text_anchor="middle"))
    for number, method in enumerate(methods):
        y = number * row + 12
        shapes.append(shape("text", method, x=0, y=y + 4))
        for seed, cell in cells[method].items():
            says = f"{method}, seed {seed}: {100 * cell.accuracy:.1f} %"
            x = scale(100 * cell.accuracy, span, left, right)
            shapes.append(shape("circle", says=says, kind="s0 dot", cx=x, cy=y, r=4))
        mean, std = mean_std([100 * cell.accuracy for cell in cells[method].values()])
        says = f"{method}: {mean:.1f}" + ("" if std is None else f" ± {std:.1f}")
        x = scale(mean, span, left, right) - 1.0
        shapes.append(shape("rect", says=says, kind="s1", x=x, y=y - 8, width=2, height=16))
    heading = f"{task} on {backbone}: accuracy in percent, a point a seed, the bar their mean"
    return figure(heading, bottom + 20, shapes)


# --- significance and cost -------------------------------------------------------------


def significance(results: Results, reference: str) -> list[Significance]:
    """The reference against every other method: paired sign-flip tests over tasks and seeds."""
    lines = []
    for backbone in results.backbones:
        for method in sorted({m for b, m, _ in results.done if b == backbone} - {reference}):
            pairs = results.pairs((backbone, reference), (backbone, method)).values()
            gaps = [100 * (a.accuracy - b.accuracy) for a, b in pairs if a.test == b.test]
            if gaps:
                lines.append(Significance(backbone, method, sign_flip_test(gaps)))
    return lines


def costs(results: Results) -> list[Cost]:
    """Mean cost and accuracy of each method on each backbone; of memory the peak."""
    groups: dict[tuple[str, str], list[CellResult]] = defaultdict(list)
    for (backbone, method, _), by_seed in results.done.items():
        groups[backbone, method] += by_seed.values()
    lines = []
    for (backbone, method), cells in sorted(groups.items()):
        accuracy, _ = mean_std([cell.accuracy for cell in cells])
        seconds, _ = mean_std([cell.seconds for cell in cells])
        energy = [cell.energy_kwh for cell in cells if cell.energy_kwh is not None]
        watt_hours = 1000 * mean_std(energy)[0] if len(energy) == len(cells) else None
        memory = max(cell.memory_mib for cell in cells)
        lines.append(
            Cost(backbone, method, len(cells), 100 * accuracy, seconds, memory, watt_hours)
        )
    return lines


def _cost_chart(found: Sequence[Cost]) -> Markup | None:
    backbones = dict.fromkeys(cost.backbone for cost in found)
    kinds = {name: f"s{number % COLOURS}" for number, name in enumerate(backbones)}
    dots = [
        Dot(
            cost.seconds,
            cost.accuracy,
            f"{cost.method} on {cost.backbone}: {cost.accuracy:.1f} % for {cost.seconds:,.0f} s "
            f"a cell ({cost.cells} cells)",
            kinds[cost.backbone],
            5,
        )
        for cost in found
    ]
    return dots_chart(
        "Accuracy against seconds a cell, a point a method",
        dots,
        keys=kinds,
        labels=("seconds", "accuracy in percent"),
    )
