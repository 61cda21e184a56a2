"""What a look at the development rows says, from scores that are written down here."""

from __future__ import annotations

import math

import pytest
import torch

from dawgen.backbone import Backbone
from dawgen.tuning import develop
from dawgen.tuning.rows import EncodedRows

# Three rows of the first label and one of the second, all of them given the first.
TARGETS = torch.eye(2)[[0, 0, 0, 1]]
SCORES = torch.log(torch.tensor([[0.8, 0.2]] * 4))


@pytest.mark.parametrize(
    ("metric", "value", "loss"),
    [
        ("accuracy", 0.75, -(3 * math.log(0.8) + math.log(0.2)) / 4),
        ("macro-f1", (6 / 7) / 2, -(math.log(0.8) + math.log(0.2)) / 2),
    ],
)
def test_value_and_loss_are_the_cards(
    metric, value: float, loss: float, tiny_bart: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(develop, "score_rows", lambda *_: SCORES)
    rows = EncodedRows([[1], [2], [3], [4]], TARGETS, metric)
    (score,) = develop.dev_scores(torch.zeros(1, 2, 4), [rows], [[1], [2]], tiny_bart, 100)
    assert score.accuracy == 0.75
    assert score.value == pytest.approx(value)
    assert score.loss == pytest.approx(loss, rel=1e-5)
    assert (score.macro_f1 is None) == (metric == "accuracy")
    assert score.one_class
