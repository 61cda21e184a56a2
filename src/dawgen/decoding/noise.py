"""Gumbel noise that depends on (seed, step, token) alone.

Sampling from softmax(logits) is taking the argmax of logits + Gumbel noise. With the noise
computed by a counter-based generator, a row's text depends on its own seed only: not on the
rows beside it, nor on torch's global state, nor on the device.
"""

from __future__ import annotations

import torch
from torch import Tensor

_GOLDEN = -7046029254386353131  # 0x9E3779B97F4A7C15 as int64, the step of SplitMix64
_MIX1 = -4658895280553007687  # 0xBF58476D1CE4E5B9
_MIX2 = -7723592293110705685  # 0x94D049BB133111EB


def _shift(x: Tensor, bits: int) -> Tensor:
    """Logical right shift; torch's own keeps the sign."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def _mix(x: Tensor) -> Tensor:
    """SplitMix64's output function (Steele et al. 2014); int64 products wrap as they should."""
    x = (x ^ _shift(x, 30)) * _MIX1
    x = (x ^ _shift(x, 27)) * _MIX2
    return x ^ _shift(x, 31)


def uniform(seeds: Tensor, step: int, tokens: Tensor) -> Tensor:
    """seeds [B], tokens [B,K] or [K], both int64 -> fp32 [B,K] strictly between 0 and 1."""
    keys = _mix(seeds + (step + 1) * _GOLDEN % (1 << 63))
    bits = _mix(_mix(keys[:, None] + (tokens + 1) * _GOLDEN))
    return (_shift(bits, 41).to(torch.float32) + 0.5) * 2.0**-23  # 23 bits: 1 - 2^-24 is exact


def gumbel(seeds: Tensor, step: int, tokens: Tensor) -> Tensor:
    """Standard Gumbel noise, shapes as in `uniform`."""
    return -torch.log(-torch.log(uniform(seeds, step, tokens)))
