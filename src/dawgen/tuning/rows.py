"""Rows ready for a step: encoded once, joined over the stack."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from dawgen.evaluation.balance import label_weights
from dawgen.tuning.combine import Draw

if TYPE_CHECKING:
    from dawgen.backbone import Backbone
    from dawgen.tasks import Row, TaskCard
    from dawgen.tasks.card import Metric


@dataclass(frozen=True)
class EncodedRows:
    """Rows as token ids (N lists) with the probability [N, C] that each label should get.

    Attributes:
        metric: what they are scored by, and which labels' rows weigh more in the loss.
    """

    ids: list[list[int]]
    targets: Tensor
    metric: Metric = "accuracy"

    @cached_property
    def weights(self) -> list[float]:
        """[N], of mean 1; see :func:`dawgen.evaluation.balance.label_weights`."""
        return [float(w) for w in label_weights(self.targets.argmax(dim=1).numpy(), self.metric)]

    def __len__(self) -> int:
        return len(self.ids)


def encode(
    card: TaskCard, rows: Sequence[Row], backbone: Backbone, prompt_length: int
) -> EncodedRows:
    """Fill the template and number the labels, once for all steps and arms."""
    labels = [_label_number(card, row) for row in rows]
    targets = torch.zeros(len(rows), len(card.labels))
    targets[torch.arange(len(rows)), torch.tensor(labels, dtype=torch.long)] = 1.0
    return EncodedRows(backbone.encode_rows(card, rows, prompt_length), targets, card.metric)


def _label_number(card: TaskCard, row: Row) -> int:
    if row.label is None:
        raise ValueError(f"{card.name}: a row without label cannot be tuned on: {row.text1!r}")
    return card.label_index(row.label)


@dataclass(frozen=True)
class JoinedRows:
    """One step's rows of all R arms, B in all.

    Attributes:
        ids: B lists of token ids.
        targets: [B, C], label smoothing applied.
        copy: [B] which of the 2·R prompt copies the row reads: arm r's real copy is r, its
            synthetic copy R + r.
        weight: [B] the row's own weight over the number of rows that share the copy.
    """

    ids: list[list[int]]
    targets: Tensor
    copy: Tensor
    weight: Tensor


def join(
    draws: Sequence[Draw],
    real: Sequence[EncodedRows],
    synthetic: Sequence[EncodedRows],
    smoothing: Sequence[float],
) -> JoinedRows:
    """Put the arms' rows into one batch: all real ones, arm by arm, then all synthetic ones."""
    ids: list[list[int]] = []
    targets: list[Tensor] = []
    copy: list[int] = []
    weight: list[float] = []
    for arm, (draw, rows) in enumerate(zip(draws, real, strict=True)):
        ids += [rows.ids[row] for row in draw.real]
        targets.append(rows.targets[draw.real])
        copy += [arm for _ in draw.real]
        weight += [rows.weights[row] / len(draw.real) for row in draw.real]
    for arm, (draw, rows) in enumerate(zip(draws, synthetic, strict=True)):
        ids += [rows.ids[row] for row in draw.synthetic]
        targets.append(_smooth(rows.targets[draw.synthetic], smoothing[arm]))
        copy += [len(draws) + arm for _ in draw.synthetic]
        weight += [rows.weights[row] / len(draw.synthetic) for row in draw.synthetic]
    return JoinedRows(ids, torch.cat(targets), torch.tensor(copy), torch.tensor(weight))


def _smooth(targets: Tensor, amount: float) -> Tensor:
    """Give every label an equal part of ``amount``: (1 - a)·target + a / C."""
    return targets * (1.0 - amount) + amount / targets.shape[1]
