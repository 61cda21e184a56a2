"""Choosing what a run hands over: values in, the choice and its comparison out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

from dawgen.errors import UserError
from dawgen.selection.candidates import TAUGHT, Candidate, Made, candidates
from dawgen.selection.choose import choose, paired, value
from dawgen.selection.cross_encoder import adapter_file
from dawgen.selection.encoder import encoder_of, is_here
from dawgen.selection.heads import Numbers, label_numbers, mean_loss
from dawgen.selection.parts import Models
from dawgen.settings.selection import PACKAGED, CandidateName, SelectionSettings

if TYPE_CHECKING:
    from dawgen.tasks import Shots, TaskCard
    from dawgen.tasks.card import Metric

ALL: tuple[str, ...] = get_args(CandidateName)
_ON_ENCODER = ("embeddings", "alignment", "cross", "tuned")
_EMBEDDINGS = tuple(name for name in ALL if name.startswith(_ON_ENCODER))
_CROSS = {name for name in ALL if "cross" in name}
_OF_PAIRS = {"alignment", "alignment+written", *_CROSS}
_TUNED = {name for name in ALL if name.startswith("tuned")}
"""Of pairs they take minutes and bring nothing (docs/log.md)."""
_NOT_QUICK = {
    *("noisy-channel", "average"),
    *("tuned-embeddings+written", "tuned-embeddings+states+written"),
}
"""Slow, or on average no better than the best (docs/selection.md)."""

MADE = 10
"""Goes up when candidates are made in another way, so that a finished run makes them again."""
_STATES = {name for name in ALL if "states" in name}
"""Where a cross-encoder reads pairs, minutes for nothing: with states the product has 74.9 % on
seven tasks, without 75.7; on pool rows there is no difference (docs/log.md)."""
_CROSS_ALIGNED = {name for name in ALL if "cross-encoder+alignment" in name}
"""Beside the packaged encoder's weaker cross-encoder, the product with embeddings and states is as
good on pool rows of four tasks: 71.2 and 71.3 %, of another encoder 70.7 and 70.3
(docs/log.md)."""
_MANY_LABELS = 30
"""With 77 labels, heads on states took 13 minutes and brought nothing (docs/log.md)."""


@dataclass(frozen=True)
class Selection:
    """The candidates in their order, the one that is shipped, and the figures of each."""

    candidates: Sequence[Candidate]
    shipped: Candidate
    table: list[dict[str, Any]]


def wanted(settings: SelectionSettings, card: TaskCard) -> list[str]:
    """Names of the candidates that the settings ask for, the cheapest to use first.

    ``quick`` leaves out an encoder that would have to be downloaded, heads on states and a tuned
    encoder where there are many labels, of pairs whatever is tuned, and states where a
    cross-encoder other than the packaged one reads them. Single texts have no alignment and no
    cross-encoder, and most encoders have none.

    Raises:
        UserError: nothing is left of the names.
    """
    asked = _asked(settings, card)
    names = [name for name in asked if card.is_pair or name not in _OF_PAIRS]
    if isinstance(settings.candidates, str) and adapter_file(encoder_of(settings)) is None:
        names = [name for name in names if name not in _CROSS]
    if asked and not names:
        raise UserError(
            f"{' and '.join(asked)} in selection.candidates is for tasks of two texts, and "
            f"{card.name} has one; name others, or leave it at quick."
        )
    return names


def _asked(settings: SelectionSettings, card: TaskCard) -> list[str]:
    asked = settings.candidates
    if asked == "paper":
        return ["prompt"]
    if asked == "all":
        return list(ALL)
    if asked == "quick":
        encoder = encoder_of(settings)
        left = _NOT_QUICK | (set() if is_here(encoder) else set(_EMBEDDINGS))
        left |= _TUNED if card.is_pair else set()
        if len(card.labels) > _MANY_LABELS:
            left |= _TUNED | _STATES
        if card.is_pair and is_here(encoder) and adapter_file(encoder):
            left |= _CROSS_ALIGNED if encoder == PACKAGED else _STATES
        return [name for name in ALL if name not in left]
    return [name for name in ALL if name in asked]


def asks_for_embeddings(names: Sequence[str]) -> bool:
    """Whether one of the candidates needs the sentence encoder."""
    return any(name in _EMBEDDINGS for name in names)


def teaches(names: Sequence[str]) -> bool:
    """Whether one of the candidates learns from texts without labels."""
    return any(name.endswith(TAUGHT) for name in names)


def select(shots: Shots, made: Made, models: Models) -> Selection:
    """Compare the candidates on rows that they were not trained on, and choose one."""
    settings = models.settings
    found = candidates(wanted(settings.selection, models.card), shots, made, models, settings.seed)
    gold = label_numbers(models.card, [*shots.train, *shots.dev])
    metric = models.card.metric
    shipped = choose(found, gold, metric)
    return Selection(found, shipped, [_facts(each, shipped, gold, metric) for each in found])


def _facts(
    candidate: Candidate, shipped: Candidate, gold: Numbers, metric: Metric
) -> dict[str, Any]:
    """What is said of a candidate: on its held-out rows, and against the shipped one."""
    known = candidate.known
    match = paired(shipped, candidate, gold, metric)
    return {
        "name": candidate.name,
        "held_out_accuracy": round(value(candidate, gold, "accuracy"), 4),
        "held_out_macro_f1": round(value(candidate, gold, "macro-f1"), 4),
        "held_out_loss": round(mean_loss(candidate.held_out[known], gold[known], metric), 4),
        "held_out_rows": int(known.sum()),
        "rows": candidate.rows,
        "shipped_better": match.better,
        "shipped_worse": match.worse,
        "p": round(match.p, 4),
    }
