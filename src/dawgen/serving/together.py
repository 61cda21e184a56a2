"""Rows of several tasks read at once: those that the backbone reads in one pass of it, texts of
linear heads in one pass of the encoder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from dawgen.backbone.memory import run_rows
from dawgen.backbone.packed import SharedPrompts
from dawgen.backbone.scoring import score_rows
from dawgen.errors import UserError
from dawgen.selection.alignment import Alignment, ReadPairs, pairs_of
from dawgen.selection.cross_encoder import CrossVectors
from dawgen.selection.features import TextVectors
from dawgen.selection.heads import Probabilities
from dawgen.selection.parts import HeadPart, Part, PromptPart
from dawgen.selection.states import AnswerStates, joined, read_states
from dawgen.streams import repeatable
from dawgen.terminal.progress import hushed

if TYPE_CHECKING:
    from dawgen.backbone import Backbone
    from dawgen.selection.store import Choice
    from dawgen.tasks import Row


@dataclass(frozen=True)
class Reading:
    """Rows of one task, and what labels them."""

    choice: Choice
    rows: Sequence[Row]


@dataclass(frozen=True)
class _Asked:
    """A part of a task's choice, and its rows."""

    part: Any
    rows: Sequence[Row]


Way = Callable[[Sequence[_Asked]], Iterable[Probabilities]]
"""How parts that share a model label their rows."""


def read_together(readings: Sequence[Reading]) -> list[Probabilities]:
    """p(label) [N,C] of each reading's N rows: as its choice's ``probabilities``, up to rounding.

    Raises:
        UserError: scores are not finite, or memory does not hold one row.
    """
    groups: dict[tuple[Way, Any], dict[tuple[int, int], _Asked]] = {}
    for place, reading in enumerate(readings):
        for number, part in enumerate(reading.choice.parts):
            group = groups.setdefault(_way(part), {})
            group[place, number] = _Asked(part, reading.rows)
    found: dict[tuple[int, int], Probabilities] = {}
    with hushed():
        for (way, _), group in groups.items():
            found |= dict(zip(group, way(list(group.values())), strict=True))
    return [
        reading.choice.pooled([found[place, n] for n in range(len(reading.choice.parts))])
        for place, reading in enumerate(readings)
    ]


def _way(part: Part) -> tuple[Way, Any]:
    """How a part's rows are read, and a key that is the same for parts that are read together."""
    if isinstance(part, PromptPart):
        words = part.models.label_words
        several = tuple(map(tuple, words)) if max(map(len, words)) > 1 else None
        return _behind_prompts, (id(part.models.backbone.model), _length(part), several)
    if isinstance(part, HeadPart) and isinstance(part.features, TextVectors):
        return _on_vectors, id(part.features.encode)
    if isinstance(part, HeadPart) and isinstance(part.features, Alignment):
        return _on_words, id(part.features.read)
    if isinstance(part, HeadPart) and isinstance(part.features, CrossVectors):
        return _on_words, id(part.features.read)
    if isinstance(part, HeadPart) and isinstance(part.features, AnswerStates):
        return _on_states, (id(part.features.backbone.model), part.features.depths)
    return _alone, None


def _length(part: PromptPart) -> int:
    return 0 if part.prompt is None else len(part.prompt)


def _alone(asked: Sequence[_Asked]) -> Iterable[Probabilities]:
    return [one.part.probabilities(one.rows) for one in asked]


def _on_vectors(asked: Sequence[_Asked]) -> Iterable[Probabilities]:
    """Linear heads on vectors of texts, each of which is encoded once."""
    read: ReadPairs = asked[0].part.features.encode
    pairs = [one.rows for one in asked if one.part.features.is_pair]
    alone = [one.rows for one in asked if not one.part.features.is_pair]
    if pairs:
        read.numbers(pairs_of(list(chain(*pairs))))
    if alone:
        read([row.text1 for row in chain(*alone)])
    return [one.part.head.probabilities(one.part.features.of(one.rows)) for one in asked]


def _on_words(asked: Sequence[_Asked]) -> Iterable[Probabilities]:
    """Linear heads on pairs, all of which are read together."""
    numbers = asked[0].part.features.of([row for one in asked for row in one.rows])
    cuts = np.cumsum([len(one.rows) for one in asked])[:-1]
    parts = np.split(numbers, cuts)
    return [one.part.head.probabilities(each) for one, each in zip(asked, parts, strict=True)]


def _on_states(asked: Sequence[_Asked]) -> Iterable[Probabilities]:
    """Linear heads on states of the backbone, each row behind its own task's instruction."""
    wanted: list[AnswerStates] = [one.part.features for one in asked]
    inputs = [
        [*each.prefixes[which], *ids]
        for each, one in zip(wanted, asked, strict=True)
        for which, ids in zip(*each.inputs(one.rows), strict=True)
    ]
    first = wanted[0]
    states = read_states(first.backbone, None, inputs, first.depths, first.tokens_per_batch)
    cuts = np.cumsum([len(one.rows) for one in asked])[:-1]
    parts = np.split(joined(states), cuts)
    return [one.part.head.probabilities(each) for one, each in zip(asked, parts, strict=True)]


@repeatable()
@torch.no_grad()
def _behind_prompts(asked: Sequence[_Asked]) -> list[Probabilities]:
    """Rows behind their tasks' prompts, all of one length; label words are single tokens or, of
    several, the same for all."""
    parts: list[PromptPart] = [one.part for one in asked]
    backbone, tokens = parts[0].models.backbone, parts[0].models.tokens_per_batch
    inputs: list[list[int]] = []
    for part, one in zip(parts, asked, strict=True):
        models = part.models
        inputs += models.backbone.encode_rows(models.card, one.rows, _length(part))
    prompts = _prompts(asked)
    words = [part.models.label_words for part in parts]
    cuts = np.cumsum([len(one.rows) for one in asked])[:-1].tolist()
    if max(map(len, words[0])) > 1:
        scores = score_rows(backbone, prompts, inputs, words[0], tokens).tensor_split(cuts)
    else:
        hidden = _hidden(backbone, prompts, inputs, tokens).tensor_split(cuts)
        ids = [torch.tensor(each, device=backbone.device)[:, 0] for each in words]
        scores = tuple(map(backbone.head.logits, hidden, ids))
    chances = [score.softmax(dim=-1).cpu().numpy() for score in scores]
    for part, each in zip(parts, chances, strict=True):
        if not np.isfinite(each).all():
            raise UserError(
                f"The scores of {part.name} are not finite; its prompt or the model's number "
                "format is broken."
            )
    return chances


def _prompts(asked: Sequence[_Asked]) -> SharedPrompts | None:
    """The prompts of the parts, each once, for their rows; None for none."""
    places: dict[int, int] = {}
    different: list[torch.Tensor] = []
    of: list[int] = []
    for one in asked:
        if one.part.prompt is None:
            return None
        key = id(one.part)
        if key not in places:
            places[key] = len(different)
            different.append(one.part.prompt)
        of += [places[key]] * len(one.rows)
    return SharedPrompts(torch.stack(different), of)


def _hidden(
    backbone: Backbone,
    prompts: SharedPrompts | None,
    inputs: Sequence[Sequence[int]],
    tokens_per_batch: int,
) -> torch.Tensor:
    """State [N,H] of each row from which its label's word is predicted."""
    width = backbone.head.weight.shape[1]
    states = torch.zeros(len(inputs), width, device=backbone.device, dtype=backbone.dtype)

    def work(call: list[int]) -> None:
        soft = None if prompts is None else prompts.some(call)
        found = backbone.label_hidden(soft, [inputs[row] for row in call])
        states[torch.tensor(call, device=states.device)] = found

    length = 0 if prompts is None else prompts.length
    run_rows(backbone, [len(row) for row in inputs], length, tokens_per_batch, work)
    return states
