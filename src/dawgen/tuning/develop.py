"""Looking at the development rows: all arms at once, and which step was best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from dawgen.backbone.packed import SharedPrompts
from dawgen.backbone.scoring import score_rows
from dawgen.tuning.gradients import cross_entropy
from dawgen.tuning.rows import EncodedRows

if TYPE_CHECKING:
    from dawgen.backbone import Backbone


@dataclass(frozen=True)
class DevScore:
    """One arm on its development rows.

    Attributes:
        accuracy: 0 to 1.
        loss: mean cross-entropy, nats.
        predicted: how many rows were given each of the C labels.
    """

    accuracy: float
    loss: float
    predicted: list[int]

    @property
    def one_class(self) -> bool:
        """Every row was given the same label."""
        return max(self.predicted) == sum(self.predicted)

    def better_than(self, other: DevScore | None) -> bool:
        """Higher accuracy, or the same at a lower loss."""
        return other is None or (self.accuracy, -self.loss) > (other.accuracy, -other.loss)


@torch.no_grad()
def dev_scores(
    prompts: Tensor,
    dev: Sequence[EncodedRows],
    label_words: Sequence[Sequence[int]],
    backbone: Backbone,
    tokens_per_batch: int,
) -> list[DevScore]:
    """Score each arm's prompt of [R, P, H] on that arm's own development rows."""
    arms = [arm for arm, rows in enumerate(dev) for _ in rows.ids]
    ids = [row for rows in dev for row in rows.ids]
    soft = SharedPrompts(prompts, arms)
    scores = score_rows(backbone, soft, ids, label_words, tokens_per_batch)
    counts = [len(rows) for rows in dev]
    return [
        _score(part, rows.targets) for part, rows in zip(scores.split(counts), dev, strict=True)
    ]


def _score(scores: Tensor, targets: Tensor) -> DevScore:
    """scores [N, C] against the labels' probabilities [N, C]."""
    predicted = scores.argmax(dim=1)
    right = predicted == targets.argmax(dim=1)
    loss = cross_entropy(scores, targets).mean()
    counts = torch.bincount(predicted, minlength=scores.shape[1])
    return DevScore(float(right.float().mean()), float(loss), [int(n) for n in counts])
