"""Running a grid: plan the cells, skip those that are there, work on the rest, go on."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
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
from dawgen.bench.work import Done, Worker, units, work_on
from dawgen.cluster import Cluster, backbone_fingerprint
from dawgen.errors import UserError
from dawgen.evaluation.published import TRANSFER
from dawgen.machine.meter import Meter
from dawgen.methods import true_rows
from dawgen.methods.base import Task
from dawgen.settings import Settings
from dawgen.storage.folder import RunFolder
from dawgen.tasks import Shots
from dawgen.terminal.progress import say

_ACROSS = ("ppt", "spot")
"""Methods whose stored prompts depend on no shots and are kept by their fingerprint: one folder
serves all tasks and seeds, so that none is trained twice."""


@dataclass
class Outcome:
    """What became of a grid's cells, told line by line on standard error."""

    total: int = 0
    there: int = 0
    made: int = 0
    failures: list[type[Exception]] = field(default_factory=list)
    begin: float = field(default_factory=perf_counter)

    @property
    def exit_code(self) -> int:
        """0 all done, 2 where the user can fix a failure, 1 where all are our fault."""
        if any(issubclass(kind, UserError) for kind in self.failures):
            return 2
        return 1 if self.failures else 0

    def skip(self, count: int, part: _Part) -> None:
        """Cells that were there already."""
        self.there += count
        if count:
            self._say(
                f"{part.data.card.name} on {part.backbone}: "
                f"{count} of {len(part)} cells are there already"
            )

    def tell(self, done: Done, result: float | Exception) -> None:
        """A cell that was made, with its accuracy, or failed."""
        cell = done.order.cell
        if isinstance(result, Exception):
            self.failures.append(type(result))
            message = f"failed ({type(result).__name__}): {result}"
        else:
            self.made += 1
            message = f"{100 * result:.1f} % in {_duration(done.cost.wall_seconds)}"
        # As if none of the rest were there already.
        worked = self.made + len(self.failures)
        left = (perf_counter() - self.begin) / worked * (self.total - self.there - worked)
        about = f"; about {_duration(left)} left" if left else ""
        self._say(f"{cell.task} {cell.method} seed {cell.seed}: {message}{about}")

    def _say(self, message: str) -> None:
        number = self.there + self.made + len(self.failures)
        say(f"[{number}/{self.total}] {message}")


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
            data.card,
            data.test,
            folder,
            data.unlabelled,
            data.source if transfer else None,
            data.pool if method in true_rows.PREPARED else (),
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
    skip = all(each.on_empty == "skip" for each in settings.values())
    parts = _plan(grid, settings, load_data(grid, data, skip_empty=skip))
    outcome = Outcome(sum(len(part) for part in parts))
    with RunFolder(out).lock():
        if not (out / "cells").is_dir():
            RunFolder(out).refuse_foreign([], ["report.html"])
        out = out.resolve() if cluster else out
        for done in _work(parts, grid.stack, out, cluster, outcome):
            outcome.tell(done, _keep(done, out))
    return outcome


def _work(
    parts: Sequence[_Part], stack: int, out: Path, cluster: Cluster | None, outcome: Outcome
) -> Iterator[Done]:
    """The cells that are not there yet, as they are done, failed ones among them."""

    def missing(part: _Part, fingerprint: str) -> list[list[Order]]:
        orders = part.orders(out, fingerprint)
        left = [order for order in orders if not order.is_done(out)]
        outcome.skip(len(orders) - len(left), part)
        return units(left, stack)

    if cluster:  # all parts' units at once, so that no node waits for the end of a task
        backbones = {part.backbone: part.settings.backbone for part in parts}
        marks = {
            name: cluster.call(backbone_fingerprint, settings.model_dump_json())
            for name, settings in backbones.items()
        }
        every = [unit for part in parts for unit in missing(part, marks[part.backbone])]
        yield from work_on(cluster, every)
        return
    meter = Meter()
    for _, same in groupby(parts, key=lambda part: part.backbone):
        worker: Worker | None = None
        for part in same:
            worker = worker or Worker(part.settings.backbone, meter)
            for unit in missing(part, worker.backbone.fingerprint):
                yield from worker.work(unit)


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


def _keep(done: Done, out: Path) -> float | Exception:
    """Write a cell or its failure; gives back the accuracy or the error."""
    result = done.result
    try:
        if not isinstance(result, Exception):
            record = cell_record(done.order, result, done.cost, done.shared_by)
            accuracy = float(record["accuracy"])
    except Exception as error:
        result = error
    if isinstance(result, Exception):
        write_failure(out, done.order, result)
        return result
    write_cell(out, done.order, record)
    return accuracy


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s" if seconds >= 1 else f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
