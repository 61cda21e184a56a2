"""Step b: how the outer loss changes with the token weights, without differentiating it twice.

The outer loss is a function F(Q', W) of the prompts after one look-ahead step and of the weights,

    Q'(W) = Q - α ∇_Q L_wGen(Q; W) = Q - (α/N) Σ_j W_j ∂ℓ_j/∂Q,
    F     = L_disc(Q') + λ L_dist(Z(Q'), W),

and its **total** derivative, which is what :func:`meta_gradient` returns, has two parts:

    dF/dW_j = ∂F/∂W_j  -  (α/N) ⟨∂ℓ_j/∂Q, v⟩,    v = ∂F/∂Q' at Q'(W).

The first is direct (L_dist weighs the hidden states by W; 0 when λ = 0), the second goes through
the look-ahead, by (3) and by what (4) sees of the moved prompts. The inner products of all tokens
are one Jacobian-vector product J v of the per-token losses. Reverse mode gives uᵀJ for any u; that
is linear in u, so :func:`meta_gradient` takes the graph of the look-ahead's own gradient and goes
back through it to u, which costs as much as one forward pass. Nothing of the outer loss is ever
part of that graph, unlike in double backward, and the outer loss may come in pieces. Attention
must be eager: fused kernels have no second derivative. :func:`central_difference` needs plain
forward passes only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

TokenLosses = Callable[[Tensor], Tensor]
"""Prompts [C,P,H] to the tokens' own losses ℓ [B,T], each under its own label's prompt."""


class OuterValue(NamedTuple):
    """F, a scalar, and its partial derivatives: by the prompts [C,P,H] and by the weights [B,T]."""

    value: Tensor
    by_prompts: Tensor
    by_weights: Tensor


Outer = Callable[[Tensor, Tensor], OuterValue]
"""F and its derivatives at prompts [C,P,H] and weights [B,T]."""

Derivative = Callable[[Tensor, Tensor], Tensor]
"""Prompts and direction v, both [C,P,H], to ⟨∂ℓ_j/∂Q, v⟩ for every token: [B,T]."""


@dataclass(frozen=True, slots=True)
class MetaGradient:
    """What step b found."""

    weights: Tensor  # dF/dW [B,T]
    direct: Tensor  # of it, ∂F/∂W [B,T]
    lookahead: Tensor  # Q'(W) [C,P,H]
    outer: Tensor  # F at Q'(W), a scalar

    def lookahead_share(self, weights: Tensor) -> Tensor:
        """Norm of the part through the look-ahead over the sum of both parts' norms, a scalar.

        1 where there is no direct part (λ = 0, or every triple of (4) is apart by its margin).
        ``weights`` W [B,T] are a softmax times N, so a gradient that is the same for every token
        moves nothing. Both parts are therefore taken by the scores before the softmax.
        """
        through, direct = (
            by_scores(weights, part).norm() for part in (self.weights - self.direct, self.direct)
        )
        return torch.where(direct > 0, through / (through + direct), 1.0)


def by_scores(weights: Tensor, gradient: Tensor) -> Tensor:
    """A gradient by the weights W = N softmax(z) as one by the scores z; all are [B,T]."""
    return weights * (gradient - (weights * gradient).sum() / weights.sum())


def whole(loss: Callable[[Tensor, Tensor], Tensor]) -> Outer:
    """An outer loss that is computed, and differentiated, in one piece."""

    def outer(prompts: Tensor, weights: Tensor) -> OuterValue:
        at = (prompts.detach().requires_grad_(), weights.detach().requires_grad_())
        value = loss(*at)
        return OuterValue(value.detach(), *torch.autograd.grad(value, at, materialize_grads=True))

    return outer


def stencil(points: int, order: int) -> tuple[list[float], list[float]]:
    """Places x in (0, 1] and coefficients c of f'(0) ~ sum c (f(x) - f(-x)), exact to ``order``.

    As many points as the order give the classical central differences (Fornberg 1988, table 1).
    More of them fit the odd polynomial by least squares (Savitzky and Golay 1964), so that the
    rounding of single values averages out.
    """
    places = np.arange(1, points // 2 + 1) / (points // 2)
    powers = places[:, None] ** np.arange(1, order, 2)
    coefficients = np.linalg.pinv(powers)[0] / 2
    return places.tolist(), coefficients.tolist()


def central_difference(
    losses: TokenLosses,
    prompts: Tensor,
    direction: Tensor,
    labels: Tensor,
    *,
    points: int = 6,
    order: int | None = None,
    step: float = 0.1,
) -> Tensor:
    """⟨∂ℓ_j/∂Q, v⟩ for all tokens [B,T] by ``points`` plain forward passes, an even number.

    A token's loss sees its own label's prompt only, so every label gets a step length of its own:
    the prompt vector that v moves most goes ``step`` times the length of a typical vector of that
    prompt. fp32 rounds a loss to about 1e-7, which a short step blows up; a higher ``order`` (as
    high as ``points`` allow, without) allows a long one, more points than order average the
    rounding. ``labels`` [B] are the rows of ``losses``.
    """
    with torch.no_grad():
        length = prompts.norm(dim=-1).square().mean(-1).sqrt()  # [C]
        furthest = direction.norm(dim=-1).amax(-1)  # [C]
        h = torch.where(furthest > 0, step * length / furthest, torch.ones_like(length))
        shift = h[:, None, None] * direction
        total: Tensor | float = 0.0
        for x, coefficient in zip(*stencil(points, order or points), strict=True):
            change = losses(prompts + x * shift) - losses(prompts - x * shift)
            total = total + coefficient * change.double()
        assert isinstance(total, Tensor)
        return (total / h[labels][:, None]).to(prompts.dtype)


def meta_gradient(
    prompts: Tensor,
    token_losses: Tensor,
    weights: Tensor,
    mask: Tensor,
    outer: Outer,
    rate: float,
    derivative: Derivative | None = None,
) -> MetaGradient:
    """dF/dW, the total derivative of the outer loss by the token weights (module docstring).

    Args:
        prompts: Q [C,P,H], requires gradients.
        token_losses: ℓ [B,T] with their graph from ``prompts``, which is kept for step c.
        weights: W [B,T].
        mask: [B,T], the valid tokens.
        outer: F with its derivatives.
        rate: α.
        derivative: takes J v instead of the graph of ``token_losses``.
    """
    valid = mask.sum()
    cotangent = torch.where(mask, weights.detach() / valid, 0.0).requires_grad_(derivative is None)
    (gradient,) = torch.autograd.grad(
        token_losses, prompts, cotangent, retain_graph=True, create_graph=derivative is None
    )
    ahead = (prompts - rate * gradient).detach()
    found = outer(ahead, weights.detach())
    if derivative is None:
        (product,) = torch.autograd.grad(gradient, cotangent, found.by_prompts)
    else:
        product = derivative(prompts.detach(), found.by_prompts)
    through = torch.where(mask, -rate * product / valid, 0.0)
    return MetaGradient(found.by_weights + through, found.by_weights, ahead, found.value)
