"""The rows of a grid: pools, test rows that are the same for all, shots by seed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from dawgen.bench.grid import Data, Grid, folder_name
from dawgen.errors import UserError
from dawgen.methods.base import Source
from dawgen.streams import Streams
from dawgen.tasks import Row, Shots, TaskCard, load_card, load_rows, sample_shots
from dawgen.tasks.job import rows_hash

TEST_SEED = 0
"""Draws the test rows of every grid, whatever the seeds of its cells."""


@dataclass(frozen=True)
class TaskData:
    """What the cells of one task share.

    Attributes:
        card: the task.
        pool: labelled rows that the shots are drawn from.
        test: rows to score.
        source: for methods of transfer, where the grid names one.
    """

    card: TaskCard
    pool: list[Row]
    test: list[Row]
    source: Source | None

    @cached_property
    def unlabelled(self) -> list[Row]:
        """The pool without its labels."""
        return [replace(row, label=None) for row in self.pool]

    @cached_property
    def hashes(self) -> dict[str, str | None]:
        """Of the rows that all seeds share."""
        return {
            "pool": rows_hash(self.pool),
            "test": rows_hash(self.test),
            "source": rows_hash(self.source.rows) if self.source else None,
        }

    def shots(self, count: int, seed: int) -> Shots:
        """``count`` rows per label for training and as many for development.

        Raises:
            UserError: the pool has too few.
        """
        name = f"The pool of {self.card.name}"
        return sample_shots(self.card, self.pool, count, seed, name=name)


def load_data(
    grid: Grid, folder: Path | None = None, *, skip_empty: bool = False
) -> list[TaskData]:
    """The rows of every task of the grid.

    Args:
        skip_empty: leave out rows with an empty text, which are an error otherwise.
        folder: takes the place of the grid's patterns: ``TASK/train.jsonl`` and
            ``TASK/test.jsonl`` below it.
    """
    if folder is not None and not folder.is_dir():
        raise UserError(f"There is no data folder {folder}; check --data.")
    place = grid.data
    if folder is not None:
        pattern = str(folder).replace("{", "{{").replace("}", "}}") + "/{task}"
        place = Data(pool=f"{pattern}/train.jsonl", test=f"{pattern}/test.jsonl")
    cards = {name: load_card(name) for name in grid.tasks}
    names = [card.name for card in cards.values()]
    if len({folder_name(name) for name in names}) < len(names):
        raise UserError(
            f"Two cards of the grid have the same name, or names that make the same folder "
            f"({', '.join(names)})."
        )
    pools: dict[str, Source] = {}

    def pool(task: str) -> Source:
        if task not in pools:
            card = cards.get(task) or load_card(task)
            rows = load_rows(card, _fill(place.pool, card), split="train", skip_empty=skip_empty)
            pools[task] = Source(card, rows)
        return pools[task]

    found = []
    for task, card in cards.items():
        test = load_rows(card, _fill(place.test, card), split="test", skip_empty=skip_empty)
        source = pool(grid.sources[task]) if task in grid.sources else None
        rows = list(pool(task).rows)
        found.append(TaskData(card, rows, capped(card, test, grid.test_rows), source))
    return found


def _fill(pattern: str, card: TaskCard) -> str:
    try:
        return pattern.format(task=card.name)
    except (KeyError, IndexError, ValueError):
        raise UserError(
            f"The data pattern {pattern!r} cannot be filled; {{task}} is its only placeholder."
        ) from None


def capped(card: TaskCard, rows: list[Row], most: int | None) -> list[Row]:
    """At most ``most`` of the rows, in their order, drawn by a stream of the task alone."""
    if most is None or len(rows) <= most:
        return rows
    order = Streams(TEST_SEED).numpy("test-rows", card.name).permutation(len(rows))
    return [rows[i] for i in sorted(order[:most])]
