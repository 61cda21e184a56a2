"""Learning rates over the steps, and the optimisers of the arms."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import nn
from transformers.optimization import Adafactor


def rate_at(
    step: int,
    steps: int,
    peak: float,
    schedule: Literal["constant", "linear", "cosine"],
    warmup_steps: int = 0,
) -> float:
    """The learning rate of update ``step`` (1 to ``steps``).

    It climbs evenly to ``peak`` over the warm-up, then stays there or falls, along a line or
    half a cosine, towards 0, which the step after the last would have.
    """
    if step <= warmup_steps:
        return peak * step / warmup_steps
    if schedule == "constant":
        return peak
    past = (step - 1 - warmup_steps) / max(1, steps - warmup_steps)
    if schedule == "linear":
        return peak * (1.0 - past)
    return peak * 0.5 * (1.0 + math.cos(math.pi * past))


def make_optimizer(
    kind: Literal["adamw", "adafactor"], prompt: nn.Parameter, weight_decay: float
) -> torch.optim.Optimizer:
    """An optimiser of one arm's prompt [P, H] alone.

    Each arm has its own, since Adafactor's factored second moment and its clipping by the
    update's root mean square would otherwise run over the whole stack and tie arms together.
    Adafactor is set up as in prompt tuning's published configuration (Lester et al. 2021):
    no relative step, no scaling by the parameter's size. The rate is set at every step.
    """
    if kind == "adamw":
        return torch.optim.AdamW([prompt], lr=0.0, weight_decay=weight_decay)
    return Adafactor(
        [prompt],
        lr=0.0,
        weight_decay=weight_decay,
        scale_parameter=False,
        relative_step=False,
        warmup_init=False,
    )
