"""How the judge's labels are held against the synthetic ones, worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from dawgen.synthesis import SyntheticRow
from tools.judge import agreement


def test_agreement_by_hand() -> None:
    labels, ratios = ["yes", "yes", "no", "no"], [0.9, 0.2, 0.8, 0.1]
    rows = [
        SyntheticRow("a", "b", label, label_ratio=ratio)
        for label, ratio in zip(labels, ratios, strict=True)
    ]
    judged = np.array([[0.9, 0.1], [0.4, 0.6], [0.3, 0.7], [0.8, 0.2]])
    found = agreement(rows, judged, ["yes", "no"])
    assert found["shared"] == 0.5
    assert found["shared_by_label"] == {"yes": 0.5, "no": 0.5}
    assert found["shared_where_confidence_is_high"] == 1.0
    assert found["shared_where_confidence_is_low"] == 0.0
    assert found["spearman_confidence_and_judge"] == pytest.approx(1.0)
