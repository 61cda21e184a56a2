"""Log-probabilities of given tokens and their gradient, without keeping a row of the vocabulary.

Beside its value, log p(x) = z_x - log Σ_v exp z_v with z = W h + b needs one vector for its
gradient: ∂ log p(x) / ∂h = W_x - Σ_v p(v) W_v, as wide as h. It is computed at once with the value,
some rows at a time, so that [N,V] logits are neither kept for the backward pass nor leave the
cache. (The idea is that of Liger Kernel's fused linear cross entropy, Hsu et al. 2024.)
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from dawgen.backbone.linear import linear

# Logits at once: 4 MiB of fp32 stay in a processor's cache. But the whole weight is read for each
# such piece: with 49,152 words of 576 numbers in bf16, 85 rows at once take 0.64 times the seconds
# of 21, so fewer rows than these never go together.
_AT_ONCE = {"cpu": 2**20}
_FEWEST = 64
_AT_ONCE_ELSEWHERE = 2**27


class Readout(NamedTuple):
    """The last layer: weight [V,H], bias [V], z = scale · h · weightᵀ + bias, soft-capped."""

    weight: Tensor
    bias: Tensor | None
    scale: float
    cap: float | None

    def logits(self, hidden: Tensor) -> Tensor:
        """hidden [N,H] -> fp32 logits [N,V], by operations that any derivative goes through."""
        out = linear((hidden * self.scale).to(self.weight.dtype), self.weight).float()
        return self._finished(out, self.bias)

    def exact(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """As :meth:`logits`, the one of each row's own target [N] in fp32 throughout.

        A product in bf16 rounds a logit of 20 to the next eighth. Over the vocabulary that
        averages out; of the target it would be the error of its log-probability.
        """
        logits = self.logits(hidden)
        if self.weight.dtype.itemsize >= 4:
            return logits
        chosen = (hidden.float() * self.scale * self.weight[targets].float()).sum(-1)
        bias = None if self.bias is None else self.bias[targets]
        return logits.scatter(-1, targets[:, None], self._finished(chosen, bias)[:, None])

    def _finished(self, logits: Tensor, bias: Tensor | None) -> Tensor:
        logits = logits if bias is None else logits + bias
        return self.cap * torch.tanh(logits / self.cap) if self.cap else logits


def log_probs(readout: Readout, hidden: Tensor, targets: Tensor) -> Tensor:
    """hidden [N,H], targets [N] -> log p(target) [N] in fp32, over the whole vocabulary.

    Differentiable in ``hidden``, twice too.
    """
    if torch.is_grad_enabled() and readout.weight.requires_grad:  # all weights are tuned
        return _plain(readout, hidden, targets)
    wanted = torch.is_grad_enabled() and hidden.requires_grad
    values: Tensor = _TokenLogProbs.apply(hidden, targets, readout, wanted)
    return values


def _plain(readout: Readout, hidden: Tensor, targets: Tensor) -> Tensor:
    logits = readout.exact(hidden, targets)
    return logits.gather(-1, targets[:, None])[:, 0] - logits.logsumexp(-1)


class _TokenLogProbs(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, targets: Tensor, readout: Readout, wanted: bool
    ) -> Tensor:
        values = torch.empty(len(targets), device=hidden.device)
        gradient = torch.empty_like(hidden) if wanted else None
        most = _AT_ONCE.get(hidden.device.type, _AT_ONCE_ELSEWHERE)
        at_once = max(_FEWEST, most // len(readout.weight))
        for start in range(0, len(targets), at_once):
            rows = slice(start, start + at_once)
            some_values, by_hidden = _with_gradient(readout, hidden[rows], targets[rows], wanted)
            values[rows] = some_values
            if gradient is not None and by_hidden is not None:
                gradient[rows] = by_hidden
        if gradient is not None:
            ctx.readout = readout
            ctx.save_for_backward(hidden, targets, gradient)
        return values

    @staticmethod
    def backward(ctx: Any, of_values: Tensor) -> tuple[Tensor | None, ...]:
        hidden, targets, gradient = ctx.saved_tensors
        found = (of_values[:, None] * gradient).to(hidden.dtype)
        if torch.is_grad_enabled():  # a graph through the gradient itself is asked for
            found = found + _Curvature.apply(hidden, of_values.detach(), targets, ctx.readout)
        return found, None, None, None


class _Curvature(torch.autograd.Function):
    """Zeros [N,H] that know how :class:`_TokenLogProbs`' gradient changes with ``hidden``.

    Apart, so that it is computed only where somebody goes back as far as ``hidden``; who asks for
    the way to ``of_values`` [N] alone, as the meta-step does, does not pay for it.
    """

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, of_values: Tensor, targets: Tensor, readout: Readout
    ) -> Tensor:
        ctx.readout = readout
        ctx.save_for_backward(hidden, of_values, targets)
        return torch.zeros_like(hidden)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, direction: Tensor) -> tuple[Tensor | None, ...]:
        hidden, of_values, targets = ctx.saved_tensors
        with torch.enable_grad():
            at = hidden.detach().requires_grad_()
            total = (of_values * _plain(ctx.readout, at, targets)).sum()
            (gradient,) = torch.autograd.grad(total, at, create_graph=True)
            (found,) = torch.autograd.grad(gradient, at, direction)
        return found, None, None, None


def _with_gradient(
    readout: Readout, hidden: Tensor, targets: Tensor, wanted: bool
) -> tuple[Tensor, Tensor | None]:
    """Log-probabilities [n] and, where ``wanted``, their gradients by the hidden states [n,H]."""
    logits = readout.exact(hidden, targets)
    ids = targets[:, None]
    chosen = logits.gather(-1, ids)
    slope = 1 - (logits / readout.cap).square() if wanted and readout.cap else None
    highest = logits.amax(-1, keepdim=True)
    shares = logits.sub_(highest).exp_()  # of the softmax, times their total; in place
    total = shares.sum(-1, keepdim=True)
    values = (chosen - highest - total.log())[:, 0]
    if not wanted:
        return values, None
    by_logit = shares.mul_(-1 / total).scatter_add_(-1, ids, torch.ones_like(chosen))
    if slope is not None:
        by_logit *= slope
    found = linear(by_logit.to(readout.weight.dtype), readout.weight.t()) * readout.scale
    return values, found.to(hidden.dtype)
