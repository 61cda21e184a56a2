"""How strongly a written row belongs to its label, by the generator's own judgement."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from dawgen.backbone import Backbone
from dawgen.backbone.calls import tokens_at_once
from dawgen.errors import UserError

TOKENS_PER_BATCH = 8192
"""Tokens scored at once, soft prompts included; changes speed and memory only."""


@torch.no_grad()
def log_likelihoods(
    backbone: Backbone, prompts: Tensor, texts: Sequence[tuple[str, str]]
) -> Tensor:
    """log p(target | source, Q_l) of every text under every label's prompt.

    Args:
        prompts: [C,P,H], one prompt a label.
        texts: N pairs (source, target).

    Returns:
        fp64 [N,C] on the CPU, in nats, end mark included.

    Raises:
        UserError: a score is not finite; the text is named.
    """
    labels, length = prompts.shape[:2]
    sources = [backbone.encode_source(source, length) for source, _ in texts]
    targets = [backbone.encode_target(target) for _, target in texts]
    out = torch.zeros(len(texts), labels, dtype=torch.float64)
    sizes = [len(s) + len(t) + length for s, t in zip(sources, targets, strict=True)]
    # Texts of one source side by side: a source is then encoded once a label, not once a text.
    order = sorted(range(len(texts)), key=lambda i: (len(sources[i]), texts[i][0], sizes[i], i))
    most = tokens_at_once(backbone.device, TOKENS_PER_BATCH)
    for batch in _buckets(sizes, most // labels, order):
        distinct = {texts[i][0]: sources[i] for i in batch}
        place = {text: number * labels for number, text in enumerate(distinct)}
        scores = backbone.token_log_probs(
            prompts.repeat(len(distinct), 1, 1),
            [source for source in distinct.values() for _ in range(labels)],
            [targets[i] for i in batch for _ in range(labels)],
            source_of=[place[texts[i][0]] + label for i in batch for label in range(labels)],
        )
        summed = (scores.log_probs.double() * scores.mask).sum(dim=1)
        out[batch] = summed.view(len(batch), labels).cpu()
    broken = (~out.isfinite()).any(dim=1).nonzero().flatten().tolist()
    if broken:
        raise UserError(
            f"The generator's score of {texts[broken[0]]!r} is not finite; take backbone.dtype "
            "fp32, or tune it again with a lower generator.learning_rate."
        )
    return out


def label_ratios(log_likelihoods: Tensor) -> Tensor:
    """Sentence version of the ratio in (3), method.md §2: p(x|Q_l) / sum_l' p(x|Q_l').

    [N,C] log-likelihoods -> [N,C], rows sum to 1.
    """
    return torch.softmax(log_likelihoods, dim=-1)


def _buckets(sizes: Sequence[int], budget: int, order: Sequence[int]) -> Iterator[list[int]]:
    """Indices in batches, in the given order, no batch wider x longer than the budget."""
    batch: list[int] = []
    widest = 0
    for i in order:
        widest = max(widest, sizes[i])
        if batch and widest * (len(batch) + 1) > budget:
            yield batch
            batch, widest = [], sizes[i]
        batch.append(i)
    if batch:
        yield batch
