"""Mean, deviation, permutation test and bootstrap against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from dawgen.evaluation.statistics import (
    DRAWS,
    EXACT_PAIRS,
    mean_std,
    paired_bootstrap,
    sign_flip_test,
)


def test_mean_and_deviation_by_hand():
    mean, std = mean_std([70.0, 72.0, 77.0])
    assert mean == 73.0
    assert std == pytest.approx(13**0.5)  # (9 + 1 + 16) / 2
    assert mean_std([70.0]) == (70.0, None)


def test_three_pairs_by_hand():
    test = sign_flip_test([1, 2, -1])  # sums ±4, ±2 twice, 0 twice; seen 2
    assert (test.p, test.patterns, test.exact, test.pairs) == (0.75, 8, True, 3)
    assert test.mean == pytest.approx(2 / 3)
    assert sign_flip_test([1, 2, 3]).p == 0.25
    assert sign_flip_test([-1, -2, -3]).p == 0.25
    assert sign_flip_test([0, 0]).p == 1


def test_rounding_does_not_hide_a_tie():
    # 0.3 and 0.1 + 0.2 are the same distance, though not the same float
    assert sign_flip_test([0.1, 0.2, -0.3]).p == 1


@pytest.mark.parametrize("pairs", [4, 9])
def test_as_scipy_counts(pairs):
    stats = pytest.importorskip("scipy.stats")
    differences = np.random.default_rng(pairs).normal(0.5, 1, pairs)
    theirs = stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", n_resamples=np.inf
    )
    assert sign_flip_test(differences).p == pytest.approx(theirs.pvalue)


def test_many_pairs_are_drawn_by_a_fixed_seed_close_to_the_exact_value():
    values = [0.4, -0.2, 0.9, 0.1, 0.3, -0.5, 0.8, 0.2, -0.1, 0.6]
    exact = sign_flip_test(values)
    assert exact.exact
    # zeros change no sum, so the p-value stays what it is
    drawn = sign_flip_test([*values, *[0.0] * EXACT_PAIRS])
    assert (drawn.exact, drawn.patterns) == (False, DRAWS)
    assert drawn.p == pytest.approx(exact.p, abs=0.005)
    assert drawn == sign_flip_test([*values, *[0.0] * EXACT_PAIRS])


def test_no_pairs():
    with pytest.raises(ValueError, match="at least one pair"):
        sign_flip_test([])


def test_bootstrap_interval_is_that_of_theory_and_seeded():
    differences = np.array([1.0] * 120 + [0.0] * 220 + [-1.0] * 60)  # mean 0.15
    interval = paired_bootstrap([differences])
    half = 1.96 * differences.std() / 400**0.5
    assert interval.low == pytest.approx(0.15 - half, abs=0.01)
    assert interval.high == pytest.approx(0.15 + half, abs=0.01)
    assert interval == paired_bootstrap([differences])


def test_bootstrap_weighs_tasks_alike_however_many_rows_they_have():
    # the small task never varies; the large one halves the spread it has alone
    large = np.array([1.0, -1.0] * 200)
    alone = paired_bootstrap([large])
    both = paired_bootstrap([large, np.full(10, 0.5)])
    assert both.low == pytest.approx(0.25 + alone.low / 2)
    assert both.high == pytest.approx(0.25 + alone.high / 2)
    assert paired_bootstrap([np.full(7, 0.5)]).low == 0.5


def test_bootstrap_without_rows():
    with pytest.raises(ValueError, match="test rows"):
        paired_bootstrap([np.array([1.0]), np.array([])])
