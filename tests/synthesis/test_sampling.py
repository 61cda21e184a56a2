"""The choice of one token, by hand."""

from __future__ import annotations

import pytest
import torch

from dawgen.decoding import Decoding
from dawgen.decoding.sampling import Sampler

LOGITS = torch.tensor([[1.0, 5.0, 4.0, 3.0], [2.0, -1.0, 9.0, 0.0]])
ALLOWED = torch.tensor([True, True, False, True])
END = 1


def choose(logits, written=None, labels=None, seeds=None, **decoding) -> list[int]:
    rows = len(logits)
    written = torch.zeros(rows, 0, dtype=torch.long) if written is None else torch.tensor(written)
    labels = torch.tensor(labels or [0] * rows)
    seeds = torch.tensor(seeds if seeds is not None else range(1, rows + 1))
    sampler = Sampler(ALLOWED, END, Decoding(**decoding))
    return sampler.choose(logits.clone(), written, labels, seeds).tolist()


def drawn(logits, rows=400, **decoding) -> set[int]:
    """All tokens that some of many rows with these logits choose."""
    return set(choose(torch.tensor([logits]).expand(rows, -1), seeds=range(rows), **decoding))


def test_greedy_choice_passes_over_what_is_not_allowed():
    assert choose(LOGITS, temperature=0) == [1, 0]


def test_top_1_is_greedy_at_any_temperature():
    assert choose(LOGITS, temperature=7.0, top_k=1) == [1, 0]


def test_penalty_divides_positive_and_multiplies_negative_logits():
    written = [[1, 1], [0, 1]]
    # row 0: 5 -> 2.5 < 3: token 3; row 1: 2 -> 1, still above -2 and 0
    assert choose(LOGITS, written, temperature=0, repetition_penalty=2.0) == [3, 0]
    # at 30, row 1 has 2 -> 0.07 and -1 -> -30: token 0 still; at logit 0 nothing changes
    assert choose(LOGITS, written, temperature=0, repetition_penalty=30.0) == [3, 0]


def test_penalty_by_label():
    same = LOGITS[:1].expand(3, -1)  # 5 against 3: a penalty of 1.5 is not enough, one of 2 is
    penalties = (1.0, 1.5, 2.0)
    written = [[1], [1], [1]]
    chosen = choose(same, written, [2, 0, 1], temperature=0, repetition_penalty=penalties)
    assert chosen == [3, 1, 1]


def test_the_end_mark_waits_for_the_least_length():
    for length, chosen in ((0, 3), (1, 3), (2, END)):
        written = [[0] * length]
        assert choose(LOGITS[:1], written, temperature=0, min_new_tokens=2) == [chosen]


def test_sampling_stays_within_top_k_and_reaches_all_of_it():
    logits = [0.0, 0.2, 9.0, 0.1]
    assert drawn(logits, top_k=2) == {1, 3}
    assert drawn(logits, top_k=0) == {0, 1, 3}


@pytest.mark.parametrize("top_k", [0, 3])
def test_top_p_keeps_the_likeliest_that_make_up_the_share(top_k):
    logits = torch.tensor([0.2, 0.5, 1.0, 0.3]).log().tolist()  # token 2 is not allowed
    assert drawn(logits, top_k=top_k, top_p=0.49) == {1}
    assert drawn(logits, top_k=top_k, top_p=0.51) == {1, 3}
    assert drawn(logits, top_k=top_k, top_p=0.79) == {1, 3}
    assert drawn(logits, top_k=top_k, top_p=0.81) == {0, 1, 3}


def test_top_p_comes_after_the_temperature():
    logits = torch.tensor([0.2, 0.5, 1.0, 0.3]).log().tolist()
    # at temperature 1/2 the shares are 4, 25 and 9 of 38: 0.66 of it are enough for 0.6
    assert drawn(logits, top_k=0, top_p=0.6, temperature=0.5) == {1}


def test_low_temperature_sharpens():
    logits = torch.tensor([[0.0, 0.5, 0.0, 0.0]]).expand(400, -1)
    share = [
        choose(logits, seeds=range(400), top_k=0, temperature=t).count(1) / 400
        for t in (0.1, 1.0, 10.0)
    ]
    assert share[0] > 0.95 > share[1] > share[2] > 0.25
