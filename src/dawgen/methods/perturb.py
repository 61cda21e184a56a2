"""The perturbations of OPTIMA and the discriminator that steers them (Guo et al. 2022).

Shapes: B rows, T tokens of the longest, H hidden size, C labels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

Read = Callable[[Tensor], tuple[Tensor, Tensor]]
"""A perturbation [B,T,H] of some rows -> label position's hidden state [B,H], scores [B,C]."""


def reversal_strength(step: int, steps: int) -> float:
    """How strongly the discriminator is worked against: 2 / (1 + exp(-10 t/T)) - 1.

    From 0 at the start, where the discriminator knows nothing yet, to nearly 1.
    """
    return 2.0 / (1.0 + math.exp(-10.0 * step / steps)) - 1.0


def random_start(lengths: Sequence[int], width: int, generator: torch.Generator) -> Tensor:
    """Uniform within ±1/√(length·H) at a row's tokens, 0 at padding: [B,T,H], each row's L2
    norm at most 1."""
    sizes = torch.tensor(lengths)
    longest = int(sizes.max())
    bound = 1.0 / (sizes * width).sqrt()
    drawn = 2.0 * torch.rand(len(sizes), longest, width, generator=generator) - 1.0
    token = torch.arange(longest) < sizes[:, None]
    return drawn * bound[:, None, None] * token[..., None]


def ascend(
    perturbation: Tensor, gradient: Tensor, step_size: float, max_norm: float | None
) -> Tensor:
    """One step of L2 size ``step_size`` a row, uphill; then cut to ``max_norm`` a row, if any.

    All [B,T,H]. A row without gradient stays.
    """
    moved = perturbation + gradient * (step_size / _norms(gradient).clamp(min=1e-12))
    if max_norm is None:
        return moved
    return moved * (max_norm / _norms(moved).clamp(min=max_norm))


def _norms(rows: Tensor) -> Tensor:
    """L2 norm of each row [B,1,1]."""
    return rows.square().sum(dim=(1, 2), keepdim=True).sqrt()


def divergence(clean: Tensor, perturbed: Tensor) -> Tensor:
    """KL(clean ‖ perturbed) of each row [B], nats, from scores [B,C].

    The clean prediction p is the reference: the gradient in the perturbed scores is q - p, which
    does not vanish where the perturbed prediction q is certain of another label.
    """
    p, q = torch.log_softmax(clean, dim=-1), torch.log_softmax(perturbed, dim=-1)
    return (p.exp() * (p - q)).sum(dim=-1)


def entropy(scores: Tensor) -> Tensor:
    """Of each row's prediction [B], nats."""
    p = torch.log_softmax(scores, dim=-1)
    return -(p.exp() * p).sum(dim=-1)


class Discriminator:
    """Tells source from target by a linear function of the label position's hidden state."""

    def __init__(self, width: int, learning_rate: float, device: torch.device) -> None:
        self.weight = nn.Parameter(torch.zeros(width, device=device))  # [H]
        self.bias = nn.Parameter(torch.zeros((), device=device))
        self._optimizer = torch.optim.Adam([self.weight, self.bias], lr=learning_rate)

    def logit(self, hidden: Tensor) -> Tensor:
        """log p(source)/p(target) of hidden states [B,H]: [B]."""
        return hidden.float() @ self.weight + self.bias

    def loss(self, hidden: Tensor, *, source: bool) -> Tensor:
        """Cross-entropy of each row [B], nats, all of one domain."""
        logit = self.logit(hidden)
        return nn.functional.softplus(-logit if source else logit)

    def learn(self, source: Tensor, target: Tensor) -> None:
        """One step on hidden states [B,H] of both domains; they are not moved."""
        self._optimizer.zero_grad()
        loss = self.loss(source.detach(), source=True).mean()
        loss = loss + self.loss(target.detach(), source=False).mean()
        loss.backward()
        self._optimizer.step()


def adversarial(
    start: Tensor,
    clean: Tensor,
    read: Read,
    discriminator: Discriminator,
    *,
    domain_weight: float,
    step_size: float,
    max_norm: float | None,
) -> Tensor:
    """A perturbation [B,T,H] that changes the prediction and hides the domain.

    One step uphill, from ``start``, of

        KL(clean ‖ perturbed) + domain_weight · discriminator's loss on the perturbed source.

    Args:
        start: [B,T,H], from :func:`random_start`.
        clean: [B,C], the unperturbed rows' scores.
        read: the rows under a perturbation.
        domain_weight: with the reversal's strength in it.
    """
    moving = start.detach().requires_grad_()
    hidden, scores = read(moving)
    aim = divergence(clean.detach(), scores).sum()
    aim = aim + domain_weight * discriminator.loss(hidden, source=True).sum()
    (gradient,) = torch.autograd.grad(aim, moving)
    return ascend(start.detach(), gradient, step_size, max_norm)
