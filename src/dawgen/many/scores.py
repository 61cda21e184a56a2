"""How good answers of several labels per text are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dawgen.evaluation.balance import f1_of_counts
from dawgen.evaluation.metrics import figure_of, wilson_interval
from dawgen.selection.heads import Probabilities

if TYPE_CHECKING:
    from dawgen.tasks import TaskCard

YES = 0.5
"""A text gets the labels that are at least as likely."""


def score_many(
    card: TaskCard, gold: npt.NDArray[np.bool_], probabilities: Probabilities
) -> dict[str, Any]:
    """The figures of ``scores.json``, all plain Python values.

    ``metric``, the name of the figure that the card goes by; ``accuracy``, the share of texts that
    get exactly their labels, with ``accuracy_95``; ``n``; ``macro_f1`` and ``micro_f1``; ``labels``
    with precision, recall, f1, n and ``predicted`` of each.

    Args:
        gold: [N,C] whether a row has a label.
        probabilities: [N,C], of each label for itself.
    """
    given = probabilities >= YES
    exact = int((given == gold).all(axis=1).sum())
    hits, predicted, there = (part.sum(axis=0) for part in (given & gold, given, gold))
    f1 = f1_of_counts(hits, predicted, there)
    return {
        "metric": figure_of(card.metric),
        "accuracy": exact / len(gold),
        "accuracy_95": list(wilson_interval(exact, len(gold))),
        "n": len(gold),
        "macro_f1": float(f1.mean()),
        "micro_f1": float(f1_of_counts(hits.sum(), predicted.sum(), there.sum())),
        "labels": {
            label: {
                "precision": float(hits[i] / max(1, predicted[i])),
                "recall": float(hits[i] / max(1, there[i])),
                "f1": float(f1[i]),
                "n": int(there[i]),
                "predicted": int(predicted[i]),
            }
            for i, label in enumerate(card.labels)
        },
    }
