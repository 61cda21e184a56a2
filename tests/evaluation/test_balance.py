"""Figures by hand to which every label counts the same."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import f1_score

from dawgen.evaluation.balance import label_weights, macro_f1, macro_f1_interval

RARE = np.array([0] * 9 + [1] * 3)


def test_rows_of_each_label_weigh_the_same_in_all() -> None:
    weights = label_weights(RARE, "macro-f1")
    np.testing.assert_allclose(weights, [12 / 18] * 9 + [2.0] * 3)
    assert weights.mean() == pytest.approx(1)
    assert label_weights(RARE, "accuracy").tolist() == [1.0] * 12
    assert label_weights(np.array([0, 1, 1, 0]), "macro-f1").tolist() == [1.0] * 4


def test_a_label_without_rows_takes_no_weight() -> None:
    np.testing.assert_allclose(label_weights(np.array([0, 2, 2, 2]), "macro-f1"), [2, *[2 / 3] * 3])
    assert label_weights(np.array([], int), "macro-f1").shape == (0,)


def test_macro_f1_is_scikit_learns() -> None:
    random = np.random.default_rng(0)
    gold, predicted = random.integers(0, 3, 50), random.integers(0, 3, 50)
    theirs = f1_score(gold, predicted, labels=[0, 1, 2, 3], average="macro", zero_division=0)
    assert macro_f1(gold, predicted, 4) == pytest.approx(theirs)


def test_the_interval_holds_the_value_and_shrinks_with_more_rows() -> None:
    few = np.array([[8, 2], [3, 7]])
    value = (16 / 21 + 14 / 19) / 2
    low, high = macro_f1_interval(few)
    assert 0 < low < value < high < 1
    wide, narrow = high - low, np.diff(macro_f1_interval(few * 100))[0]
    assert narrow == pytest.approx(wide / 10, rel=0.2)
    assert macro_f1_interval([[5, 0], [0, 5]]) == (1.0, 1.0)
