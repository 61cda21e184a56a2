"""Running a grid: plan the cells, skip those that are there, work on the rest, go on."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

from dawgen import methods
from dawgen.bench.cells import (
    Cell,
    Order,
    cell_record,
    shots_hashes,
    write_cell,
    write_failure,
)
from dawgen.bench.data import TaskData, load_data
from dawgen.bench.grid import Grid, grid_settings
from dawgen.bench.spread import fingerprint_on, work_on
from dawgen.bench.work import Done, Holder, units, work
from dawgen.cluster import Cluster
from dawgen.errors import UserError
from dawgen.evaluation.published import TRANSFER
from dawgen.machine.meter import Meter
from dawgen.methods.base import Task
from dawgen.settings import Settings
from dawgen.storage.folder import RunFolder
from dawgen.tasks import Shots
from dawgen.terminal.progress import say

_ACROSS = ("ppt", "spot")
"""Methods whose stored prompts hang on no shots and lie by their fingerprint: one folder serves
all tasks and seeds, so that none is trained twice."""


@dataclass
class Outcome:
    """What became of a grid's cells."""

    total: int = 0
    there: int = 0
    made: int = 0
    failures: list[type[Exception]] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """0 all done, 2 where the user can mend a failure, 1 where all are our fault."""
        if any(issubclass(kind, UserError) for kind in self.failures):
            return 2
        return 1 if self.failures else 0


@dataclass(frozen=True)
class _Part:
    """The cells of one task on one backbone."""

    data: TaskData
    backbone: str
    settings: Settings
    methods: list[str]
    shots: dict[int, Shots]

    def __len__(self) -> int:
        return len(self.methods) * len(self.shots)

    def orders(self, out: Path, fingerprint: str) -> list[Order]:
        """Every cell, method by method."""
        return [
            self._order(out, method, seed, fingerprint)
            for method in self.methods
            for seed in self.shots
        ]

    def _order(self, out: Path, method: str, seed: int, fingerprint: str) -> Order:
        data = self.data
        cell = Cell(data.card.name, method, seed, self.backbone)
        folder = out / "work" / self.backbone
        if method not in _ACROSS:
            folder = folder / cell.path(out).parent.name / str(seed)
        transfer = method in TRANSFER
        task = Task(
            data.card, data.test, folder, data.unlabelled, data.source if transfer else None
        )
        hashes = {**data.hashes, **shots_hashes(self.shots[seed])}
        if not transfer:
            hashes["source"] = None
        settings = self.settings.model_copy(update={"seed": seed})
        return Order(cell, task, self.shots[seed], settings, hashes, fingerprint)


def run_grid(
    grid: Grid,
    out: Path,
    *,
    data: Path | None = None,
    overrides: Iterable[str] = (),
    cluster: Cluster | None = None,
) -> Outcome:
    """Run every cell that is not there yet; a cell that fails is recorded and the rest goes on.

    Args:
        grid: what to run.
        out: ``cells/`` and ``settings/`` are the results, ``work/`` what methods keep.
        data: a folder with ``TASK/train.jsonl`` and ``TASK/test.jsonl``.
        overrides: settings for all cells, such as ``tuning.steps=500``.
        cluster: works on the cells; ``out`` is then on a file system that its nodes share.

    Raises:
        UserError: the grid, its rows or its settings are wrong; nothing has been run then.
    """
    _check_methods(grid.methods)
    settings = grid_settings(grid, overrides)
    parts = _plan(grid, settings, load_data(grid, data))
    progress = _Progress(sum(len(part) for part in parts))
    meter = Meter()
    with RunFolder(out).lock():
        if not (out / "cells").is_dir():
            RunFolder(out).refuse_foreign([], ["report.html"])
        if cluster:
            _run_spread(parts, grid.stack, out.resolve(), cluster, progress)
            return progress.outcome
        for name in settings:
            holder = Holder(settings[name].backbone)
            for part in (part for part in parts if part.backbone == name):
                _run_part(part, grid.stack, out, holder, meter, progress)
    return progress.outcome


def _check_methods(names: Sequence[str]) -> None:
    for name in names:
        if name not in methods.METHODS:
            near = difflib.get_close_matches(name, methods.METHODS, n=1, cutoff=0.6)
            known = ", ".join(sorted(methods.METHODS))
            hint = f"did you mean {near[0]!r}?" if near else f"there are {known}."
            raise UserError(f"There is no method {name!r}; {hint}")


def _plan(grid: Grid, settings: dict[str, Settings], tasks: Sequence[TaskData]) -> list[_Part]:
    parts = []
    for name, tree in settings.items():
        for data in tasks:
            chosen = [m for m in grid.methods if m not in TRANSFER or data.source is not None]
            shots = {seed: data.shots(tree.shots, seed) for seed in grid.seeds}
            parts.append(_Part(data, name, tree, chosen, shots))
    return [part for part in parts if len(part)]


def _run_part(
    part: _Part, stack: int, out: Path, holder: Holder, meter: Meter, progress: _Progress
) -> None:
    orders = part.orders(out, holder.get().fingerprint)
    missing = [order for order in orders if not order.is_done(out)]
    progress.skip(len(orders) - len(missing), part)
    for unit in units(missing, stack):
        for done in work(unit, holder, meter):
            progress.tell(_keep(done, out))


def _run_spread(
    parts: Sequence[_Part], stack: int, out: Path, cluster: Cluster, progress: _Progress
) -> None:
    """All parts' units at once, so that no node waits for the end of a task."""
    backbones = {part.backbone: part.settings.backbone for part in parts}
    marks = {name: fingerprint_on(cluster, spec) for name, spec in backbones.items()}
    every: list[list[Order]] = []
    for part in parts:
        orders = part.orders(out, marks[part.backbone])
        missing = [order for order in orders if not order.is_done(out)]
        progress.skip(len(orders) - len(missing), part)
        every += units(missing, stack)
    for done in work_on(cluster, every):
        progress.tell(_keep(done, out))


def _keep(done: Done, out: Path) -> tuple[Done, float | Exception]:
    """Write a cell or its failure; gives back the accuracy or the error."""
    found: float | Exception
    if isinstance(done.result, Exception):
        found = done.result
    else:
        try:
            record = cell_record(done.order, done.result, done.cost, done.shared_by)
        except Exception as error:
            found = error
        else:
            write_cell(out, done.order, record)
            return done, float(record["accuracy"])
    write_failure(out, done.order, found)
    return done, found


class _Progress:
    """One line a cell, and what is left."""

    def __init__(self, total: int) -> None:
        self.outcome = Outcome(total)
        self.number = 0
        self.begin = perf_counter()

    def skip(self, count: int, part: _Part) -> None:
        """Cells that were there already."""
        self.number += count
        self.outcome.there += count
        if count:
            say(
                f"[{self.number}/{self.outcome.total}] {part.data.card.name} on {part.backbone}: "
                f"{count} of {len(part)} cells are there already"
            )

    def tell(self, kept: tuple[Done, float | Exception]) -> None:
        """A cell that was made or failed."""
        done, found = kept
        cell = done.order.cell
        self.number += 1
        if isinstance(found, Exception):
            self.outcome.failures.append(type(found))
            said = f"failed ({type(found).__name__}): {found}"
        else:
            self.outcome.made += 1
            said = f"{100 * found:.1f} % in {_duration(done.cost.wall_seconds)}"
        say(
            f"[{self.number}/{self.outcome.total}] {cell.task} {cell.method} seed {cell.seed}: "
            f"{said}{self._left()}"
        )

    def _left(self) -> str:
        """An estimate from this run's cells so far, as if none of the rest were there already."""
        made = self.outcome.made + len(self.outcome.failures)
        left = self.outcome.total - self.number
        if not left:
            return ""
        return f"; about {_duration((perf_counter() - self.begin) / made * left)} left"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s" if seconds >= 1 else f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
