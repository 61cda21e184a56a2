"""Products of classifiers and means of products, by hand and against another optimiser's way."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import check_grad, minimize_scalar

from dawgen.selection import pool
from dawgen.selection.heads import LinearHead, softmax
from dawgen.selection.pool import exponents, pooled, product

SURE = np.array([[0.9, 0.1], [0.5, 0.5]], np.float32)
UNSURE = np.array([[0.4, 0.6], [0.2, 0.8]], np.float32)


def test_a_product_by_hand() -> None:
    found = product([SURE, UNSURE], [1.0, 1.0])
    np.testing.assert_allclose(found, [[0.36 / 0.42, 0.06 / 0.42], [0.2, 0.8]], rtol=1e-6)
    squared = product([SURE, UNSURE], [0.0, 2.0])
    np.testing.assert_allclose(squared, [[16 / 52, 36 / 52], [4 / 68, 64 / 68]], rtol=1e-6)


def test_groups_are_multiplied_within_and_averaged_over() -> None:
    found = pooled([SURE, UNSURE, SURE], [0, 0, 7])
    np.testing.assert_allclose(found, (product([SURE, UNSURE], [1, 1]) + SURE) / 2)
    np.testing.assert_allclose(pooled([SURE, UNSURE], [0, 1]), (SURE + UNSURE) / 2)
    np.testing.assert_array_equal(pooled([SURE], [3]), SURE)


def test_a_row_that_one_has_seen_is_unknown() -> None:
    seen = SURE.copy()
    seen[0] = np.nan
    found = product([seen, UNSURE], [1.0, 1.0])
    assert np.isnan(found[0]).all()
    assert not np.isnan(found[1]).any()


def test_a_head_to_a_power_is_its_probabilities_to_it() -> None:
    random = np.random.default_rng(3)
    head = LinearHead(random.normal(size=(4, 3)).astype(np.float32), np.ones(3, np.float32))
    rows = random.normal(size=(5, 4)).astype(np.float32)
    expected = head.probabilities(rows) ** 0.3
    found = head.to_the(0.3).probabilities(rows)
    np.testing.assert_allclose(found, expected / expected.sum(axis=1, keepdims=True), rtol=1e-5)


def _experts(labels: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One that knows, one that is sure of nothing it knows, and the truth."""
    random = np.random.default_rng(5)
    gold = random.integers(0, labels, 200)
    truth = np.eye(labels)[gold]
    knows = softmax(2.0 * truth + random.normal(size=truth.shape))
    guesses = softmax(4.0 * random.normal(size=truth.shape))
    return knows, guesses, gold


@pytest.mark.parametrize("metric", ["accuracy", "macro-f1"])
def test_who_knows_nothing_has_no_say(metric: str) -> None:
    knows, guesses, gold = _experts()
    found = exponents([knows, guesses], gold, metric)  # type: ignore[arg-type]
    assert found[1] < 0.1 < 0.7 < found[0]
    mixed = product([knows, guesses], found.tolist()).argmax(axis=1) == gold
    assert mixed.mean() > ((knows + guesses).argmax(axis=1) == gold).mean()


def test_one_exponent_is_the_one_that_a_search_finds() -> None:
    knows, _, gold = _experts()

    def loss(power: float) -> float:
        chances = product([knows], [power])[np.arange(len(gold)), gold].astype(np.float64)
        return float(-np.log(chances).sum() + pool._PRIOR / 2 * (power - 1) ** 2)

    expected = minimize_scalar(loss, bounds=(0, 5), method="bounded").x
    assert exponents([knows], gold, "accuracy")[0] == pytest.approx(expected, abs=1e-3)


def test_the_slope_is_that_of_the_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = {}

    def take(fun: object, start: np.ndarray, **others: object) -> object:
        taken["fun"] = fun
        return type("Found", (), {"x": start})

    monkeypatch.setattr("scipy.optimize.minimize", take)
    knows, guesses, gold = _experts()
    exponents([knows, guesses], gold, "macro-f1")
    fun = taken["fun"]
    for point in ([0.5, 0.5], [1.3, 0.2]):
        off = check_grad(lambda a: fun(a)[0], lambda a: fun(a)[1], np.array(point))  # type: ignore[operator]
        assert off < 1e-3


def test_few_rows_leave_equal_shares() -> None:
    knows, guesses, gold = _experts()
    few = exponents([knows[:4], guesses[:4]], gold[:4], "accuracy")
    np.testing.assert_allclose(few, 0.5, atol=0.2)


def test_three_experts_are_drawn_to_a_third_less_strongly() -> None:
    """Three of one mind share alike: their sum is found by looking at many."""
    gold = np.array([0, 1] * 10)
    knows = np.where(np.eye(2, dtype=bool)[gold], 0.8, 0.2).astype(np.float32)
    knows[:4] = knows[:4, ::-1]

    def value(whole: float) -> float:
        chances = product([knows], [whole])[np.arange(20), gold]
        distance = 3 * (whole / 3 - 1 / 3) ** 2
        return float(-np.log(chances).sum() + pool._PRIOR_OF_MORE / 2 * distance)

    expected = min(np.linspace(0, 3, 3001), key=value)
    found = exponents([knows] * 3, gold, "accuracy")
    np.testing.assert_allclose(found, expected / 3, atol=1e-3)
    assert pool._PRIOR_OF_MORE < pool._PRIOR
