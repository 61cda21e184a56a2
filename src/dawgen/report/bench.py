"""The page of a benchmark: its tables, every seed's point, significance, cost against accuracy."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from dawgen.evaluation.formats import as_text, title
from dawgen.evaluation.results import Results, read_results
from dawgen.evaluation.statistics import mean_std, sign_flip_test
from dawgen.evaluation.tables import Line, Table, build_tables
from dawgen.report.bars import Dot, dots_chart
from dawgen.report.charts import LEFT, RIGHT, WIDTH, figure, mark, scale, ticks
from dawgen.report.environment import render_page
from dawgen.storage.folder import write_text
from dawgen.storage.reading import as_dawgen_writes

REFERENCE = "dawgen-surgery"
"""The method that the others are held to, where it has cells."""


@dataclass(frozen=True, slots=True)
class Significance:
    """A method against the reference over the tasks and seeds that both have."""

    backbone: str
    method: str
    pairs: int
    points: float
    p: float
    exact: bool


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
    tables = build_tables(results)
    reference = _reference(results)
    found = costs(out)
    return {
        "name": out.resolve().name,
        "done": sum(len(cells) for cells in results.done.values()),
        "failed": sum(len(seeds) for seeds in results.failed.values()),
        "tasks": sorted({task for _, _, task in results.keys}),
        "methods": sorted({method for _, method, _ in results.keys}),
        "backbones": results.backbones,
        "tables": [_table(table) for table in tables],
        "seeds": seed_charts(results),
        "reference": reference,
        "significance": significance(results, reference) if reference else [],
        "costs": found,
        "cost_chart": _cost_chart(found),
    }


def _reference(results: Results) -> str | None:
    methods = {method for _, method, _ in results.done}
    return REFERENCE if REFERENCE in methods else min(methods, default=None)


# --- tables ----------------------------------------------------------------------------


def _table(table: Table) -> dict[str, Any]:
    columns = [*table.tasks, "average"]
    best = {column: _best(table.lines, column) for column in columns}
    lines = [
        {
            "title": line.title,
            "by": line.backbone if line.ours else f"paper, {line.backbone}",
            "ours": line.ours,
            "cells": [
                (as_text(line.figures[column], line.ours), _is(line, column, best[column]))
                for column in columns
            ],
        }
        for line in table.lines
    ]
    return {"title": title(table), "columns": columns, "lines": lines, "notes": table.notes}


def _best(lines: Sequence[Line], column: str) -> float | None:
    means = [
        found.mean
        for line in lines
        if line.ours and (found := line.figures[column]) is not None and found.mean is not None
    ]
    return max(means) if len(means) > 1 else None


def _is(line: Line, column: str, best: float | None) -> bool:
    found = line.figures[column]
    return line.ours and best is not None and found is not None and found.mean == best


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
    shapes = [
        Markup(
            '<line class="grid" x1="{0:.1f}" x2="{0:.1f}" y1="0" y2="{1}"/>'
            '<text x="{0:.1f}" y="{2}" text-anchor="middle">{3:g}</text>'
        ).format(scale(value, span, left, right), bottom, bottom + 14, value)
        for value in ticks(*span)
    ]
    for number, method in enumerate(methods):
        y = number * row + 12
        shapes.append(Markup('<text x="0" y="{}">{}</text>').format(y + 4, method))
        for seed, cell in cells[method].items():
            says = f"{method}, seed {seed}: {100 * cell.accuracy:.1f} %"
            x = scale(100 * cell.accuracy, span, left, right)
            shapes.append(mark("circle", says, kind="s0 dot", cx=x, cy=y, r=4))
        mean, std = mean_std([100 * cell.accuracy for cell in cells[method].values()])
        says = f"{method}: {mean:.1f}" + ("" if std is None else f" ± {std:.1f}")
        x = scale(mean, span, left, right)
        shapes.append(mark("rect", says, kind="s1", x=x - 1.0, y=y - 8, width=2, height=16))
    heading = f"{task} on {backbone}: accuracy in percent, a point a seed, the bar their mean"
    return figure(heading, bottom + 20, shapes)


# --- significance ----------------------------------------------------------------------


def significance(results: Results, reference: str) -> list[Significance]:
    """The reference against every other method: paired sign-flip tests over tasks and seeds."""
    found = []
    for backbone in results.backbones:
        others = sorted({m for b, m, _ in results.done if b == backbone} - {reference})
        for method in others:
            gaps = [
                100 * (ours[seed].accuracy - theirs[seed].accuracy)
                for b, m, task in results.done
                if (b, m) == (backbone, method)
                for ours, theirs in [
                    (results.seeds(backbone, reference, task), results.seeds(b, m, task))
                ]
                for seed in ours
                if seed in theirs and ours[seed].test == theirs[seed].test
            ]
            if gaps:
                test = sign_flip_test(gaps)
                found.append(
                    Significance(backbone, method, test.pairs, test.mean, test.p, test.exact)
                )
    return found


# --- cost ------------------------------------------------------------------------------


def costs(out: Path) -> list[Cost]:
    """Mean cost and accuracy of each method on each backbone."""
    cells: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for path in sorted((out / "cells").glob("*/*/*.json")):
        if not path.name.startswith(".") and not path.name.endswith(".error.json"):
            cell = json.loads(path.read_text("utf-8"))
            cells[cell["backbone"], cell["method"]].append(cell)
    return [_cost(*key, part) for key, part in sorted(cells.items())]


def _cost(backbone: str, method: str, cells: Sequence[dict[str, Any]]) -> Cost:
    def mean(key: str) -> float:
        return mean_std([cell.get(key) or 0.0 for cell in cells])[0]

    measured = all(cell.get("energy_kwh") is not None for cell in cells)
    return Cost(
        backbone,
        method,
        len(cells),
        100 * mean("accuracy"),
        mean("wall_seconds"),
        max(cell.get("peak_memory_mib") or 0.0 for cell in cells),
        1000 * mean("energy_kwh") if measured else None,
    )


def _cost_chart(found: Sequence[Cost]) -> Markup | None:
    backbones = list(dict.fromkeys(cost.backbone for cost in found))
    dots = [
        Dot(
            cost.seconds,
            cost.accuracy,
            f"{cost.method} on {cost.backbone}: {cost.accuracy:.1f} % for {cost.seconds:,.0f} s "
            f"a cell ({cost.cells} cells)",
            backbones.index(cost.backbone),
        )
        for cost in found
    ]
    return dots_chart(
        "Accuracy against seconds a cell, a point a method",
        dots,
        keys=backbones,
        labels=("seconds", "accuracy in percent"),
        radius=5,
    )
