"""Gradient surgery between real and synthetic data, method.md §3.

Yu et al. 2020 (PCGrad), with the paper's asymmetry: only the synthetic gradient is turned,
the real one never is. Shapes: R prompts in the stack, P prompt tokens, H hidden size.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Projection(NamedTuple):
    """What :func:`project` gives back.

    Attributes:
        projected: [R, P, H] the synthetic gradients after surgery.
        cosine: [R] between the two gradients before it; 0 where one of them is zero.
        conflict: [R] True where they pointed against each other, so surgery was done.
    """

    projected: Tensor
    cosine: Tensor
    conflict: Tensor


def project(synthetic: Tensor, real: Tensor) -> Projection:
    """Take from each arm's synthetic gradient what goes against its real one.

        if δ_syn · δ_real < 0:   δ_syn ← δ_syn - (δ_syn · δ_real / ‖δ_real‖²) δ_real

    The dot product is over the whole prompt. Gradients that agree come back bit for bit.

    Args:
        synthetic: δ_syn [R, P, H].
        real: δ_real [R, P, H].
    """
    dot = (synthetic * real).sum(dim=(1, 2))
    real_square = real.square().sum(dim=(1, 2))
    norms = real_square.sqrt() * synthetic.square().sum(dim=(1, 2)).sqrt()
    cosine = torch.where(norms > 0, dot / norms, 0.0)
    conflict = (dot < 0) & (real_square > 0)
    share = torch.where(conflict, dot / real_square, 0.0)
    turned = synthetic - share[:, None, None] * real
    return Projection(torch.where(conflict[:, None, None], turned, synthetic), cosine, conflict)
