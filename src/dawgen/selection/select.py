"""Choosing what a run hands over: values in, the choice and its comparison out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

from dawgen.selection.candidates import WRITTEN, Candidate, Made, candidates
from dawgen.selection.choose import choose, paired, right
from dawgen.selection.encoder import is_here
from dawgen.selection.heads import label_numbers, log_losses
from dawgen.selection.parts import Models
from dawgen.settings.selection import CandidateName, SelectionSettings

if TYPE_CHECKING:
    from dawgen.tasks import Shots

ALL: tuple[str, ...] = get_args(CandidateName)
_NOT_QUICK = {"noisy-channel", "average"}
"""The first is slow, and the second is on average no better than the best (docs/selection.md)."""


@dataclass(frozen=True)
class Selection:
    """The candidates in their order, the one that is shipped, and the figures of each."""

    candidates: Sequence[Candidate]
    shipped: Candidate
    table: list[dict[str, Any]]


def wanted(settings: SelectionSettings) -> list[str]:
    """Names of the candidates that the settings ask for, the cheapest to use first.

    ``quick`` leaves out an encoder that would have to be downloaded.
    """
    asked = settings.candidates
    if asked == "paper":
        return ["prompt"]
    if asked == "all":
        return list(ALL)
    if asked == "quick":
        missing = set() if is_here(settings.encoder) else {"embeddings", f"embeddings{WRITTEN}"}
        return [name for name in ALL if name not in _NOT_QUICK | missing]
    return [name for name in ALL if name in asked]


def asks_for_embeddings(names: Sequence[str]) -> bool:
    """Whether one of the candidates needs the sentence encoder."""
    return any(name.removesuffix(WRITTEN) == "embeddings" for name in names)


def select(shots: Shots, made: Made, models: Models) -> Selection:
    """Compare the candidates on rows that they were not trained on, and choose one."""
    settings = models.settings
    found = candidates(wanted(settings.selection), shots, made, models, settings.seed)
    gold = label_numbers(models.card, [*shots.train, *shots.dev])
    shipped = choose(found, gold)
    return Selection(found, shipped, [_facts(each, shipped, gold) for each in found])


def _facts(candidate: Candidate, shipped: Candidate, gold: Any) -> dict[str, Any]:
    """What is said of a candidate: on its held-out rows, and against the shipped one."""
    known = candidate.known
    match = paired(shipped, candidate, gold)
    loss = log_losses(candidate.held_out[known], gold[known]).mean()
    return {
        "name": candidate.name,
        "held_out_accuracy": round(float(right(candidate, gold)[known].mean()), 4),
        "held_out_loss": round(float(loss), 4),
        "held_out_rows": int(known.sum()),
        "rows": candidate.rows,
        "shipped_better": match.better,
        "shipped_worse": match.worse,
        "p": round(match.p, 4),
    }
