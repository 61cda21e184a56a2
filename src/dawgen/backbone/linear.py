"""Matrix products by oneDNN on processors where PyTorch's own choice, MKL, is slow.

PyTorch computes ``linear`` in fp32 by MKL, which runs its AVX-512 kernels on Intel's processors
only; oneDNN, which comes with PyTorch too, runs them wherever they are. On an AMD EPYC with
AVX-512 that is 215 against 93 GFLOP/s on one core (1,500 × 384 by 384 × 1,536). Results
differ by rounding.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D


@cache
def onednn_is_faster() -> bool:
    """Whether ``linear`` in fp32 on this processor is left to a slow path of MKL."""
    return (
        torch.backends.mkl.is_available()
        and torch.backends.mkldnn.is_available()
        and torch.backends.cpu.get_cpu_capability() == "AVX512"
        and "GenuineIntel" not in _processor_vendor()
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    )


def _processor_vendor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text("utf-8", errors="replace").splitlines() if info.exists() else []
    return next((line for line in lines if line.startswith("vendor_id")), "GenuineIntel")


class _OneDnnLinear(torch.autograd.Function):
    """x [M,K], weight [N,K], bias [N] or None -> x · weightᵀ + bias [M,N].

    Differentiable twice: every product in its rule is again one of these.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(x if ctx.needs_input_grad[1] else None, weight)
        out: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        of_x, of_weight, of_bias = ctx.needs_input_grad
        return (
            _product(gradient, weight.t()) if of_x else None,
            _product(gradient.t(), x.t()) if of_weight else None,
            gradient.sum(0) if of_bias else None,
        )


def _product(x: Tensor, weight: Tensor) -> Tensor:
    out: Tensor = _OneDnnLinear.apply(x, weight, None)
    return out


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """As ``torch.nn.functional.linear``, by oneDNN where that is the quicker of the two."""
    if not (x.device.type == "cpu" and x.dtype == weight.dtype == torch.float32):
        return nn.functional.linear(x, weight, bias)
    if not (onednn_is_faster() and x.numel()):
        return nn.functional.linear(x, weight, bias)
    out: Tensor = _OneDnnLinear.apply(x.reshape(-1, x.shape[-1]), weight, bias)
    return out.view(*x.shape[:-1], weight.shape[0])


class _Linear(nn.Linear):
    """A linear layer that goes through :func:`linear`."""

    def forward(self, input: Tensor) -> Tensor:
        return linear(input, self.weight, self.bias)


class _Conv1D(Conv1D):
    """GPT-2's name for a linear layer whose weight lies the other way, [K,N]."""

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight.t(), self.bias)


_QUICK: dict[type[nn.Module], type[nn.Module]] = {nn.Linear: _Linear, Conv1D: _Conv1D}


def quicken(model: nn.Module) -> None:
    """Have the model's linear layers compute by oneDNN, where that pays; weights stay as they are.

    Only layers that are exactly :class:`torch.nn.Linear` or GPT-2's ``Conv1D`` change, and only
    their class: names of parameters, saving and copying stay the same.
    """
    if not onednn_is_faster():
        return
    for module in model.modules():
        module.__class__ = _QUICK.get(type(module), type(module))


def relax(model: nn.Module) -> None:
    """Undo :func:`quicken`: PyTorch's own products, as anybody else's code has them."""
    usual = {quick: plain for plain, quick in _QUICK.items()}
    for module in model.modules():
        module.__class__ = usual.get(type(module), type(module))
