"""Starts of soft prompts, on a table whose row i is filled with i."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dawgen.prompts import (
    cycle_tokens,
    random_normal,
    sample_tokens,
)


@pytest.fixture
def table() -> torch.Tensor:
    """[V=12, H=3]: row i is filled with i."""
    return torch.arange(12.0)[:, None].expand(12, 3).clone()


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_tokens_repeat_until_the_prompt_is_full():
    assert cycle_tokens([7, 4, 9], 7) == [7, 4, 9, 7, 4, 9, 7]
    assert cycle_tokens([7, 4, 9], 2) == [7, 4]


def test_no_tokens_cannot_fill_a_prompt():
    with pytest.raises(ValueError, match="no tokens"):
        cycle_tokens([], 3)
    with pytest.raises(ValueError, match="no candidate"):
        sample_tokens([], 3, rng())


def test_random_numbers_have_the_tables_mean_and_spread(table):
    prompt = random_normal(table, 4000, rng())
    assert prompt.shape == (4000, 3)
    assert prompt.mean().item() == pytest.approx(5.5, abs=0.1)  # mean of 0..11
    assert prompt.std().item() == pytest.approx(np.sqrt(143 / 12), abs=0.1)  # (12² - 1) / 12
