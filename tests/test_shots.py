"""Few shots: taken as given, drawn by seed, or refused."""

from __future__ import annotations

from collections import Counter

import pytest

from dawgen.errors import UserError
from dawgen.tasks import Row, TaskCard
from dawgen.tasks.shots import prepare_shots

CARD = TaskCard(
    name="toy",
    columns={"text1": "a", "label": "y"},
    labels=["good", "bad"],
    template="{text1} is",
    label_words={"good": "great", "bad": "terrible"},
)


def _rows(n: int, start: int = 0) -> list[Row]:
    return [
        Row(f"text {i} {label}", None, label)
        for i in range(start, start + n)
        for label in CARD.labels
    ]


def _shots(train, dev=None, shots=2, seed=13):
    return prepare_shots(CARD, train, dev, shots, seed, names=("train.csv", "dev.csv"))


def test_exact_files_are_taken_as_they_are() -> None:
    train, dev = _rows(2), _rows(2, 10)
    assert _shots(train, dev) == (train, dev)


def test_larger_files_are_drawn_from_by_seed() -> None:
    train, dev = _rows(9), _rows(9, 10)
    first, again, other = _shots(train, dev), _shots(train, dev), _shots(train, dev, seed=21)
    assert first == again != other
    assert Counter(row.label for row in first.train) == {"good": 2, "bad": 2}


def test_without_dev_rows_both_are_drawn_apart() -> None:
    drawn = _shots(_rows(9))
    assert not set(drawn.train) & set(drawn.dev)


@pytest.mark.parametrize(
    ("train", "dev", "words"),
    [
        (_rows(1), None, "train.csv has only 1 different rows of label 'good'.*; add rows\\.$"),
        ([Row("x", None, "good")], None, "one label only"),
        (_rows(2), _rows(2), "4 of its rows are in train.csv too"),
        (_rows(2), _rows(1, 10), "dev.csv has 1 rows"),
        (_rows(3), None, "need 4; add rows, or use fewer with -s shots=1"),
    ],
)
def test_too_little_is_refused(train, dev, words: str) -> None:
    with pytest.raises(UserError, match=words):
        _shots(train, dev)


def test_rows_that_stand_there_twice_are_drawn_once(capsys: pytest.CaptureFixture[str]) -> None:
    dev, more = _rows(2, 10), [*_rows(3), *_rows(3), *_rows(3)]
    assert len(set(_shots(more, dev).train)) == 4
    few = [*_rows(1), *_rows(1), *_rows(1)]
    with pytest.raises(UserError, match="without duplicates, has 1 rows of label 'good'"):
        _shots(few, dev)
    twice = [*_rows(1), *_rows(1)]
    assert _shots(twice, dev).train == twice  # exactly as many as asked for: as the user has them
    assert "2 of its 4 rows are duplicates" in capsys.readouterr().err
