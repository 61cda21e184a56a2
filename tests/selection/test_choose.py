"""Which candidate is shipped, on held-out probabilities that are written down here."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from scipy.stats import binom

from dawgen.selection.candidates import Candidate, average
from dawgen.selection.choose import DOUBT, choose, paired, value
from dawgen.selection.store import Choice

GOLD = np.array([0, 1] * 20)


def candidate(
    name: str,
    wrong: Sequence[int],
    sure: float = 0.8,
    *,
    seen: int = 0,
    rival: bool = False,
    leads: int = 0,
) -> Candidate:
    """Gives the right label ``sure`` but for the rows ``wrong``; has seen the first ``seen``."""
    held_out = np.full((40, 2), 1 - sure, np.float32)
    held_out[np.arange(40), GOLD] = sure
    held_out[list(wrong)] = held_out[list(wrong)][:, ::-1]
    held_out[:seen] = np.nan
    return Candidate(name, held_out, lambda: Choice(name, []), 40, 1.0, rival=rival, leads=leads)


def test_the_more_accurate_one_is_shipped() -> None:
    weak, strong = candidate("weak", range(20)), candidate("strong", range(4))
    assert choose([weak, strong], GOLD) is strong
    assert choose([strong, weak], GOLD) is strong


def test_of_equals_in_accuracy_the_one_of_lower_loss() -> None:
    vague, sure = candidate("vague", [1, 2], 0.6), candidate("sure", [3, 4], 0.8)
    assert choose([vague, sure], GOLD) is sure


def test_of_equals_in_all_the_first() -> None:
    first, second = candidate("first", [1]), candidate("second", [1])
    assert choose([first, second], GOLD) is first


def test_a_mean_of_heads_leads_unless_another_is_better_beyond_doubt() -> None:
    """A part of it with a small lead in accuracy, or in loss, is no reason."""
    mean = candidate("mean", [1, 2, 3], 0.7, leads=1)
    assert choose([candidate("part", [1, 2]), mean], GOLD) is mean
    assert choose([candidate("part", [1, 2, 3], 0.9), mean], GOLD) is mean
    strong = candidate("strong", [])
    weak = candidate("mean", range(8), 0.7, leads=1)
    assert choose([strong, weak], GOLD) is strong
    better = candidate("taught", [1], 0.7, leads=1)
    assert choose([mean, better, candidate("part", [1, 2])], GOLD) is better


def test_what_leads_most_leads_whatever_its_own_figures() -> None:
    """But for another one that is better beyond doubt, be it another product."""
    product = candidate("product", [1, 2], 0.8, leads=1)
    tuned = candidate("tuned", [1, 2, 3], 0.7, leads=2)
    assert choose([product, tuned], GOLD) is tuned
    weak = candidate("tuned", range(10), 0.7, leads=2)
    assert choose([product, weak], GOLD) is product


def test_a_rival_with_a_small_lead_is_not_shipped() -> None:
    """Its development rows flatter it: two rows of twenty are no reason."""
    head = candidate("head", [30, 31, 32])
    flattered = candidate("prompt", [33], seen=20, rival=True)
    assert choose([head, flattered], GOLD) is head


def test_a_rival_that_is_better_beyond_doubt_is_shipped() -> None:
    head = candidate("head", range(22, 34))
    prompt = candidate("prompt", [], seen=20, rival=True)
    assert choose([head, prompt], GOLD) is prompt


def test_a_rival_of_more_right_rows_and_a_higher_loss_is_not_shipped() -> None:
    """Three rows of 32 make a p of 0.25; here it is below any doubt, and still less than a loss."""
    head = candidate("head", range(8), 0.8, leads=1)
    vague = candidate("prompt", [], 0.51, rival=True)
    assert paired(vague, head, GOLD).p < DOUBT
    assert choose([head, vague], GOLD) is head
    assert choose([head, candidate("prompt", [], 0.8, rival=True)], GOLD).name == "prompt"


def test_rows_that_a_rival_has_seen_do_not_count() -> None:
    """The head is bad on rows that the prompt has seen, and as good on the others."""
    head = candidate("head", range(20))
    prompt = candidate("prompt", [], seen=20, rival=True)
    assert choose([head, prompt], GOLD) is head
    assert paired(prompt, head, GOLD).rows == 20


def test_rivals_alone_are_compared_with_each_other() -> None:
    rivals = [
        candidate(name, range(20, w), seen=20, rival=True) for name, w in (("a", 30), ("b", 21))
    ]
    assert choose(rivals, GOLD).name == "b"


def test_the_sign_test_is_mcnemars_exact_one() -> None:
    match = paired(candidate("a", [1]), candidate("b", [2, 3, 4, 5]), GOLD)
    assert (match.better, match.worse) == (4, 1)
    assert match.p == pytest.approx(2 * binom.cdf(1, 5, 0.5))
    assert paired(candidate("a", [1]), candidate("b", [1]), GOLD).p == 1.0


def test_an_average_is_of_the_few_of_lowest_loss() -> None:
    some = [candidate(name, range(w)) for name, w in (("a", 30), ("b", 1), ("c", 2), ("d", 3))]
    mixed = average(some, GOLD)
    expected = np.mean([each.held_out for each in some[1:]], axis=0)
    np.testing.assert_allclose(mixed.held_out, expected)
    assert mixed.rival


# --- macro-F1 --------------------------------------------------------------------------

RARE = np.array([0] * 35 + [1] * 5)


def answering(name: str, answers: Sequence[int], sure: float = 0.8) -> Candidate:
    held_out = np.full((40, 2), 1 - sure, np.float32)
    held_out[np.arange(40), list(answers)] = sure
    return Candidate(name, held_out, lambda: Choice(name, []), 40, 1.0)


def test_by_macro_f1_the_one_that_finds_the_rare_label_is_shipped() -> None:
    blind = answering("blind", [0] * 40)
    finds = answering("finds", [1] * 8 + [0] * 27 + [1] * 5)
    assert value(blind, RARE, "accuracy") == 35 / 40
    assert value(finds, RARE, "accuracy") == 32 / 40
    assert value(blind, RARE, "macro-f1") == pytest.approx((70 / 75 + 0) / 2)
    assert value(finds, RARE, "macro-f1") == pytest.approx((54 / 62 + 10 / 18) / 2)
    assert choose([blind, finds], RARE, "macro-f1") is finds
    match = paired(finds, blind, RARE, "macro-f1")
    assert (match.better, match.worse) == (5, 8)
    assert match.lead > 0
    assert match.p < DOUBT
    assert paired(finds, blind, RARE).lead == pytest.approx(-3 / 40)


def test_by_macro_f1_each_labels_loss_counts_the_same() -> None:
    """Both get the same rows right; one is surer of the rare rows, the other of the common ones,
    which are more."""
    common, rare = (answering(name, RARE) for name in ("common", "rare"))
    common.held_out[np.arange(40), RARE] = np.where(RARE == 0, 0.9, 0.6)
    rare.held_out[np.arange(40), RARE] = np.where(RARE == 0, 0.6, 0.95)
    assert choose([rare, common], RARE) is common
    assert choose([common, rare], RARE, "macro-f1") is rare
