"""Five hand-written test rows, two of which are shots in other clothes."""

from __future__ import annotations

from dawgen.evaluation import overlap
from dawgen.tasks import Row

SHOTS = [
    Row("A man doesn't sleep .", "He is awake.", "entailment"),
    Row("Two dogs, running.", "Cats.", "contradiction"),
]
TEST = [
    Row("A man does n't  sleep.", "He is awake .", "neutral"),
    Row("A man doesn't sleep.", "He is tired.", "entailment"),
    Row("Cats.", "Two dogs, running.", "contradiction"),
    Row("TWO dogs , running .", "cats.", None),
    Row("Two dogs running.", "Cats.", "contradiction"),
]


def test_pairs_are_found_by_both_texts_in_order() -> None:
    found = overlap(SHOTS, TEST)
    assert (found.count, found.rows, found.n) == (2, [1, 4], 5)
    assert "2 of the 5 test rows are among the few shots too (row 1, 4)" in found.sentence()


def test_single_texts_and_none() -> None:
    shots = [Row("Fine .", None, "positive")]
    assert overlap(shots, [Row("fine.", None, "negative")]).count == 1
    assert "1 of the 1 test rows is" in overlap(shots, [Row("fine.", None, None)]).sentence()
    none = overlap(shots, [Row("poor", None, None)])
    assert none.count == 0
    assert none.sentence() == "none of the 1 test rows is among the few shots"


def test_every_copy_in_the_test_rows_counts() -> None:
    found = overlap(SHOTS, [SHOTS[0]] * 7)
    assert found.count == 7
    assert "row 1, 2, 3, 4, 5, ...)" in found.sentence()
