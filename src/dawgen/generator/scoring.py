"""A batch of examples as the generator sees it under the label prompts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from dawgen.backbone.packed import SharedPrompts
from dawgen.generator import objectives
from dawgen.generator.examples import Batch, Example

if TYPE_CHECKING:
    from dawgen.backbone import Backbone
    from dawgen.backbone.model import TokenScores


@dataclass(frozen=True, slots=True)
class Scored:
    """B examples under several labels L, T target tokens."""

    log_probs: Tensor  # [L,B,T]
    hidden: Tensor  # [B,T,H], under each example's own label
    mask: Tensor  # [B,T]


def score_own(
    backbone: Backbone, prompts: Tensor, examples: Sequence[Example], labels: Tensor
) -> TokenScores:
    """Every example under its own label's prompt."""
    return _score(backbone, prompts, labels.tolist(), examples)


def score_all(
    backbone: Backbone, prompts: Tensor, examples: Sequence[Example], labels: Tensor
) -> Scored:
    """Every example under every label's prompt, by label, in one forward pass of C·B rows."""
    count, size = len(prompts), len(labels)
    of = [label for label in range(count) for _ in range(size)]
    scores = _score(backbone, prompts, of, list(examples) * count)
    hidden = scores.hidden.view(count, size, *scores.hidden.shape[1:])
    return Scored(
        scores.log_probs.view(count, size, -1),
        objectives.own_label(hidden, labels),
        scores.mask[:size],
    )


def score_rest(
    backbone: Backbone,
    prompts: Tensor,
    examples: Sequence[Example],
    labels: Tensor,
    own: Tensor,
) -> Tensor:
    """As :func:`score_all`'s log-probabilities [C,B,T], where those under the own label are known.

    ``own`` [B,T] goes into the result as it is, with its graph; C - 1 labels are computed.
    """
    count, size = len(prompts), len(labels)
    others = (labels + torch.arange(1, count, device=labels.device)[:, None]) % count  # [C-1,B]
    scores = _score(backbone, prompts, others.flatten().tolist(), list(examples) * (count - 1))
    joined = torch.cat([own[None], scores.log_probs.view(count - 1, size, -1)])
    places = (torch.arange(count, device=labels.device)[:, None] - labels) % count
    return joined[places, torch.arange(size, device=labels.device)]


def _score(
    backbone: Backbone, prompts: Tensor, of: Sequence[int], examples: Sequence[Example]
) -> TokenScores:
    """Each example under the prompt ``of`` [C,P,H] that it reads."""
    sources, targets = ([getattr(e, side) for e in examples] for side in ("source", "target"))
    return backbone.token_log_probs(SharedPrompts(prompts, of), sources, targets)


def distinction(weights: Tensor, hidden: Tensor, mask: Tensor, batch: Batch) -> Tensor:
    """(4) of a batch; a shot of two texts has one sentence vector over both."""
    vectors = objectives.sentence_vectors(weights, hidden, mask)
    owners = batch.owners.to(vectors.device)
    rows = vectors.new_zeros(len(batch.shots), vectors.shape[1]).index_add(0, owners, vectors)
    return objectives.distinction_loss(rows, batch.shot_labels.to(vectors.device))
