"""Starts of soft prompts, on a table whose row i is filled with i."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dawgen.prompts import (
    cycle_tokens,
    from_tokens,
    from_vocabulary,
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


def test_from_tokens_is_the_tables_rows_in_order(table):
    prompt = from_tokens(table, [5, 0, 11, 5])
    assert prompt.tolist() == [[5.0] * 3, [0.0] * 3, [11.0] * 3, [5.0] * 3]


def test_from_tokens_copies_and_is_fp32_whatever_the_table_is(table):
    prompt = from_tokens(table, [1])
    prompt += 100.0
    assert table[1].tolist() == [1.0] * 3
    assert from_tokens(table.to(torch.bfloat16), [3]).dtype == torch.float32


def test_from_vocabulary_draws_candidates_only_each_once(table):
    candidates = [2, 3, 5, 7, 11]  # 0 stands for padding, 1 for a special: never drawn
    for seed in range(20):
        drawn = from_vocabulary(table, candidates, 4, rng(seed))[:, 0].tolist()
        assert set(drawn) <= set(candidates)
        assert len(set(drawn)) == 4


def test_from_vocabulary_uses_every_candidate_before_a_second_time(table):
    drawn = from_vocabulary(table, [4, 6], 5, rng())[:, 0].tolist()
    assert sorted(drawn[:2]) == [4.0, 6.0]
    assert drawn == [*drawn[:2], *drawn[:2], drawn[0]]


def test_the_stream_alone_decides_the_draw(table):
    def draw(seed: int) -> list[list[float]]:
        return from_vocabulary(table, range(12), 6, rng(seed)).tolist()

    assert draw(1) == draw(1)
    assert draw(1) != draw(2)


def test_random_numbers_have_the_tables_mean_and_spread(table):
    prompt = random_normal(table, 4000, rng())
    assert prompt.shape == (4000, 3)
    assert prompt.mean().item() == pytest.approx(5.5, abs=0.1)  # mean of 0..11
    assert prompt.std().item() == pytest.approx(np.sqrt(143 / 12), abs=0.1)  # (12² - 1) / 12
