"""A sentence encoder tuned on labelled rows, and vectors of texts by it.

Its frozen vectors say what a text is about, which need not be what the labels ask for. Tuning moves
texts of one label together (as SetFit does, Tunstall et al. 2022), by LoRA (Hu et al., ICLR 2022)
on its attention and a cross-entropy through a linear head.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from torch import Tensor, nn

from dawgen.selection.adapter import Adapter
from dawgen.selection.alignment import ReadPairs, Tokens
from dawgen.selection.features import TextVectors, joined
from dawgen.selection.tuning import Schedule

if TYPE_CHECKING:
    from dawgen.selection.encoder import SentenceEncoder, Vectors
    from dawgen.selection.heads import LinearHead
    from dawgen.tasks import Row

STEPS, EPOCHS = 48, 10
_REMEMBERED = 4096
"""Texts, of every task that is served; at 3 kB each 12 MB."""


class TunedEncoder:
    """An encoder that reads with an adapter, as the encoder itself does without."""

    def __init__(self, encoder: SentenceEncoder, adapter: Adapter) -> None:
        self.encoder, self.adapter = encoder, adapter

    @cached_property
    def pairs(self) -> ReadPairs:
        """With what it has read lately."""
        return ReadPairs(self, most=_REMEMBERED)

    def __call__(self, texts: Sequence[str]) -> Vectors:
        """[N,H] of unit length."""
        with self.encoder.changed(self.adapter):
            return self.encoder(texts)

    def read_words(self, texts: Sequence[str]) -> tuple[Vectors, list[Tokens]]:
        """As :meth:`SentenceEncoder.read_words`."""
        with self.encoder.changed(self.adapter):
            return self.encoder.read_words(texts)


class TunedVectors(TextVectors):
    """Vectors of texts by a tuned encoder."""

    def __init__(self, tuned: TunedEncoder, *, is_pair: bool) -> None:
        super().__init__(tuned.pairs, is_pair=is_pair)
        self.adapter = tuned.adapter


@dataclass(frozen=True)
class TextReading:
    """Vectors of texts; the square layers of the attention change.

    Attributes:
        is_pair: a row has two texts, whose vectors are joined.
    """

    encoder: SentenceEncoder
    is_pair: bool

    @property
    def schedule(self) -> Schedule:
        """Of single texts searched for (docs/log.md)."""
        return Schedule(STEPS, EPOCHS)

    def layers(self) -> list[str]:
        """Those from H numbers to at most as many, but for the pooler, whose result is not read."""
        model = self.encoder.model
        width = model.config.hidden_size
        return [
            name
            for name, layer in model.named_modules()
            if isinstance(layer, nn.Linear)
            and layer.in_features == width >= layer.out_features
            and not name.startswith("pooler")
        ]

    def frozen(self, rows: Sequence[Row]) -> Vectors:
        """[N,H], of pairs [N,4H]."""
        return TextVectors(self.encoder.pairs, is_pair=self.is_pair).of(rows)

    def live(self, rows: Sequence[Row]) -> Tensor:
        """The same with gradients."""
        texts = [row.text1 for row in rows]
        if self.is_pair:
            texts += [row.text2 or "" for row in rows]
        vectors = self.encoder.vectors(texts)
        first, second = vectors[: len(rows)], vectors[len(rows) :]
        return joined(first, second) if self.is_pair else first

    def tuned(self, adapter: Adapter, head: LinearHead) -> TunedVectors:
        """Vectors by the tuned encoder; a head is fitted on them anew."""
        return TunedVectors(TunedEncoder(self.encoder, adapter), is_pair=self.is_pair)
