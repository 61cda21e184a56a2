"""How good predictions are: accuracy, per-label figures, confusion, calibration."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dawgen.evaluation.balance import macro_f1_interval

if TYPE_CHECKING:
    from dawgen.tasks import TaskCard
    from dawgen.tasks.card import Metric

ECE_BINS = 15


def score(
    card: TaskCard, labels: Sequence[str | None], probabilities: npt.NDArray[np.floating[Any]]
) -> dict[str, Any]:
    """The figures of ``scores.json``, all plain Python values.

    ``metric``, the name of the figure that the card goes by (``accuracy`` or ``macro_f1``),
    ``accuracy`` with ``accuracy_95`` (Wilson's interval: what so many test rows can tell, the
    draw of the shots not included), ``n``, ``labels`` (precision, recall, f1, n and ``predicted``,
    how often the label was predicted, of each), ``macro_f1`` (and ``macro_f1_95``, a bootstrap's,
    where the card goes by it), ``confusion`` (gold label, then predicted label), ``ece`` over
    ``ece_bins`` bins.

    Args:
        labels: gold label of each of N rows.
        probabilities: [N,C], rows summing to 1.

    Raises:
        ValueError: no rows, an unlabelled row, or shapes that do not fit.
    """
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    if not labels or any(label is None for label in labels):
        raise ValueError("scoring needs rows, and a gold label of each")
    if probabilities.shape != (len(labels), len(card.labels)):
        raise ValueError(
            f"probabilities are {list(probabilities.shape)} for {len(labels)} rows of "
            f"{len(card.labels)} labels"
        )
    classes = list(range(len(card.labels)))
    gold = np.array([card.label_index(str(label)) for label in labels])
    predicted = probabilities.argmax(axis=1)
    hits = int((gold == predicted).sum())
    precision, recall, f1, counts = precision_recall_fscore_support(
        gold, predicted, labels=classes, zero_division=0.0
    )
    matrix = confusion_matrix(gold, predicted, labels=classes)
    metric = figure_of(card.metric)
    interval = {"macro_f1_95": list(macro_f1_interval(matrix))} if metric == "macro_f1" else {}
    return {
        "metric": metric,
        "accuracy": hits / len(gold),
        "accuracy_95": list(wilson_interval(hits, len(gold))),
        "n": len(gold),
        "macro_f1": float(f1.mean()),
        **interval,
        "labels": {
            label: {
                "precision": float(precision[i]),
                "recall": float(recall[i]),
                "f1": float(f1[i]),
                "n": int(counts[i]),
                "predicted": int(matrix[:, i].sum()),
            }
            for i, label in enumerate(card.labels)
        },
        "confusion": {
            label: {other: int(matrix[i, j]) for j, other in enumerate(card.labels)}
            for i, label in enumerate(card.labels)
        },
        "ece": expected_calibration_error(probabilities, gold),
        "ece_bins": ECE_BINS,
    }


def figure_of(metric: Metric) -> str:
    """The key of ``scores.json`` that holds a card's metric."""
    return metric.replace("-", "_")


def expected_calibration_error(
    probabilities: npt.NDArray[np.floating[Any]], gold: npt.NDArray[np.integer[Any]]
) -> float:
    """Mean gap between confidence and accuracy (Naeini et al. 2015; Guo et al. 2017).

    Confidence is the largest of a row's C probabilities; the bins are ``ECE_BINS`` of equal
    width on (0, 1], each closed on its right; each bin's gap weighs as many rows as it holds.
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    hit = (probabilities.argmax(axis=1) == gold).astype(np.float64)
    bins = np.clip(np.ceil(confidence * ECE_BINS).astype(int), 1, ECE_BINS) - 1
    gaps = np.bincount(bins, weights=hit - confidence, minlength=ECE_BINS)
    return float(np.abs(gaps).sum() / len(gold))


def wilson_interval(hits: int, n: int, z: float = 1.959964) -> tuple[float, float]:
    """95% interval of a share of ``hits`` in ``n`` (Wilson 1927)."""
    share = hits / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, middle - half), min(1.0, middle + half)
