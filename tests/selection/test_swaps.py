"""The paired tests' p by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from dawgen.selection.swaps import EXACT_ROWS, sign_test, swap_test


def test_the_sign_test_is_mcnemars_exact_one() -> None:
    assert sign_test(4, 1) == pytest.approx(2 * binom.cdf(1, 5, 0.5))
    assert sign_test(0, 0) == 1.0


def test_equal_answers_are_no_difference() -> None:
    gold = np.array([0, 1, 0, 1])
    assert swap_test(gold, gold, gold, 2) == 1.0


def test_every_pattern_of_few_rows_is_counted() -> None:
    """Two rows differ, both for the first: F1 falls with each swap of one, so of four patterns the
    one seen and its mirror are the farthest apart."""
    gold = np.array([0, 0, 1, 1])
    assert swap_test(gold, gold, np.array([0, 1, 0, 1]), 2) == 0.5
    four = np.tile(gold, 2)
    assert swap_test(four, four, np.tile([0, 1, 0, 1], 2), 2) == 2 / 16


@pytest.mark.parametrize("rows", [EXACT_ROWS, 40])
def test_both_directions_have_the_same_p(rows: int) -> None:
    random = np.random.default_rng(1)
    gold, one = random.integers(0, 3, 60), random.integers(0, 3, 60)
    other = one.copy()
    other[:rows] = (other[:rows] + 1) % 3
    p = swap_test(gold, one, other, 3)
    assert 0 < p <= 1
    assert p == pytest.approx(swap_test(gold, other, one, 3))


def test_a_rare_label_that_is_found_counts_more_than_common_rows_that_are_missed() -> None:
    """30 common rows, 10 rare ones: the first misses 10 common rows, the second all rare ones, so
    the sign test sees no difference."""
    gold = np.array([0] * 30 + [1] * 10)
    finds, blind = gold.copy(), np.zeros(40, np.int64)
    finds[:10] = 1
    assert sign_test(10, 10) == 1.0
    assert swap_test(gold, finds, blind, 2) < 0.1
