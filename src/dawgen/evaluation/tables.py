"""The paper's three tables rebuilt from the cells of a benchmark, ours beside the paper's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import get_args

from dawgen.errors import UserError
from dawgen.evaluation.published import (
    PAPER_ROWS,
    TRANSFER,
    PaperRow,
    paper_backbones,
    paper_scores,
    paper_tasks,
    published,
    remark,
)
from dawgen.evaluation.results import Results
from dawgen.evaluation.statistics import mean_std
from dawgen.settings.selection import CandidateName

FURTHER = 0
"""Number of the table of methods that the paper's tables do not have."""
CANDIDATES = -1
"""Number of the table of what whole runs chose from."""
SHIPPED = "shipped"
_ORDER = (SHIPPED, *get_args(CandidateName))
_CAPTIONS = {FURTHER: "Further methods", CANDIDATES: "What whole runs chose from"}
_MARKS = (
    "Accuracy in percent, ours as mean ± standard deviation (n - 1) over seeds. "
    "† one seed only; – no figure; ! a seed failed."
)


@dataclass(frozen=True)
class Figure:
    """One entry of a table, in percent.

    Attributes:
        mean: None where every seed failed.
        std: with n - 1; None of a single seed, and of the paper's figures.
        seeds: accuracy by seed; empty for the paper's figures.
        failed: seeds that failed.
    """

    mean: float | None
    std: float | None = None
    seeds: dict[int, float] = field(default_factory=dict)
    failed: tuple[int, ...] = ()


@dataclass(frozen=True)
class Line:
    """One row of a table: a method on a backbone, by us or by the paper."""

    title: str
    method: str
    backbone: str
    ours: bool
    figures: dict[str, Figure | None]
    """By task, and ``average``."""


@dataclass(frozen=True)
class Table:
    """A table with what is to be said about it."""

    number: int
    caption: str
    tasks: list[str]
    """Its columns; the average follows."""
    lines: list[Line]
    notes: list[str]


def build_tables(
    results: Results, wanted: int | None = None, tasks: Sequence[str] = ()
) -> list[Table]:
    """The tables that have cells, or the one that is wanted, with or without.

    Args:
        wanted: 1, 2 or 3; None for all that have cells, and one of further methods.
        tasks: the columns; all tasks that have cells without.

    Raises:
        UserError: a task that has no cells.
    """
    columns = _columns(results, tasks)
    layout: dict[int, tuple[PaperRow, ...]] = {**PAPER_ROWS, FURTHER: _further(results)}
    numbers = [wanted] if wanted is not None else list(layout)
    found = []
    for number in numbers:
        methods = {row.method for row in layout[number]}
        if wanted is not None or any(method in methods for _, method, _ in results.keys):
            found.append(_table(number, layout[number], results, columns))
    runs = results.of_candidates(SHIPPED)
    if wanted is None and runs.done:
        names = sorted({name for _, name, _ in runs.done}, key=_ORDER.index)
        of_runs = [task for task in columns if any(task == key[2] for key in runs.done)]
        rows = [PaperRow(name, name) for name in names]
        found.append(_table(CANDIDATES, rows, runs, of_runs))
    return found


def _columns(results: Results, wanted: Sequence[str]) -> list[str]:
    tried = {task for _, _, task in results.keys}
    for task in wanted:
        if task not in tried:
            raise UserError(f"No cell is of task {task!r}; there are {', '.join(sorted(tried))}.")
    order = [*paper_tasks(), *sorted(tried - set(paper_tasks()))]
    return [task for task in order if task in (wanted or tried)]


def _further(results: Results) -> tuple[PaperRow, ...]:
    known = {row.method for rows in PAPER_ROWS.values() for row in rows}
    others = sorted({method for _, method, _ in results.keys} - known)
    return tuple(PaperRow(method, method) for method in others)


def _table(
    number: int, rows: Sequence[PaperRow], results: Results, columns: Sequence[str]
) -> Table:
    shared = _shared_tasks(rows, results, columns)
    lines = []
    for row in rows:
        lines += [_our_line(row, name, results, columns, shared) for name in results.backbones]
        lines += [
            _paper_line(number, row, name, columns, shared)
            for name in _beside(number, results)
            if paper_scores(number, name, row)
        ]
    caption = _CAPTIONS.get(number) or published()[f"table{number}"]["caption"]
    notes = _notes(number, results, shared)
    return Table(number, str(caption), list(columns), lines, notes)


def _beside(number: int, results: Results) -> list[str]:
    """The paper's backbones to show: those that ours are, or all where ours are others."""
    if number in _CAPTIONS:
        return []
    names = paper_backbones(number)
    same = [name for name in names if name in results.backbones]
    return same or names


def _shared_tasks(rows: Sequence[PaperRow], results: Results, columns: Sequence[str]) -> list[str]:
    """Tasks on which all methods with any cells can be averaged; transfer may lack some."""
    methods = {row.method for row in rows if row.method not in TRANSFER}
    pairs = {(b, m) for b, m, task in results.done if m in methods and task in columns}
    return [
        task
        for task in columns
        if pairs and all(results.seeds(backbone, method, task) for backbone, method in pairs)
    ]


def _our_line(
    row: PaperRow, backbone: str, results: Results, columns: Sequence[str], shared: Sequence[str]
) -> Line:
    figures: dict[str, Figure | None] = {}
    for task in columns:
        cells = results.seeds(backbone, row.method, task)
        seeds = {seed: 100 * cell.accuracy for seed, cell in cells.items()}
        failed = tuple(sorted(results.failed.get((backbone, row.method, task), [])))
        mean, std = mean_std(list(seeds.values())) if seeds else (None, None)
        figures[task] = Figure(mean, std, seeds, failed) if seeds or failed else None
    figures["average"] = _average([figures[task] for task in shared])
    return Line(row.title, row.method, backbone, True, figures)


def _average(figures: Sequence[Figure | None]) -> Figure | None:
    """Mean of the tasks' means; its deviation over the seeds that every task has."""
    known = [figure for figure in figures if figure is not None]
    means = [figure.mean for figure in known if figure.mean is not None]
    if not means or len(means) < len(figures):
        return None
    seeds = [s for s in known[0].seeds if all(s in figure.seeds for figure in known)]
    by_seed = {s: mean_std([figure.seeds[s] for figure in known])[0] for s in seeds}
    std = mean_std(list(by_seed.values()))[1] if by_seed else None
    failed = tuple(sorted({seed for figure in known for seed in figure.failed}))
    return Figure(mean_std(means)[0], std, by_seed, failed)


def _paper_line(
    number: int, row: PaperRow, backbone: str, columns: Sequence[str], shared: Sequence[str]
) -> Line:
    scores = paper_scores(number, backbone, row) or {}
    printed = {task: scores.get(task) for task in columns}
    if list(shared) == paper_tasks():
        printed["average"] = scores["average"]
    else:
        parts = [value for task in shared if (value := scores.get(task)) is not None]
        whole = bool(parts) and len(parts) == len(shared)
        printed["average"] = mean_std(parts)[0] if whole else None
    figures = {key: None if value is None else Figure(value) for key, value in printed.items()}
    return Line(row.title, row.method, backbone, False, figures)


def _notes(number: int, results: Results, shared: Sequence[str]) -> list[str]:
    notes = [_MARKS]
    if shared:
        over = ", ".join(shared)
        notes.append(f"The average is over the tasks that all methods but transfer have: {over}.")
        if number not in _CAPTIONS and list(shared) != paper_tasks():
            notes.append("The paper's rows are averaged over the same tasks, by us.")
    for backbone in results.backbones:
        own = [cells for (name, _, _), cells in results.done.items() if name == backbone]
        made = {cell.settings for cells in own for cell in cells.values()}
        if len(made) > 1:
            notes.append(f"The cells of {backbone} were made with {len(made)} different settings.")
    if number not in _CAPTIONS:
        notes.append(f"Paper: {published()['source']}")
        notes += [text] if (text := remark(number)) else []
    return notes
