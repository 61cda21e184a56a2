"""A head that also learns from texts without labels, which it has labelled itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from dawgen.selection.heads import LinearHead, Recipe, Training, fit_head

if TYPE_CHECKING:
    from dawgen.tasks import Row

MOST_TEXTS = 1000
"""Of more, so many from all of the file are used."""
SHARE = 2.0
"""The texts' weight in all, as a multiple of the labelled rows' (docs/selection.md)."""


class SelfTraining:
    """Fits a head, labels texts with it, and fits it again on both (self-training).

    A text weighs by how far its label's probability leads the next one. The first head sees the
    training rows only, so rows that are held out of these are held out of both.

    Attributes:
        texts: how many are used.
    """

    def __init__(self, recipe: Recipe, texts: Sequence[Row]) -> None:
        """Encode the texts, by features that learn nothing from rows."""
        places = np.linspace(0, len(texts) - 1, min(MOST_TEXTS, len(texts))).astype(int)
        self._matrix = recipe.make([]).of([texts[place] for place in places])
        self.texts = len(places)

    def __call__(self, training: Training, strength: float) -> LinearHead:
        """With this C, both times."""
        chances = training.head(strength).probabilities(self._matrix).astype(np.float64)
        second, first = np.sort(chances, axis=1)[:, -2:].T
        lead = (first - second).clip(min=1e-9)
        weights = lead * SHARE * training.weights.sum() / lead.sum()
        return fit_head(
            np.vstack([training.matrix, self._matrix]),
            np.concatenate([training.gold, chances.argmax(axis=1)]),
            training.labels,
            strength,
            weights=np.concatenate([training.weights, weights]),
            form=training.form,
        )
