"""Batches of rows and their losses: label words, texts, and the contrast between labels."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import BartForConditionalGeneration

from tools.pretrain.mixture import Row


@dataclass(frozen=True, slots=True)
class Losses:
    """A batch's summed losses and what they are divided by."""

    tokens: Tensor  # [] summed, weighted token loss
    weight: float  # the weights' sum
    contrast: Tensor  # [] summed over the rows that have a rival
    rivals: int
    source_tokens: int
    target_tokens: int


def pad(rows: list[list[int]], value: int, device: torch.device) -> Tensor:
    """[B,T] of the rows, padded on the right with ``value``."""
    longest = max(len(row) for row in rows)
    return torch.tensor([row + [value] * (longest - len(row)) for row in rows], device=device)


def chunks(rows: list[Row], budget: int) -> list[list[Row]]:
    """Rows sorted by length, in batches of at most ``budget`` padded source tokens."""
    ordered = sorted(rows, key=lambda row: (len(row.source), len(row.target)))
    batches: list[list[Row]] = []
    for row in ordered:
        if batches and (len(batches[-1]) + 1) * len(row.source) <= budget:
            batches[-1].append(row)
        else:
            batches.append([row])
    return batches


def token_losses(
    model: BartForConditionalGeneration,
    sources: list[list[int]],
    targets: list[list[int]],
    *,
    freeze_encoder: bool,
    smoothing: float = 0.0,
) -> tuple[Tensor, Tensor, Tensor]:
    """Cross-entropy of every target piece.

    Returns:
        plain losses [N], smoothed losses [N] and the row index [N] of all target pieces.
    """
    device, padding = model.device, int(model.config.pad_token_id or 0)
    source = pad(sources, padding, device)
    mask = torch.arange(source.shape[1], device=device) < torch.tensor(
        [[len(row)] for row in sources], device=device
    )
    start = int(model.config.decoder_start_token_id or 0)
    inputs = pad([[start, *row[:-1]] for row in targets], padding, device)
    real = torch.arange(inputs.shape[1], device=device) < torch.tensor(
        [[len(row)] for row in targets], device=device
    )
    with torch.set_grad_enabled(torch.is_grad_enabled() and not freeze_encoder):
        memory = model.model.encoder(input_ids=source, attention_mask=mask.long())[0]
    hidden = model.model.decoder(
        input_ids=inputs,
        encoder_hidden_states=memory,
        encoder_attention_mask=mask.long(),
        use_cache=False,
    )[0]
    logits = F.linear(hidden[real], model.model.shared.weight)
    labels = torch.tensor([piece for row in targets for piece in row], device=device)
    logp = torch.log_softmax(logits.float(), dim=-1)
    plain = -logp.gather(1, labels[:, None])[:, 0]
    smoothed = plain if smoothing == 0 else (1 - smoothing) * plain - smoothing * logp.mean(-1)
    return plain, smoothed, real.nonzero()[:, 0]


def batch_losses(
    model: BartForConditionalGeneration,
    rows: list[Row],
    *,
    freeze_encoder: bool = False,
    end_weight: float = 1.0,
    rivals: bool = False,
    smoothing: float = 0.0,
) -> Losses:
    """Losses of a batch; with ``rivals``, the same targets are scored under the wrong labels too.

    The contrast of a row is ``-log p(target | label) / (p(target | label) + p(target | rival))``,
    the sentence's share in the spirit of the method's equation (3).
    """
    with_rival = [row for row in rows if rivals and row.rival is not None]
    sources = [row.source for row in rows]
    sources += [row.rival for row in with_rival if row.rival is not None]
    targets = [row.target for row in rows] + [row.target for row in with_rival]
    plain, smoothed, owner = token_losses(
        model, sources, targets, freeze_encoder=freeze_encoder, smoothing=smoothing
    )
    own = sum(len(row.target) for row in rows)
    weights = torch.ones(own, device=plain.device)
    ends = torch.tensor([len(row.target) for row in rows], device=plain.device).cumsum(0) - 1
    weights[ends] = end_weight
    contrast = plain.new_zeros(())
    if with_rival:
        sums = plain.new_zeros(len(sources)).index_add(0, owner, plain)
        mine = sums[[i for i, row in enumerate(rows) if row.rival is not None]]
        contrast = F.softplus(mine - sums[len(rows) :]).sum()
    return Losses(
        (smoothed[:own] * weights).sum(),
        float(weights.sum()),
        contrast,
        len(with_rival),
        sum(map(len, sources)),
        sum(map(len, targets)),
    )
