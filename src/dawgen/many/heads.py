"""One logistic regression per label: does the text have it?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from dawgen.evaluation.balance import label_weights
from dawgen.many.rows import ManyRow, gold_of
from dawgen.selection.features import Matrix
from dawgen.selection.heads import (
    FOLDS,
    PLAIN,
    STRENGTHS,
    Form,
    LinearHead,
    Probabilities,
    Recipe,
    fit_head,
    log_losses,
)
from dawgen.selection.pool import as_questions, exponents, product

if TYPE_CHECKING:
    from dawgen.tasks import TaskCard
    from dawgen.tasks.card import Metric

Has = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class ManyValidated:
    """The C of lowest loss on held-out rows, and p(label) [N,C] of these with it."""

    strength: float
    held_out: Probabilities
    loss: float


def fit_many(
    features: Matrix,
    gold: Has,
    strength: float,
    metric: Metric,
    *,
    form: Form = PLAIN,
) -> LinearHead:
    """A question per label; one that all rows or none answer with yes is answered by their share.

    Args:
        features: [N,F].
        gold: [N,C].
        strength: of all labels.
        form: how the features are taken.
    """
    weights, biases = [], []
    for column in gold.T:
        answers = column.astype(np.int64)
        if answers.min() == answers.max():
            share = (answers.sum() + 0.5) / (len(answers) + 1)
            weights.append(np.zeros(features.shape[1], np.float32))
            biases.append(np.float32(np.log(share / (1 - share))))
            continue
        row_weights = label_weights(answers, metric)
        head = fit_head(features, answers, 2, strength, weights=row_weights, form=form)
        weights.append(head.weight[:, 1] - head.weight[:, 0])
        biases.append(head.bias[1] - head.bias[0])
    return LinearHead(np.stack(weights, axis=1), np.array(biases, np.float32), independent=True)


def cross_validate_many(
    recipe: Recipe, card: TaskCard, rows: Sequence[ManyRow], seed: int
) -> ManyValidated:
    """Probabilities of each row by heads that have not seen it, for the best C of all labels."""
    from sklearn.model_selection import KFold

    gold, texts = gold_of(card, rows), [each.row for each in rows]
    held_out = {c: np.zeros(gold.shape, np.float32) for c in STRENGTHS}
    for train, test in KFold(FOLDS, shuffle=True, random_state=seed).split(texts):
        some = [texts[i] for i in train]
        features = recipe.make(some)
        matrix, unseen = features.of(some), features.of([texts[i] for i in test])
        for strength in STRENGTHS:
            head = fit_many(matrix, gold[train], strength, card.metric, form=recipe.form)
            held_out[strength][test] = head.probabilities(unseen)
    losses = {c: many_loss(held_out[c], gold, card.metric) for c in STRENGTHS}
    best = min(STRENGTHS, key=lambda c: losses[c])
    return ManyValidated(best, held_out[best], losses[best])


def together(
    experts: Sequence[ManyValidated], gold: Has, metric: Metric
) -> tuple[list[float], ManyValidated]:
    """Heads multiplied: exponents, the same for all labels, and what comes of it.

    Args:
        experts: K heads in cross-validation, of one strength each.
        gold: [N,C].
    """
    parts = [as_questions(each.held_out) for each in experts]
    answers = gold.reshape(-1).astype(np.int64)
    powers = exponents(parts, answers, metric).tolist()
    yes = product(parts, powers)[:, 1].reshape(gold.shape)
    return powers, ManyValidated(experts[0].strength, yes, many_loss(yes, gold, metric))


def many_loss(probabilities: Probabilities, gold: Has, metric: Metric) -> float:
    """Mean of -log p(right answer) over all rows and labels, in nats, as the metric weighs rows."""
    found = []
    for chances, column in zip(probabilities.T, gold.T, strict=True):
        answers = column.astype(np.int64)
        both = np.stack([1 - chances, chances], axis=1)
        found.append((log_losses(both, answers) * label_weights(answers, metric)).mean())
    return float(np.mean(found))
