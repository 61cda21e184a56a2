"""Paired tests of two classifiers on the same rows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dawgen.evaluation.balance import f1_of_counts

EXACT_ROWS = 12
"""Up to so many rows with different answers every pattern of swaps is counted: 2^12 of them."""
DRAWS = 4096
"""Random patterns where there are more rows."""
_SEED = 0
_TOLERANCE = 1e-9

Answers = npt.NDArray[np.int64]


def sign_test(better: int, worse: int) -> float:
    """Two-sided p of the exact sign test over rows that one of two gets right (McNemar)."""
    from scipy.stats import binomtest

    apart = better + worse
    return float(binomtest(better, apart).pvalue) if apart else 1.0


def swap_test(gold: Answers, first: Answers, second: Answers, labels: int) -> float:
    """Two-sided p of a difference in macro-F1, by swapping the answers of two classifiers row by
    row (approximate randomisation, Yeh 2000).

    Args:
        gold: [N] label numbers.
        first, second: [N] the two classifiers' answers.
        labels: C.
    """
    apart = first != second
    if not apart.any():
        return 1.0
    same_gold, same = gold[~apart], first[~apart]
    hits = np.bincount(same[same == same_gold], minlength=labels)
    given, there = np.bincount(same, minlength=labels), np.bincount(gold, minlength=labels)
    swaps = _patterns(int(apart.sum()))  # [R, D]
    one, other = (np.eye(labels)[answers[apart]] for answers in (first, second))  # [D, C]
    truth = np.eye(labels)[gold[apart]]

    def values(swapped: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """[R] macro-F1 of the first, whose answers are the second's where these are swapped."""
        right = (1 - swapped) @ (one * truth) + swapped @ (other * truth)
        answered = (1 - swapped) @ one + swapped @ other
        found: npt.NDArray[np.float64] = f1_of_counts(hits + right, given + answered, there).mean(1)
        return found

    gaps = np.abs(values(swaps) - values(1 - swaps))
    return float((gaps >= gaps[0] - _TOLERANCE).mean())


def _patterns(rows: int) -> npt.NDArray[np.float64]:
    """[R,rows] zeros and ones; the first swaps nothing."""
    if rows <= EXACT_ROWS:
        return ((np.arange(2**rows)[:, None] >> np.arange(rows)) & 1).astype(np.float64)
    drawn = np.random.default_rng(_SEED).integers(0, 2, size=(DRAWS, rows))
    drawn[0] = 0
    return drawn.astype(np.float64)
