"""The input of a run: a task, its few shots and the test rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dawgen.settings import Settings
from dawgen.storage.seals import fingerprint
from dawgen.tasks import NewCard, Row, Shots, TaskCard, load_card, load_rows, packaged_data
from dawgen.tasks.in_memory import in_memory
from dawgen.tasks.load import Source
from dawgen.tasks.shots import prepare_shots
from dawgen.tasks.unlabelled import Unlabelled, load_unlabelled


@dataclass(frozen=True)
class Job:
    """The input of a run: the task, its few shots, the test rows, and texts without labels."""

    card: TaskCard
    shots: Shots
    test: list[Row] | None
    unlabelled: Unlabelled | None = None

    @property
    def scored(self) -> list[Row]:
        """The rows to score: the test rows, or the development shots without any."""
        return self.shots.dev if self.test is None else self.test


def rows_hash(rows: Sequence[Row] | None) -> str | None:
    """A hash of the rows' texts and labels, in order."""
    if rows is None:
        return None
    return fingerprint([(row.text1, row.text2, row.label) for row in rows])


Task = str | Path | TaskCard | NewCard
"""A built-in card's name, a card file, or a card."""


def card_of(task: Task) -> TaskCard:
    """The card that is meant; raises as :func:`dawgen.tasks.load_card`."""
    if isinstance(task, TaskCard):
        return task
    return task.card if isinstance(task, NewCard) else load_card(task)


def load_job(
    task: Task,
    settings: Settings,
    *,
    train: Source | None = None,
    dev: Source | None = None,
    test: Source | None = None,
    unlabelled: str | None = None,
) -> Job:
    """Read the card and the rows.

    Without ``train``, rows come from the package, for the tasks that have some there, or from the
    card's data set on the hub.
    """
    card = card_of(task)
    if train is None:
        packaged = packaged_data(card)
        train = packaged.get("train", "hub")
        dev = packaged.get("dev") if dev is None else dev
        hub_test = "hub" if card.hub and "test" in card.hub.splits else None
        test = packaged.get("test", hub_test) if test is None else test
    splits = {"train": train, "dev": dev, "test": test}
    sources = {split: source for split, source in splits.items() if source is not None}
    rows = {
        split: load_rows(card, source, split=split, skip_empty=settings.on_empty == "skip")
        for split, source in sources.items()
    }
    names = {split: split if in_memory(s) else str(s) for split, s in sources.items()}
    shots = prepare_shots(
        card,
        rows["train"],
        rows.get("dev"),
        settings.shots,
        settings.seed,
        names=(names["train"], names.get("dev", names["train"])),
        quick=settings.quick,
    )
    more = None
    if unlabelled is not None:
        known = [*shots.train, *shots.dev, *rows.get("test", [])]
        more = load_unlabelled(card, unlabelled, known)
    return Job(card, shots, rows.get("test"), more)
