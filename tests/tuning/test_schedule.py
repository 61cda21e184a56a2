"""Learning rates and optimisers."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from dawgen.tuning.schedule import make_optimizer, rate_at


def rates(schedule, steps=4, warmup=0):
    return [rate_at(step, steps, 0.8, schedule, warmup) for step in range(1, steps + 1)]


def test_constant():
    assert rates("constant") == [0.8] * 4


def test_linear_falls_towards_zero_and_still_moves_at_the_last_step():
    assert rates("linear") == pytest.approx([0.8, 0.6, 0.4, 0.2])


def test_cosine():
    half = math.sqrt(0.5)
    expected = [0.8, 0.4 * (1 + half), 0.4, 0.4 * (1 - half)]
    assert rates("cosine") == pytest.approx(expected)


def test_warmup_climbs_and_then_the_schedule_begins_at_its_peak():
    assert rates("linear", steps=6, warmup=2) == pytest.approx([0.4, 0.8, 0.8, 0.6, 0.4, 0.2])
    assert rates("constant", steps=3, warmup=4) == pytest.approx([0.2, 0.4, 0.6])


def test_adafactor_is_set_up_as_published():
    """Lester et al.'s configuration: no parameter scale, so equal gradients of all entries
    move a large and a small prompt alike, by the rate itself."""
    for size in (0.01, 100.0):
        prompt = nn.Parameter(torch.full((2, 3), size))
        optimizer = make_optimizer("adafactor", prompt, weight_decay=0.0)
        optimizer.param_groups[0]["lr"] = 0.3
        prompt.grad = torch.ones(2, 3)
        optimizer.step()
        torch.testing.assert_close(prompt.detach(), torch.full((2, 3), size - 0.3))


def test_adafactor_over_a_stack_would_tie_the_arms_together():
    """Why each arm has an optimiser of its own: in one tensor, a second arm with a large
    gradient changes the update of the first."""

    def moved(gradient: torch.Tensor) -> torch.Tensor:
        prompt = nn.Parameter(torch.zeros_like(gradient))
        optimizer = make_optimizer("adafactor", prompt, weight_decay=0.0)
        optimizer.param_groups[0]["lr"] = 0.3
        for scale in (1.0, 3.0):
            prompt.grad = gradient * scale
            optimizer.step()
        return prompt.detach()

    stream = torch.Generator().manual_seed(0)
    first, second = torch.randn(2, 4, 6, generator=stream)
    alone = moved(first)
    stacked = moved(torch.stack([first, 50 * second.abs() ** 3]))[0]
    assert (alone - stacked).abs().max() > 1e-3


def test_adamw_decays_and_moves_by_the_rate():
    prompt = nn.Parameter(torch.tensor([[2.0]]))
    optimizer = make_optimizer("adamw", prompt, weight_decay=0.1)
    optimizer.param_groups[0]["lr"] = 0.5
    prompt.grad = torch.tensor([[7.0]])
    optimizer.step()
    # decay 2 · (1 - 0.5 · 0.1) = 1.9, then a step of the rate against the gradient's sign
    assert prompt.item() == pytest.approx(1.4, abs=1e-5)
