"""Looking at the development rows: all arms at once, and which step was best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from dawgen.backbone.packed import SharedPrompts
from dawgen.backbone.scoring import score_rows
from dawgen.evaluation.balance import macro_f1
from dawgen.tuning.gradients import cross_entropy
from dawgen.tuning.rows import EncodedRows

if TYPE_CHECKING:
    from dawgen.backbone import Backbone
    from dawgen.settings import CheckpointRule


@dataclass(frozen=True)
class DevScore:
    """One arm on its development rows.

    Attributes:
        accuracy: 0 to 1.
        loss: mean cross-entropy, nats, by the rows' weights.
        predicted: how many rows were given each of the C labels.
        macro_f1: 0 to 1; None where the rows are scored by accuracy.
    """

    accuracy: float
    loss: float
    predicted: list[int]
    macro_f1: float | None = None

    @property
    def value(self) -> float:
        """What the rows are scored by."""
        return self.accuracy if self.macro_f1 is None else self.macro_f1

    @property
    def one_class(self) -> bool:
        """Every row was given the same label."""
        return max(self.predicted) == sum(self.predicted)

    def better_than(self, other: DevScore | None, rule: CheckpointRule = "accuracy") -> bool:
        """By accuracy, a higher value or the same at a lower loss; each is better than those
        before where the last is kept."""
        if other is None or rule == "last":
            return True
        if rule == "loss":
            return self.loss < other.loss
        return (self.value, -self.loss) > (other.value, -other.loss)


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
    return [_score(part, rows) for part, rows in zip(scores.split(counts), dev, strict=True)]


def _score(scores: Tensor, rows: EncodedRows) -> DevScore:
    """scores [N, C] of the rows."""
    predicted, gold = scores.argmax(dim=1), rows.targets.argmax(dim=1)
    losses = cross_entropy(scores, rows.targets)
    loss = (losses * torch.tensor(rows.weights, dtype=losses.dtype)).mean()
    labels = scores.shape[1]
    counts = [int(n) for n in torch.bincount(predicted, minlength=labels)]
    value = None
    if rows.metric == "macro-f1":
        value = macro_f1(gold.numpy(), predicted.numpy(), labels)
    return DevScore(float((predicted == gold).float().mean()), float(loss), counts, value)
