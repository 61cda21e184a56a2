"""Llama's norm in few passes over its input, with a gradient that keeps the input only."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

_NAMES = {f"{kind}RMSNorm" for kind in ("Llama", "Mistral", "Qwen2", "Qwen3", "SmolLM3")}
_KINDS: dict[Any, Any] = {}


class _RmsNorm(torch.autograd.Function):
    """x [...,H], weight [H] -> weight · x / sqrt(mean(x²) + eps), the quotient rounded to x's type.

    The weight has no gradient.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        scale = _scale(x, eps)
        ctx.save_for_backward(x, weight, scale)
        ctx.eps = eps
        return (x.float() * scale).to(x.dtype).mul_(weight)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, scale = ctx.saved_tensors
        if torch.is_grad_enabled():  # a graph through the gradient itself is asked for
            y = weight * (x.float() * _scale(x, ctx.eps)).to(x.dtype)
            (found,) = torch.autograd.grad(y, x, gradient, create_graph=True)
            return found, None, None
        wide, by_unit = x.float(), (gradient * weight).float()
        share = (wide * by_unit).mean(-1, keepdim=True).mul_(scale.pow(3))
        found = by_unit.mul_(scale).sub_(wide.mul_(share) if wide is not x else wide * share)
        return found.to(x.dtype), None, None


def _scale(x: Tensor, eps: float) -> Tensor:
    """1 / sqrt(mean(x²) + eps) over the last dimension, [...,1] in fp32."""
    square = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32).square()
    return (square / x.shape[-1] + eps).rsqrt()


class _Quick:
    """A norm that goes through :class:`_RmsNorm` where its weight is frozen."""

    weight: Tensor
    variance_epsilon: float

    def forward(self, hidden_states: Tensor) -> Tensor:
        tuned = torch.is_grad_enabled() and self.weight.requires_grad
        if tuned or hidden_states.dtype != self.weight.dtype:
            return super().forward(hidden_states)  # type: ignore[misc]
        out: Tensor = _RmsNorm.apply(hidden_states, self.weight, self.variance_epsilon)
        return out


def quicken_norms(model: nn.Module) -> None:
    """Have norms that are Llama's compute this way; only their class changes."""
    for module in model.modules():
        kind: Any = type(module)
        if kind.__name__ in _NAMES and kind.__module__.startswith("transformers."):
            if kind not in _KINDS:
                _KINDS[kind] = type(kind.__name__, (_Quick, kind), {"__module__": __name__})
            module.__class__ = _KINDS[kind]
