"""A cross-encoder tuned further on a task's labelled pairs.

What it has learnt from other tasks says how two texts relate; tuning on the shots moves the
boundary to where the task's labels have it, for which a head on frozen vectors has too few rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from dawgen.selection.adapter import Adapter
from dawgen.selection.alignment import pairs_of
from dawgen.selection.cross_encoder import CrossEncoder, CrossVectors, swapped
from dawgen.selection.tuning import Schedule

if TYPE_CHECKING:
    from dawgen.selection.encoder import SentenceEncoder, Vectors
    from dawgen.selection.heads import LinearHead
    from dawgen.tasks import Row

STEPS, EPOCHS = 72, 12


@dataclass(frozen=True)
class CrossReading:
    """Pairs read as one in either order; the linear layers of the upper half change.

    Attributes:
        read: the cross-encoder to start from.
    """

    read: CrossEncoder

    @property
    def encoder(self) -> SentenceEncoder:
        """The cross-encoder's."""
        return self.read.encoder

    @property
    def schedule(self) -> Schedule:
        """Searched for on SICK, QQP and SNLI (docs/log.md)."""
        return Schedule(STEPS, EPOCHS)

    def layers(self) -> list[str]:
        """Of those that it has changed already; the layers below need no backward pass."""
        (learnt,) = self.read.adapters
        count = self.encoder.model.config.num_hidden_layers
        upper = {str(number) for number in range(count // 2, count)}
        linear = {n for n, m in self.encoder.model.named_modules() if isinstance(m, nn.Linear)}
        return [name for name in learnt.down if name in linear and upper & {*name.split(".")}]

    def frozen(self, rows: Sequence[Row]) -> Vectors:
        """[N,2H]."""
        return self.read(pairs_of(rows))

    def live(self, rows: Sequence[Row]) -> Tensor:
        """The same with gradients."""
        pairs = pairs_of(rows)
        both = [*pairs, *swapped(pairs)]
        with self.encoder.changed(*self.read.adapters):
            vectors = self.encoder.vectors([one for one, _ in both], [two for _, two in both])
        return torch.cat(vectors.split(len(pairs)), dim=1)

    def tuned(self, adapter: Adapter, head: LinearHead) -> TunedCrossVectors:
        """Pairs by the tuned cross-encoder, with its head."""
        return TunedCrossVectors(self.read, adapter, head)


class TunedCrossVectors(CrossVectors):
    """Pairs by a tuned cross-encoder.

    Attributes:
        adapter: its changes beside those that the cross-encoder had before.
        head: the one that it was tuned with; a regression on what it makes of its own training
            rows, which it all but separates, is up to 4 points worse (docs/log.md).
    """

    def __init__(self, before: CrossEncoder, adapter: Adapter, head: LinearHead) -> None:
        super().__init__(CrossEncoder(before.encoder, *before.adapters, adapter))
        self.adapter, self.head = adapter, head
