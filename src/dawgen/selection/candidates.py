"""What a run could hand over, each with its probabilities of rows that it was not trained on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch

from dawgen.backbone.frame import Frame
from dawgen.selection.heads import (
    Fit,
    Numbers,
    Probabilities,
    Training,
    cross_validate,
    label_numbers,
    mean_loss,
    softmax,
)
from dawgen.selection.parts import TUNED, GeneratorPart, HeadPart, Kind, Models, PromptPart
from dawgen.selection.pool import PRIOR_OF_TUNED, exponents, product
from dawgen.selection.store import Choice
from dawgen.selection.teaching import SelfTraining

if TYPE_CHECKING:
    from dawgen.tasks import Row, Shots
    from dawgen.tasks.card import Metric

HEADS: dict[str, tuple[Kind, ...]] = {
    "tfidf": ("words",),
    "embeddings": ("embeddings",),
    "alignment": ("alignment",),
    "cross-encoder": ("cross",),
    "cross-encoder+alignment": ("cross", "alignment"),
    "tuned-cross-encoder": ("tuned-cross",),
    "tuned-cross-encoder+alignment": ("tuned-cross", "alignment"),
    "states": ("answers",),
    "embeddings+states": ("embeddings", "answers"),
    "tuned-embeddings": ("tuned",),
    "tuned-embeddings+states": ("tuned", "answers"),
}
"""Kinds of the linear heads of which a candidate is the product."""


def kinds_of(name: str, *, is_pair: bool, crosses: bool = False) -> tuple[Kind, ...]:
    """Those of a candidate of ``HEADS``.

    Of pairs, one on embeddings and states also goes by how the words of both texts answer each
    other, which is read on the way to the embeddings, and by a cross-encoder where there is one.
    """
    kinds = HEADS[name]
    if not is_pair or len(kinds) == 1 or _across(kinds):
        return kinds
    across: tuple[Kind, ...] = ("cross",) if crosses else ()
    return ("alignment", *across, *kinds)


def lead_of(kinds: Sequence[Kind]) -> int:
    """How much a product of such heads leads: that with a tuned encoder most, of pairs that of
    alignment and a cross-encoder, frozen or tuned. Vectors of single texts, tuned or not, and
    states bring pairs no more than what they cost."""
    if len(kinds) == 1:
        return 0
    if "alignment" not in kinds:
        return 2 if "tuned" in kinds else 1
    return 2 if len(kinds) == 2 and _across(kinds) else 1


def prior_of(kinds: Sequence[Kind]) -> float | None:
    """Of :func:`dawgen.selection.pool.exponents`, for a product of such heads."""
    return PRIOR_OF_TUNED if {*TUNED} & {*kinds} else None


def _across(kinds: Sequence[Kind]) -> bool:
    return "cross" in kinds or "tuned-cross" in kinds


WRITTEN = "+written"
TAUGHT = "+unlabelled"
"""The head on embeddings also learns from texts which it has labelled itself."""
MOST_WRITTEN = 1000
"""Written rows that a head is trained with beside the real ones; of more, the first per label."""
TEMPERATURES = (1.0, 3.0, 10.0, 30.0, 100.0)
AVERAGED = 3
"""Candidates in an average, at most."""


@dataclass(frozen=True)
class Candidate:
    """One classifier that a run could hand over.

    Attributes:
        held_out: p(label) [N,C] of the training and then the development shots; NaN where the
            candidate has seen the row.
        ship: the classifier, trained on all labelled rows where it can be.
        rows: labelled rows that it is trained on.
        rival: it must be better beyond doubt to be shipped: its step was chosen on the development
            shots, which so flatter it, or it has only these, or it is made of other candidates.
        leads: it is a product of heads that hold out every row, and of those that lead most the
            best is shipped unless another one is better beyond doubt. One with a tuned encoder
            leads most: its held-out rows are labelled by encoders tuned on half of the rows, and
            what is shipped is better.
        refit: of heads: the same, trained on other labelled rows.
    """

    name: str
    held_out: Probabilities
    ship: Callable[[], Choice]
    rows: int
    seconds: float
    rival: bool = False
    leads: int = 0
    refit: Callable[[Sequence[Row]], Choice] | None = None

    @property
    def known(self) -> npt.NDArray[np.bool_]:
        """[N] where a row was held out."""
        return np.asarray(~np.isnan(self.held_out).any(axis=1))


@dataclass(frozen=True)
class Made:
    """What a run has made by the time that it chooses.

    Attributes:
        written: written rows.
        prompts: tuned prompts [P,H] by the candidate's name.
        generator: label prompts [C,P,H] and their frame.
        unlabelled: the user's rows without labels.
    """

    written: Sequence[Row] = ()
    prompts: Mapping[str, torch.Tensor] = field(default_factory=dict)
    generator: tuple[torch.Tensor, Frame | None] | None = None
    unlabelled: Sequence[Row] = ()


def candidates(
    names: Sequence[str], shots: Shots, made: Made, models: Models, seed: int
) -> list[Candidate]:
    """Those of the names, in their order, for which the run has made what they need.

    The generator was tuned on the training shots, so whatever comes from it, or from a prompt
    tuned on them, is held out on the development shots only.
    """
    written = first_of_each_label(made.written, MOST_WRITTEN)
    if not models.examples:
        models.take_shots(shots)
    found: list[Candidate] = []
    kinds_here = partial(kinds_of, is_pair=models.card.is_pair, crosses=models.reads_across)
    teacher: SelfTraining | None = None
    for name in names:
        began = perf_counter()
        head = name.removesuffix(WRITTEN)
        if head in HEADS and (head == name or written):
            extra, kinds = written if name != head else (), kinds_here(head)
            found.append(_heads(name, kinds, shots, extra, models, seed, began))
        elif name.endswith(TAUGHT) and made.unlabelled:
            kinds = kinds_here(name.removesuffix(TAUGHT))
            if teacher is None:
                teacher = SelfTraining(models.recipe("embeddings"), made.unlabelled)
            found.append(_heads(name, kinds, shots, (), models, seed, began, teacher))
        elif name == "zero-shot" or name in made.prompts:
            prompt = made.prompts.get(name)
            found.append(_prompt(name, prompt, shots, models, began))
        elif name == "noisy-channel" and made.generator:
            found.append(_noisy_channel(name, *made.generator, shots, models, began))
    if "average" in names and len(found) > 1:
        gold = label_numbers(models.card, [*shots.train, *shots.dev])
        found.append(average(found, gold, models.card.metric))
    return found


def first_of_each_label(rows: Sequence[Row], most: int) -> list[Row]:
    """At most so many rows in all, as many of each label as far as there are."""
    labels = {row.label for row in rows}
    room = dict.fromkeys(labels, max(1, most // max(1, len(labels))))
    taken = []
    for row in rows:
        if room[row.label]:
            room[row.label] -= 1
            taken.append(row)
    return taken


def _heads(
    name: str,
    kinds: Sequence[Kind],
    shots: Shots,
    written: Sequence[Row],
    models: Models,
    seed: int,
    began: float,
    teacher: SelfTraining | None = None,
) -> Candidate:
    """The product of heads of some kinds, of which a teacher fits that on embeddings."""
    rows, card = [*shots.train, *shots.dev], models.card
    fits: dict[Kind, Fit] = {} if teacher is None else {"embeddings": teacher}
    validated = [
        cross_validate(
            models.recipe(kind),
            card,
            rows,
            seed,
            written,
            fits.get(kind, Training.head),
            len(shots.train),
        )
        if written or kind in fits
        else models.validated(kind, rows, seed)
        for kind in kinds
    ]
    powers, held_out = [1.0], validated[0].held_out.copy()
    if len(kinds) > 1:
        known = slice(len(shots.train) if written and shots.dev else 0, None)
        gold = label_numbers(card, rows)[known]
        experts = [each.held_out for each in validated]
        some = [each[known] for each in experts]
        powers = exponents(some, gold, card.metric, prior_of(kinds)).tolist()
        held_out = product(experts, powers)
    if written:
        held_out[: len(shots.train)] = np.nan

    def refit(rows: Sequence[Row]) -> Choice:
        parts = []
        for kind, each, power in zip(kinds, validated, powers, strict=True):
            training = Training.of(models.recipe(kind), card, rows, written)
            head = fits.get(kind, Training.head)(training, each.strength)
            parts.append(HeadPart(name, kind, training.features, head.to_the(power)))
        return Choice(name, parts, [0] * len(parts))

    @cache
    def ship() -> Choice:
        return refit(rows)

    seconds = perf_counter() - began
    is_rival = bool(written)
    leads = 0 if is_rival else lead_of(kinds)
    return Candidate(name, held_out, ship, len(rows), seconds, is_rival, leads, refit)


def _prompt(
    name: str, prompt: torch.Tensor | None, shots: Shots, models: Models, began: float
) -> Candidate:
    part = PromptPart(name, prompt, models)
    unseen = shots.dev if prompt is not None else [*shots.train, *shots.dev]
    held_out = _behind(len(shots.train) + len(shots.dev), part.probabilities(unseen))
    rows = 0 if prompt is None else len(shots.train)
    seconds = perf_counter() - began
    ship = partial(Choice, name, [part])
    return Candidate(name, held_out, ship, rows, seconds, rival=prompt is not None)


def _noisy_channel(
    name: str,
    prompts: torch.Tensor,
    frame: Frame | None,
    shots: Shots,
    models: Models,
    began: float,
) -> Candidate:
    scores = GeneratorPart(name, prompts, frame, 1.0, models).log_likelihoods(shots.dev)
    gold, metric = label_numbers(models.card, shots.dev), models.card.metric
    best = min(TEMPERATURES, key=lambda t: mean_loss(softmax(scores / t), gold, metric))
    part = GeneratorPart(name, prompts, frame, best, models)
    held_out = _behind(len(shots.train) + len(shots.dev), softmax(scores / best))
    seconds = perf_counter() - began
    ship = partial(Choice, name, [part])
    return Candidate(name, held_out, ship, len(shots.train), seconds, rival=True)


def _behind(rows: int, probabilities: Probabilities) -> Probabilities:
    """[rows,C] that end with these, and are NaN before."""
    whole = np.full((rows, probabilities.shape[1]), np.nan, np.float32)
    whole[rows - len(probabilities) :] = probabilities
    return whole


def averaged(
    found: Sequence[Candidate], gold: Numbers, metric: Metric = "accuracy"
) -> list[Candidate]:
    """The few of lowest loss on the rows that all hold out."""
    known = np.all([each.known for each in found], axis=0)
    order = sorted(found, key=lambda each: mean_loss(each.held_out[known], gold[known], metric))
    return order[:AVERAGED]


def average(found: Sequence[Candidate], gold: Numbers, metric: Metric = "accuracy") -> Candidate:
    """The mean of their probabilities."""
    best = averaged(found, gold, metric)
    held_out = np.mean([each.held_out for each in best], axis=0)

    def ship() -> Choice:
        members = [(n, part) for n, each in enumerate(best) for part in each.ship().parts]
        return Choice("average", [part for _, part in members], [n for n, _ in members])

    rows, seconds = max(each.rows for each in best), sum(each.seconds for each in best)
    return Candidate("average", held_out, ship, rows, seconds, rival=True)
