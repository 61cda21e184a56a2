"""What a run is about: a task, its few shots and the rows to score, read from files or the hub."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from dawgen.settings import Settings
from dawgen.tasks import Row, Shots, TaskCard, load_card, load_rows, packaged_data
from dawgen.tasks.shots import prepare_shots


@dataclass(frozen=True)
class Job:
    """What a run is about: the task, its few shots, and the rows to score."""

    card: TaskCard
    shots: Shots
    test: list[Row] | None

    @property
    def scored(self) -> list[Row]:
        """The rows to score: the test rows, or the development shots without any."""
        return self.shots.dev if self.test is None else self.test


def rows_hash(rows: Sequence[Row] | None) -> str | None:
    """A hash of the rows' texts and labels, in order."""
    if rows is None:
        return None
    text = json.dumps([(row.text1, row.text2, row.label) for row in rows], ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def load_job(
    task: str,
    settings: Settings,
    *,
    train: str | None = None,
    dev: str | None = None,
    test: str | None = None,
) -> Job:
    """Read the card and the rows.

    Without any file the rows come with the package, for the tasks that have some, or from
    the card's data set on the hub.
    """
    card = load_card(task)
    if train is None:
        packaged = packaged_data(card)
        train = packaged.get("train", "hub")
        dev = packaged.get("dev") if dev is None else dev
        hub_test = "hub" if card.hub and "test" in card.hub.splits else None
        test = packaged.get("test", hub_test) if test is None else test
    skip = settings.on_empty == "skip"

    def read(source: str | None, split: str) -> list[Row] | None:
        return None if source is None else load_rows(card, source, split=split, skip_empty=skip)

    train_rows = load_rows(card, train, split="train", skip_empty=skip)
    dev_rows, test_rows = read(dev, "dev"), read(test, "test")
    names = (train, dev or train)
    shots = prepare_shots(card, train_rows, dev_rows, settings.shots, settings.seed, names=names)
    return Job(card, shots, test_rows)
