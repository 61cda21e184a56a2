"""Figures worked out by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest

from dawgen.evaluation import score
from dawgen.evaluation.metrics import expected_calibration_error, wilson_interval
from dawgen.tasks import load_card

SICK = load_card("sick")
E, N, C = SICK.labels
# gold:       E    E    E    N    N    C
# predicted:  E    E    N    N    E    N
GOLD = [E, E, E, N, N, C]
PROBABILITIES = np.array(
    [
        [0.8, 0.1, 0.1],
        [0.6, 0.2, 0.2],
        [0.3, 0.6, 0.1],
        [0.0, 1.0, 0.0],
        [0.5, 0.3, 0.2],
        [0.1, 0.6, 0.3],
    ],
    dtype=np.float32,
)


def test_a_table_by_hand() -> None:
    found = score(SICK, GOLD, PROBABILITIES)
    assert found["accuracy"] == 3 / 6
    assert found["n"] == 6
    assert found["confusion"] == {
        E: {E: 2, N: 1, C: 0},
        N: {E: 1, N: 1, C: 0},
        C: {E: 0, N: 1, C: 0},
    }
    assert found["labels"][E] == pytest.approx(
        {"precision": 2 / 3, "recall": 2 / 3, "f1": 2 / 3, "n": 3, "predicted": 3}
    )
    assert found["labels"][N] == pytest.approx(
        {"precision": 1 / 3, "recall": 1 / 2, "f1": 2 / 5, "n": 2, "predicted": 3}
    )
    assert found["labels"][C] == {"precision": 0, "recall": 0, "f1": 0, "n": 1, "predicted": 0}
    assert found["macro_f1"] == pytest.approx((2 / 3 + 2 / 5) / 3)
    # bins of width 1/15: {0.5 miss}, {0.6 hit, miss, miss}, {0.8 hit}, {1.0 hit}
    assert found["ece"] == pytest.approx((0.5 + (1.8 - 1) + (1 - 0.8) + 0) / 6, abs=1e-6)
    assert found["ece_bins"] == 15
    assert json.loads(json.dumps(found)) == found
    assert found["metric"] == "accuracy"
    assert "macro_f1_95" not in found


def test_a_card_that_goes_by_macro_f1_says_so_with_an_interval() -> None:
    found = score(SICK.model_copy(update={"metric": "macro-f1"}), GOLD, PROBABILITIES)
    low, high = found["macro_f1_95"]
    assert found[found["metric"]] == pytest.approx(16 / 45)
    assert low < 16 / 45 < high


def test_calibration_at_its_ends() -> None:
    sure = np.array([[1.0, 0.0], [1.0, 0.0]])
    assert expected_calibration_error(sure, np.array([0, 0])) == 0
    assert expected_calibration_error(sure, np.array([1, 1])) == 1
    # half of the rows right at confidence 1/2: perfectly calibrated
    even = np.array([[0.5, 0.5]] * 4)
    assert expected_calibration_error(even, np.array([0, 1, 0, 1])) == 0
    # a hit and a miss cancel within a bin, not across bins
    across = np.array([[0.9, 0.1], [0.6, 0.4]])
    assert expected_calibration_error(across, np.array([1, 0])) == pytest.approx((0.9 + 0.4) / 2)
    # a bin is closed on its right: 0.8 = 12/15 is in the bin of 0.79
    edge = np.array([[0.8, 0.2], [0.79, 0.21]])
    assert expected_calibration_error(edge, np.array([0, 1])) == pytest.approx((0.79 - 0.2) / 2)


def test_wilson_interval_of_50_in_100() -> None:
    assert wilson_interval(50, 100) == pytest.approx((0.4038, 0.5962), abs=1e-4)
    assert wilson_interval(0, 10) == pytest.approx((0, 0.2775), abs=1e-4)
    assert wilson_interval(10, 10) == pytest.approx((0.7225, 1), abs=1e-4)


@pytest.mark.parametrize("labels", [[], [E, None, E, N, N, C], [E]])
def test_what_cannot_be_scored_is_refused(labels: list[str | None]) -> None:
    with pytest.raises(ValueError, match="rows"):
        score(SICK, labels, PROBABILITIES)
