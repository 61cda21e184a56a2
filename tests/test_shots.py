"""Few shots: taken as given, drawn by seed, or refused."""

from __future__ import annotations

import re
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


def test_one_file_of_sixteen_per_label_is_enough(capsys: pytest.CaptureFixture[str]) -> None:
    rows = _rows(16)
    train, dev = _shots(rows, shots=16)
    assert Counter(row.label for row in train) == {"good": 10, "bad": 10}
    assert sorted([*train, *dev], key=str) == sorted(rows, key=str)
    assert (
        "16 rows per label: 20 rows are learned from, and the other 12" in capsys.readouterr().err
    )
    assert _shots(rows, shots=16) == (train, dev) != _shots(rows, shots=16, seed=21)


def test_rows_that_are_left_out_are_mentioned(capsys: pytest.CaptureFixture[str]) -> None:
    said = "40 rows per label; 32 at most are used, .* --shots 20 uses them all"
    drawn = _shots(_rows(40), shots=16)
    assert len(drawn.train) == len(drawn.dev) == 2 * 16
    assert re.search(said, " ".join(capsys.readouterr().err.split()))
    drawn = _shots(_rows(40), shots=20)
    assert len(drawn.train) + len(drawn.dev) == 2 * 40
    assert "--shots" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("good", "bad", "train", "dev"),
    [(4, 4, (2, 2), (2, 2)), (5, 40, (3, 16), (2, 16)), (31, 9, (16, 6), (15, 3))],
)
def test_unequal_labels_are_used_in_full(
    good: int, bad: int, train: tuple[int, int], dev: tuple[int, int]
) -> None:
    rows = [*_rows(50)]
    of = {label: [row for row in rows if row.label == label] for label in CARD.labels}
    drawn = _shots([*of["good"][:good], *of["bad"][:bad]], shots=16)
    for part, counts in zip(drawn, (train, dev), strict=True):
        assert tuple(Counter(row.label for row in part)[c] for c in CARD.labels) == counts
    assert not set(drawn.train) & set(drawn.dev)


def test_files_of_fewer_rows_than_shots_are_taken_as_they_are() -> None:
    train, dev = [*_rows(5), Row("one more", None, "good")], _rows(4, 10)
    assert _shots(train, dev, shots=16) == (train, dev)


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


@pytest.mark.parametrize(
    ("dev", "words"),
    [
        (_rows(9, 10), "3 rows of label 'good', fewer than the 4 that are needed"),
        (None, "only 3 different rows of label 'good', but .* need 4"),
    ],
)
def test_three_rows_per_label_are_too_few(dev: list[Row] | None, words: str) -> None:
    with pytest.raises(UserError, match=words):
        _shots(_rows(3), dev, shots=16)


def test_rows_that_stand_there_twice_are_drawn_once(capsys: pytest.CaptureFixture[str]) -> None:
    dev, more = _rows(2, 10), [*_rows(3), *_rows(3), *_rows(3)]
    assert len(set(_shots(more, dev).train)) == 4
    few = [*_rows(1), *_rows(1), *_rows(1)]
    with pytest.raises(UserError, match="without duplicates, has 1 rows of label 'good'"):
        _shots(few, dev)
    twice = [*_rows(1), *_rows(1)]
    assert _shots(twice, dev).train == twice  # exactly as many as asked for: as the user has them
    assert "2 of its 4 rows are duplicates" in capsys.readouterr().err
