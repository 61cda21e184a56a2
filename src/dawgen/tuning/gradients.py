"""Both gradients of every arm from one pass over the joined rows, method.md §3."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from dawgen.backbone.memory import run_rows
from dawgen.backbone.packed import SharedPrompts
from dawgen.tuning.combine import Draw
from dawgen.tuning.rows import JoinedRows
from dawgen.tuning.surgery import project

if TYPE_CHECKING:
    from dawgen.backbone import Backbone


class Gradients(NamedTuple):
    """δ_real and δ_syn [R, P, H] (zero where an arm drew no such row).

    Beside them each row's loss [B] and p(label) [B, C].
    """

    real: Tensor
    synthetic: Tensor
    row_losses: Tensor
    probabilities: Tensor


def cross_entropy(scores: Tensor, targets: Tensor) -> Tensor:
    """Loss of each row [B], nats, of scores [B, C] against label probabilities [B, C]."""
    return -(targets * torch.log_softmax(scores, dim=-1)).sum(dim=-1)


def both_gradients(
    prompts: Tensor,
    rows: JoinedRows,
    label_words: Sequence[Sequence[int]],
    backbone: Backbone,
    tokens_per_batch: int,
) -> Gradients:
    """Gradients of each arm's mean real and mean synthetic loss with respect to its prompt.

    The backbone is frozen and every row reads one of 2·R copies of the prompts, so one
    backward over the joined rows gives all 2·R gradients. It runs in pieces of like length,
    whose gradients add up to those of the whole.

    Args:
        prompts: [R, P, H].
        rows: B rows of all arms.
        label_words: C label words as token ids.
        backbone: frozen.
        tokens_per_batch: most tokens of one piece, prompts included.

    Raises:
        UserError: memory does not hold a single row.
    """
    arms, length, _ = prompts.shape
    copies = prompts.detach().repeat(2, 1, 1).requires_grad_()
    device = prompts.device
    losses = torch.zeros(len(rows.ids), device=device)
    probabilities = torch.zeros(rows.targets.shape, device=device)
    parts: list[tuple[int, Tensor]] = []

    def work(piece: list[int]) -> None:
        soft = SharedPrompts(copies, rows.copy[piece].tolist())
        scores = backbone.label_scores(soft, [rows.ids[row] for row in piece], label_words)
        loss = cross_entropy(scores, rows.targets[piece].to(device))
        weighted = (loss * rows.weight[piece].to(device)).sum()
        (gradient,) = torch.autograd.grad(weighted, copies)
        places = torch.tensor(piece, device=device)
        losses[places] = loss.detach()
        probabilities[places] = torch.softmax(scores.detach(), dim=-1)
        parts.append((piece[0], gradient))  # last: what failed before it is done again

    run_rows(backbone, [len(ids) for ids in rows.ids], length, tokens_per_batch, work)
    total = torch.zeros_like(copies)
    for _, gradient in sorted(parts, key=lambda part: part[0]):  # whichever was ready first
        total.add_(gradient)
    return Gradients(total[:arms], total[arms:], losses, probabilities)


class Update(NamedTuple):
    """The joint gradient [R, P, H]; cosine [R] and conflict [R] of the two it comes from."""

    gradient: Tensor
    cosine: Tensor
    conflict: Tensor


def joint_gradient(gradients: Gradients, draws: Sequence[Draw]) -> Update:
    """δ_real + ε δ_syn of every arm, δ_syn after surgery where the arm asks for it."""
    device = gradients.real.device
    projected, cosine, conflict = project(gradients.synthetic, gradients.real)
    operated = torch.tensor([draw.surgery for draw in draws], device=device)[:, None, None]
    synthetic = torch.where(operated, projected, gradients.synthetic)
    real_weight = torch.tensor([draw.real_weight for draw in draws], device=device)
    synthetic_weight = torch.tensor([draw.synthetic_weight for draw in draws], device=device)
    gradient = (
        real_weight[:, None, None] * gradients.real + synthetic_weight[:, None, None] * synthetic
    )
    return Update(gradient, cosine, conflict)


def clip(gradient: Tensor, most: float | None) -> Tensor:
    """Shorten each arm's gradient [R, P, H] to the norm ``most``, where it is longer."""
    if most is None:
        return gradient
    norms = gradient.square().sum(dim=(1, 2), keepdim=True).sqrt()
    return gradient * (most / norms.clamp(min=most))
