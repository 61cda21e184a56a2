"""Counted work over rows, and how much of it the machine can do in a second."""

from __future__ import annotations

import math
from collections.abc import Sequence
from time import perf_counter

import torch

from dawgen.backbone.linear import linear
from dawgen.backbone.shape import Shape, Work


def mean_forward(shape: Shape, sizes: Sequence[tuple[float, float, float]]) -> Work:
    """The mean row's forward pass; ``sizes`` are (source, target, scored) of each row."""
    return _mean([shape.forward(*size) for size in sizes])


def mean_backward(shape: Shape, sizes: Sequence[tuple[float, float, float]]) -> Work:
    """The mean row's backward pass."""
    return _mean([shape.backward(*size) for size in sizes])


def _mean(rows: Sequence[Work]) -> Work:
    total = Work()
    for row in rows:
        total = total + row
    return total * (1.0 / max(1, len(rows)))


@torch.no_grad()
def peak_flops(device: torch.device, dtype: torch.dtype) -> float:
    """FLOP/s of the quickest of some large matrix products, as the backbone computes them."""
    size = 1024 if device.type == "cpu" else 8192
    one = torch.ones(size, size, device=device, dtype=dtype)
    best = math.inf
    for _ in range(40):  # others may be at work on the machine
        _wait(device)
        start = perf_counter()
        linear(one, one)
        _wait(device)
        best = min(best, perf_counter() - start)
    return 2.0 * size**3 / best


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
