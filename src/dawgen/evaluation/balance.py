"""Figures to which every label counts the same, however few rows it has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from dawgen.tasks.card import Metric

RESAMPLES = 1000
"""Of the bootstrap."""
_SEED = 0

Counts = npt.NDArray[np.integer[Any]]
Floats = npt.NDArray[np.float64]


def label_weights(gold: Counts, metric: Metric) -> Floats:
    """Weights [N] of rows, of mean 1: for macro-F1 those of each label that has rows sum to the
    same, else all are 1.

    Args:
        gold: [N] label numbers.
    """
    if metric == "accuracy" or not len(gold):
        return np.ones(len(gold))
    counts = np.bincount(gold)
    return len(gold) / (np.count_nonzero(counts) * counts[gold].astype(np.float64))


def f1_of_counts(hits: Any, predicted: Any, gold: Any) -> Floats:
    """F1 of labels that were given ``hits`` times rightly, ``predicted`` times in all, and that
    ``gold`` rows have; 0 of a label that neither was given nor has rows. Any shapes that fit."""
    both = np.asarray(predicted + gold, dtype=np.float64)
    found: Floats = 2 * np.asarray(hits, dtype=np.float64) / np.where(both == 0, 1.0, both)
    return found


def macro_f1(gold: Counts, predicted: Counts, labels: int) -> float:
    """Mean F1 of all C labels.

    Args:
        gold: [N] label numbers.
        predicted: [N] label numbers.
        labels: C.
    """
    hits, given, there = (
        np.bincount(part, minlength=labels) for part in (gold[gold == predicted], predicted, gold)
    )
    return float(f1_of_counts(hits, given, there).mean())


def macro_f1_interval(confusion: npt.ArrayLike) -> tuple[float, float]:
    """95 % interval of macro-F1: percentiles of a bootstrap over the rows, by a fixed seed.

    Args:
        confusion: [C,C] rows by gold and by predicted label.
    """
    matrix = np.asarray(confusion)
    gold, predicted = np.nonzero(matrix)
    counts = matrix[gold, predicted]
    labels = np.arange(len(matrix))
    draws = np.random.default_rng(_SEED).multinomial(
        counts.sum(), counts / counts.sum(), size=RESAMPLES
    )
    of_gold = (gold[:, None] == labels).astype(np.float64)  # [cells, C]
    of_predicted = (predicted[:, None] == labels).astype(np.float64)
    hits = draws @ (of_gold * of_predicted)
    values = f1_of_counts(hits, draws @ of_predicted, draws @ of_gold).mean(axis=1)
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)
