"""bf16 and fp32 of the shipped backbone, on the shipped test rows."""

from __future__ import annotations

import numpy as np

from dawgen.backbone import load_backbone
from dawgen.evaluation import predict
from dawgen.settings import BackboneSettings
from dawgen.tasks import load_card, load_rows, packaged_data

MOST, MEAN = 0.05, 0.01
"""Of the difference of p(label); docs/reliability.md states them."""


def probabilities(count: int) -> list[np.ndarray]:
    """p(label) [N,C] of the shipped task's first test rows in fp32 and in bf16, zero-shot."""
    card = load_card("demo")
    rows = load_rows(card, packaged_data(card)["test"])[:count]
    return [
        predict(load_backbone(BackboneSettings(dtype=dtype)), card, None, rows)
        for dtype in ("fp32", "bf16")
    ]


def test_bf16_and_fp32_agree_on_the_shipped_backbone() -> None:
    found = probabilities(60)
    difference = np.abs(found[0] - found[1])
    assert difference.max() < MOST
    assert difference.mean() < MEAN
    labels = [part.argmax(axis=1) for part in found]
    clear = np.sort(found[0], axis=1)
    sure = clear[:, -1] - clear[:, -2] > 2 * MOST
    assert (labels[0] == labels[1])[sure].all()
