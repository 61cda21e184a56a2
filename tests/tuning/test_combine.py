"""Which rows each strategy draws, and with what weights."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from dawgen.errors import UserError
from dawgen.settings import TuningSettings
from dawgen.tuning.arm import Arm, planned_arms
from dawgen.tuning.combine import Passes, Plan

SETTINGS = TuningSettings(batch_size=4, synthetic_batch_size=6, steps=10)


def draws(combine, steps=10, real=8, synthetic=30, seed=13, **arm):
    plan = Plan(Arm("a", seed, combine, **arm), real, synthetic, SETTINGS)
    return [plan.draw(step) for step in range(1, steps + 1)]


class TestPasses:
    def test_every_row_once_a_pass(self):
        passes = Passes(7, np.random.default_rng(0))
        taken = [row for _ in range(7) for row in passes.take(3)]
        for begin in (0, 7, 14):
            assert sorted(taken[begin : begin + 7]) == list(range(7))
        assert taken[:7] != taken[7:14]

    def test_never_more_than_all_rows_at_once(self):
        assert sorted(Passes(3, np.random.default_rng(0)).take(8)) == [0, 1, 2]


def test_real_draws_real_rows_only():
    for draw in draws("real"):
        assert (len(draw.real), draw.synthetic) == (4, [])
        assert (draw.real_weight, draw.synthetic_weight, draw.surgery) == (1.0, 0.0, False)


def test_synthetic_draws_synthetic_rows_only():
    for draw in draws("synthetic", epsilon=0.5):
        assert (draw.real, len(draw.synthetic)) == ([], 6)
        assert (draw.real_weight, draw.synthetic_weight) == (0.0, 1.0)


@pytest.mark.parametrize(("combine", "surgery"), [("paired", False), ("surgery", True)])
def test_paired_batches_are_added_with_epsilon(combine, surgery):
    for draw in draws(combine, epsilon=0.25):
        assert (len(draw.real), len(draw.synthetic)) == (4, 6)
        assert (draw.real_weight, draw.synthetic_weight) == (1.0, 0.25)
        assert draw.surgery is surgery


def test_mixed_is_one_set_and_the_mean_over_its_rows():
    # 8 + 30 rows, 10 a step: 19 steps are five whole passes over the one set
    drawn = draws("mixed", steps=19)
    for draw in drawn:
        assert len(draw.real) + len(draw.synthetic) == 10
        assert draw.real_weight == pytest.approx(len(draw.real) / 10)
        assert draw.synthetic_weight == pytest.approx(len(draw.synthetic) / 10)
    assert Counter(row for draw in drawn for row in draw.real) == dict.fromkeys(range(8), 5)
    assert Counter(row for d in drawn for row in d.synthetic) == dict.fromkeys(range(30), 5)


@pytest.mark.parametrize("combine", ["real-then-synthetic", "synthetic-then-real"])
def test_one_kind_after_the_other(combine):
    kinds = ["real" if draw.real else "synthetic" for draw in draws(combine)]
    first, second = combine.split("-then-")
    assert kinds == [first] * 5 + [second] * 5
    plan = Plan(Arm("a", 13, combine), 8, 30, SETTINGS)
    assert kinds[plan.first_candidate - 1] == second  # updates are counted from 1
    assert kinds[plan.first_candidate - 2] == first
    assert Plan(Arm("a", 13, "surgery"), 8, 30, SETTINGS).first_candidate == 0


def test_the_seed_alone_decides_the_rows():
    real = [draw.real for draw in draws("real")]
    assert [draw.real for draw in draws("surgery")] == real  # same seed, other strategy
    assert [draw.real for draw in draws("real", synthetic=5)] == real  # other synthetic set
    assert [draw.real for draw in draws("real", seed=21)] != real
    synthetic = [draw.synthetic for draw in draws("synthetic")]
    assert [draw.synthetic for draw in draws("paired")] == synthetic


def test_missing_rows_are_said():
    with pytest.raises(UserError, match=r"'a' \(surgery\) needs synthetic rows"):
        draws("surgery", synthetic=0)
    with pytest.raises(UserError, match=r"'a' \(paired\) needs labelled rows"):
        draws("paired", real=0)
    draws("real", synthetic=0)
    draws("synthetic", real=0)


def test_the_settings_arms():
    settings = TuningSettings(combine="paired", epsilon=0.3, learning_rate=0.2, label_smoothing=0.1)
    assert planned_arms(settings, 21) == [
        Arm("prompt", 21, "paired", 0.3, 0.2, 0.1),
        Arm("baseline", 21, "real", 1.0, 0.2, 0.0),
    ]
    assert len(planned_arms(settings.model_copy(update={"baseline": False}), 21)) == 1
