"""Several classifiers as one: products of experts, and means of these."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from dawgen.evaluation.balance import label_weights

if TYPE_CHECKING:
    from dawgen.selection.heads import Numbers, Probabilities
    from dawgen.tasks.card import Metric

_PRIOR, _PRIOR_OF_MORE = 16.0, 4.0
"""Of two experts and of more. Half of it times the squared distance of the exponents to 1/K, in
nats, is added to the loss that is summed over held-out rows. Of 4, 16 and 32, and of 1 to 16, they
were the best on pool rows (docs/log.md)."""
PRIOR_OF_TUNED = 128.0
"""The same where one of them is tuned, whose held-out rows show half of what it can. Of 4 to 128
and equal shares the best on pool rows (docs/log.md)."""
_LEAST = 1e-30

Exponents = npt.NDArray[np.float64]


def product(experts: Sequence[Probabilities], exponents: Sequence[float]) -> Probabilities:
    """p(label) [N,C] in proportion to Π_k p_k^a_k (logarithmic pooling, Genest and Zidek 1986).

    Args:
        experts: K of [N,C]; a row that is NaN in one is NaN.
        exponents: a_k.
    """
    logs = sum(a * _logs(each) for a, each in zip(exponents, experts, strict=True))
    chances = np.exp(logs - logs.max(axis=1, keepdims=True))  # type: ignore[union-attr]
    found: Probabilities = (chances / chances.sum(axis=1, keepdims=True)).astype(np.float32)
    return found


def pooled(parts: Sequence[Probabilities], groups: Sequence[int]) -> Probabilities:
    """[N,C]: the product of the parts of each group, and the mean over groups.

    Args:
        parts: K of [N,C].
        groups: K numbers; parts of one number are a group.
    """
    members = [
        [part for part, its in zip(parts, groups, strict=True) if its == group]
        for group in dict.fromkeys(groups)
    ]
    products = [product(each, [1.0] * len(each)) if len(each) > 1 else each[0] for each in members]
    found: Probabilities = np.mean(products, axis=0)
    return found


def pooled_questions(parts: Sequence[Probabilities], groups: Sequence[int]) -> Probabilities:
    """As :func:`pooled`, of rows that may have several labels or none: each label is a question of
    its own, and [N,C] are probabilities of yes."""
    found = pooled([as_questions(part) for part in parts], groups)
    yes: Probabilities = found[:, 1].reshape(parts[0].shape)
    return yes


def as_questions(yes: Probabilities) -> Probabilities:
    """[N,C] of yes as [N·C,2] of no and yes."""
    flat = yes.reshape(-1)
    found: Probabilities = np.stack([1 - flat, flat], axis=1)
    return found


def exponents(
    held_out: Sequence[Probabilities], gold: Numbers, metric: Metric, prior: float | None = None
) -> Exponents:
    """The a_k >= 0 of :func:`product` for which held-out rows have the lowest loss.

    An expert that knows nothing about unseen rows gets about 0, and one that is too sure of itself
    less than its share. A penalty (``_PRIOR``) keeps few rows from deciding too much.

    Args:
        held_out: K of [N,C], of rows that the experts have not seen.
        gold: [N] label numbers.
        metric: weighs the rows.
        prior: of the penalty; by the number of experts without.
    """
    from scipy.optimize import minimize

    logs = np.stack([_logs(each) for each in held_out])  # [K,N,C]
    rows, share = np.arange(len(gold)), 1 / len(held_out)
    weights = label_weights(gold, metric)
    if prior is None:
        prior = _PRIOR if len(held_out) < 3 else _PRIOR_OF_MORE

    def loss(a: Exponents) -> tuple[float, Exponents]:
        mixed = np.tensordot(a, logs, axes=1)  # [N,C]
        mixed -= mixed.max(axis=1, keepdims=True)
        chances = np.exp(mixed)
        total = chances.sum(axis=1, keepdims=True)
        nats = np.log(total[:, 0]) - mixed[rows, gold]
        mean = (logs * (chances / total)).sum(axis=2)  # [K,N]
        slope = ((mean - logs[:, rows, gold]) * weights).sum(axis=1)
        value = (nats * weights).sum() + prior / 2 * ((a - share) ** 2).sum()
        return float(value), slope + prior * (a - share)

    start = np.full(len(held_out), share)
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[(0, None)] * len(start))
    return np.asarray(found.x)


def _logs(chances: Probabilities) -> npt.NDArray[np.float64]:
    logs: npt.NDArray[np.float64] = np.log(chances.astype(np.float64).clip(min=_LEAST))
    return logs
