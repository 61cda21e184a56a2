"""Logistic regression on a row's features: the few lines that everybody with shots can write."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from threadpoolctl import ThreadpoolController

from dawgen.evaluation.balance import label_weights
from dawgen.selection.features import Features, Matrix, OwnHead

if TYPE_CHECKING:
    from dawgen.tasks import Row, TaskCard
    from dawgen.tasks.card import Metric

STRENGTHS = (0.1, 1.0, 10.0, 100.0)
"""Values of C, from strong to weak regularisation."""
FOLDS = 5
WRITTEN_SHARE = 0.5
"""The written rows' weight in all, as a share of the real rows'."""
_WORDS = 2.0
"""How many blocks the head on label words counts for. On pool rows of six tasks, two draws each,
the embedded backbone's states are right on 66.0 % without it; counting for 0.5, 1, 2 and 4 on 67.5,
68.2, 69.3 and 68.8 (docs/log.md)."""

Probabilities = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class LinearHead:
    """softmax(x W + b), or the logistic function of each label's number for itself.

    Attributes:
        weight: [F,C].
        bias: [C].
        independent: a row may have several labels, or none.
    """

    weight: npt.NDArray[np.float32]
    bias: npt.NDArray[np.float32]
    independent: bool = False

    def probabilities(self, features: Matrix) -> Probabilities:
        """[N,C] of features [N,F]."""
        numbers = np.asarray(features @ self.weight, dtype=np.float64) + self.bias
        if self.independent:
            return (1 / (1 + np.exp(-numbers.clip(-60, 60)))).astype(np.float32)
        return softmax(numbers)

    def to_the(self, power: float) -> LinearHead:
        """The head whose probabilities are in proportion to this one's to a power."""
        weight, bias = (np.float32(power) * each for each in (self.weight, self.bias))
        return LinearHead(weight, bias, self.independent)


@dataclass(frozen=True)
class Form:
    """How a head takes its features [N,F].

    Attributes:
        scaled: each feature has mean 0 and the rows have mean square length 1 for the regression.
        blocks: the features are so many blocks, each has a head of its own, and the heads' logits
            are averaged.
        words: [F/blocks,C], by which the last block also gives the logits of the labels' words. A
            head on these has a part in the average.
    """

    scaled: bool = False
    blocks: int = 1
    words: npt.NDArray[np.float32] | None = None


PLAIN = Form()


@dataclass(frozen=True)
class Recipe:
    """How a head's features are made and taken.

    Attributes:
        make: features learnt from training rows; those that learn nothing ignore the rows.
        in_halves: cross-validation has two folds, since features take long to learn, and they are
            learnt from real rows only.
    """

    make: Callable[[Sequence[Row]], Features]
    form: Form = PLAIN
    in_halves: bool = False


@dataclass(frozen=True)
class CrossValidated:
    """The C of lowest loss on held-out rows, and their probabilities [N,C] with it."""

    strength: float
    held_out: Probabilities


def fit_head(
    features: Matrix,
    gold: Numbers,
    labels: int,
    strength: float,
    *,
    weights: npt.NDArray[np.float64] | None = None,
    form: Form = PLAIN,
) -> LinearHead:
    """Multinomial logistic regression, or several whose logits are averaged, as one head.

    Args:
        features: [N,F].
        gold: [N] label numbers; each label has a row.
        strength: C.
        weights: [N] of the rows.
    """
    if form.blocks > 1 or form.words is not None:
        return _averaged_head(features, gold, labels, strength, weights, form)
    from sklearn.linear_model import LogisticRegression

    mean = features.mean(axis=0) if form.scaled else np.zeros(features.shape[1])
    scale = np.ones(features.shape[1])
    if form.scaled:
        scale = features.std(axis=0).clip(min=1e-6) * np.sqrt(features.shape[1])
        features = (features - mean) / scale
    model = LogisticRegression(C=strength, max_iter=1000)
    with _one_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # weak regularisation may stop short of convergence
        model.fit(features, gold, sample_weight=weights)
    weight, bias = model.coef_.T, model.intercept_
    if labels == 2:  # one logit, of the second label
        weight = np.hstack([np.zeros_like(weight), weight])
        bias = np.array([0.0, bias[0]])
    weight = weight / scale[:, None]
    return LinearHead(weight.astype(np.float32), (bias - mean @ weight).astype(np.float32))


def _averaged_head(
    features: Matrix,
    gold: Numbers,
    labels: int,
    strength: float,
    weights: npt.NDArray[np.float64] | None,
    form: Form,
) -> LinearHead:
    """The mean of the heads on blocks and, of the last block, on the labels' words."""

    def fit(part: Matrix) -> LinearHead:
        return fit_head(part, gold, labels, strength, weights=weights, form=Form(form.scaled))

    blocks = np.split(features, form.blocks, axis=1)
    heads, total = [fit(block) for block in blocks], float(form.blocks)
    weight = [head.weight for head in heads]
    bias = np.stack([head.bias for head in heads]).sum(axis=0)
    if form.words is not None:
        said = fit(blocks[-1] @ form.words)
        weight[-1] = (weight[-1] + _WORDS * form.words @ said.weight).astype(np.float32)
        bias += np.float32(_WORDS) * said.bias
        total += _WORDS
    stacked = np.concatenate(weight) / total
    return LinearHead(stacked.astype(np.float32), (bias / total).astype(np.float32))


def _one_thread() -> AbstractContextManager[object]:
    """NumPy's products on one thread: they are too small to share, and threads that wait for a
    share of them made a fit take seven times as long on two busy cores."""
    limits: AbstractContextManager[object] = _thread_pools().limit(limits=1, user_api="blas")
    return limits


@cache
def _thread_pools() -> ThreadpoolController:
    return ThreadpoolController()


@dataclass(frozen=True)
class Training:
    """Real rows, and written ones that weigh ``WRITTEN_SHARE`` as much in all, as numbers."""

    features: Features
    rows: Sequence[Row]
    gold: Numbers
    weights: npt.NDArray[np.float64]
    labels: int
    form: Form

    @classmethod
    def of(
        cls, recipe: Recipe, card: TaskCard, rows: Sequence[Row], written: Sequence[Row] = ()
    ) -> Training:
        """With features learnt from all of the rows, or from the real ones as the recipe says."""
        everything = [*rows, *written]
        features = recipe.make(rows if recipe.in_halves else everything)
        gold, labels, real = label_numbers(card, everything), len(card.labels), len(rows)
        parts = [label_weights(part, card.metric) for part in (gold[:real], gold[real:])]
        weights = np.concatenate(parts)
        weights[real:] *= WRITTEN_SHARE * real / max(1, len(written))
        return cls(features, everything, gold, weights, labels, recipe.form)

    @cached_property
    def matrix(self) -> Matrix:
        """The rows' features [N,F]."""
        return self.features.of(self.rows)

    def head(self, strength: float) -> LinearHead:
        """With this C, or the one that the features were tuned with."""
        if isinstance(self.features, OwnHead):
            return self.features.head
        return fit_head(
            self.matrix,
            self.gold,
            self.labels,
            strength,
            weights=self.weights,
            form=self.form,
        )


Fit = Callable[[Training, float], LinearHead]
"""Training rows and a C to a head."""


def cross_validate(
    recipe: Recipe,
    card: TaskCard,
    rows: Sequence[Row],
    seed: int,
    written: Sequence[Row] = (),
    fit: Fit = Training.head,
    cut: int = 0,
) -> CrossValidated:
    """Probabilities of each row by a head that has not seen it, for the best C.

    Args:
        rows: real labelled rows, which are held out fold by fold.
        written: are trained on in every fold.
        fit: makes the head of the training rows of a fold.
        cut: how many of the rows are the first fold, of a recipe in two parts.
    """
    gold = label_numbers(card, rows)
    held_out = {c: np.zeros((len(rows), len(card.labels)), np.float32) for c in STRENGTHS}
    parts = halves(gold, seed, cut) if recipe.in_halves else folds(gold, seed)
    for train, test in parts:
        training = Training.of(recipe, card, [rows[i] for i in train], written)
        unseen = training.features.of([rows[i] for i in test])
        for strength in STRENGTHS:
            held_out[strength][test] = fit(training, strength).probabilities(unseen)
    best = min(STRENGTHS, key=lambda c: mean_loss(held_out[c], gold, card.metric))
    return CrossValidated(best, held_out[best])


def folds(gold: Numbers, seed: int, most: int = FOLDS) -> Iterator[tuple[Numbers, Numbers]]:
    """(train, test) row numbers, each label spread evenly over the folds."""
    from sklearn.model_selection import StratifiedKFold

    count = min(most, int(np.bincount(gold).min()))
    yield from StratifiedKFold(count, shuffle=True, random_state=seed).split(gold, gold)


def halves(gold: Numbers, seed: int, cut: int) -> Iterator[tuple[Numbers, Numbers]]:
    """(train, test) row numbers of two folds: the rows before and after a place if every label is
    on both sides of it, else two as of :func:`folds`."""
    first, second = np.split(np.arange(len(gold)), [cut])
    if set(gold[first]) == set(gold[second]):
        yield from ((first, second), (second, first))
    else:
        yield from folds(gold, seed, most=2)


def label_numbers(card: TaskCard, rows: Sequence[Row]) -> Numbers:
    """[N] places in ``card.labels``."""
    return np.array([card.label_index(str(row.label)) for row in rows], dtype=np.int64)


def log_losses(probabilities: Probabilities, gold: Numbers) -> npt.NDArray[np.float64]:
    """[N] -log p(gold label), in nats."""
    right = probabilities[np.arange(len(gold)), gold].astype(np.float64)
    losses: npt.NDArray[np.float64] = -np.log(right.clip(min=1e-12))
    return losses


def mean_loss(probabilities: Probabilities, gold: Numbers, metric: Metric) -> float:
    """The mean of :func:`log_losses`, of rows as the metric weighs them."""
    return float((log_losses(probabilities, gold) * label_weights(gold, metric)).mean())


def softmax(logits: npt.NDArray[np.float64]) -> Probabilities:
    """[N,C]; rows sum to 1."""
    chances = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (chances / chances.sum(axis=1, keepdims=True)).astype(np.float32)
