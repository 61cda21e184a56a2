"""Statistics over seeds and between two methods: mean, deviation, two paired tests."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dawgen.streams import Streams

EXACT_PAIRS = 20
"""Up to so many pairs every pattern of signs is counted: 2^20 of them."""
DRAWS = 100_000
"""Random patterns of signs where there are more pairs."""
RESAMPLES = 10_000
"""Of the bootstrap."""
_SEED = 0
_CHUNK = 1000
_TOLERANCE = 1e-9


def mean_std(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean, and standard deviation with n - 1 (None of a single value)."""
    mean = math.fsum(values) / len(values)
    if len(values) < 2:
        return mean, None
    squares = math.fsum((value - mean) ** 2 for value in values)
    return mean, math.sqrt(squares / (len(values) - 1))


@dataclass(frozen=True)
class SignFlip:
    """A paired sign-flip permutation test, two-sided."""

    mean: float
    p: float
    """Share of the sign patterns whose mean is as far from zero or farther."""
    patterns: int
    exact: bool
    """Whether these are all patterns, or a random draw."""
    pairs: int


def sign_flip_test(differences: Sequence[float]) -> SignFlip:
    """Could the differences as well have the other sign? (Fisher's randomisation test)

    Under the null hypothesis each pair's two systems could be swapped, so that every pattern
    of signs is as likely as the one seen. Up to ``EXACT_PAIRS`` pairs all 2^n are counted; of
    more, ``DRAWS`` are drawn by a fixed seed, and the one seen counts as one of them.
    """
    if not len(differences):
        raise ValueError("the test needs at least one pair")
    values = np.asarray(differences, dtype=np.float64)
    seen = abs(float(values.sum()))
    least = seen - _TOLERANCE * max(1.0, float(np.abs(values).sum()))
    mean = float(values.mean())
    if len(values) <= EXACT_PAIRS:
        sums = np.zeros(1)
        for value in values:
            sums = np.concatenate([sums + value, sums - value])
        share = float((np.abs(sums) >= least).mean())
        return SignFlip(mean, share, len(sums), True, len(values))
    generator = Streams(_SEED).numpy("sign-flip")
    hits = 0
    for begin in range(0, DRAWS, _CHUNK):
        size = (min(_CHUNK, DRAWS - begin), len(values))
        signs = generator.integers(0, 2, size=size) * 2.0 - 1.0
        hits += int((np.abs(signs @ values) >= least).sum())
    return SignFlip(mean, (hits + 1) / (DRAWS + 1), DRAWS, False, len(values))


@dataclass(frozen=True)
class Interval:
    """A 95 % interval of a difference, and how many resamples it comes from."""

    low: float
    high: float
    resamples: int


def paired_bootstrap(differences: Sequence[npt.NDArray[np.floating[Any]]]) -> Interval:
    """Percentile interval of the mean over tasks of the mean difference over test rows.

    Test rows are drawn with replacement, task by task, by a fixed seed. Both systems are
    scored on the same drawn rows; their seeds are not resampled.

    Args:
        differences: for each task, [N] differences of being right, one a test row.
    """
    if not len(differences) or any(not len(task) for task in differences):
        raise ValueError("the bootstrap needs test rows of every task")
    means = np.zeros(RESAMPLES)
    for number, task in enumerate(differences):
        values = np.asarray(task, dtype=np.float64)
        generator = Streams(_SEED).numpy("bootstrap", str(number))
        for begin in range(0, RESAMPLES, _CHUNK):
            end = min(begin + _CHUNK, RESAMPLES)
            drawn = generator.integers(0, len(values), size=(end - begin, len(values)))
            means[begin:end] += values[drawn].mean(axis=1) / len(differences)
    low, high = np.quantile(means, [0.025, 0.975])
    return Interval(float(low), float(high), RESAMPLES)
