"""A pair of texts read as one, by an encoder that has learnt from many pairs how two texts relate.

A sentence encoder reads each text for itself. A cross-encoder reads both at once, so each word can
look at those of the other text; but a few dozen rows cannot teach it to. dawgen holds changes of
MPNet (LoRA) that were tuned on pairs of SNLI, MNLI and QNLI by ``tools.cross_encoder``. A linear
head learns a task from the vectors that it gives: whole models gain from pairs of entailment in
the same way (Phang et al. 2018).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dawgen.backbone.registry import known_backbone
from dawgen.errors import UserError
from dawgen.selection.adapter import Adapter, read_adapter
from dawgen.selection.alignment import Pair, pairs_of

if TYPE_CHECKING:
    from dawgen.selection.encoder import SentenceEncoder, Vectors
    from dawgen.tasks import Row

_FOLDER = Path(__file__).parent / "cross_encoders"
_FILE = "cross_encoder.safetensors"
LEARNT_FROM = frozenset({"snli", "mnli", "qnli", "demo"})
"""Names of built-in tasks, of which dawgen's own has seen labelled rows."""
_REMEMBERED = 10_000
"""Pairs; at 6 kB each 60 MB."""


class CrossEncoder:
    """Pairs to vectors [N,2H]: of both texts as one, the first before the second, then the other
    way round. It remembers some thousands of them.

    Args:
        adapters: changes of the encoder's weights, which add up.
    """

    def __init__(self, encoder: SentenceEncoder, *adapters: Adapter) -> None:
        self.encoder, self.adapters = encoder, adapters
        self._read: dict[Pair, Vectors] = {}

    def __call__(self, pairs: Sequence[Pair]) -> Vectors:
        """Both halves are of unit length."""
        new = list(dict.fromkeys(pair for pair in pairs if pair not in self._read))
        if len(self._read) + len(new) > _REMEMBERED:
            asked = set(pairs)
            self._read = {pair: it for pair, it in self._read.items() if pair in asked}
        if new:
            with self.encoder.changed(*self.adapters):
                vectors = self.encoder.read_pairs([*new, *swapped(new)])
            both = np.hstack(np.split(vectors, 2))
            self._read.update(zip(new, both, strict=True))
        return np.stack([self._read[pair] for pair in pairs])


def swapped(pairs: Sequence[Pair]) -> list[Pair]:
    """The second text before the first."""
    return [(second, first) for first, second in pairs]


class CrossVectors:
    """A pair as the vector of a cross-encoder."""

    def __init__(self, read: CrossEncoder) -> None:
        self.read = read

    def of(self, rows: Sequence[Row]) -> Vectors:
        """[N,2H]."""
        return self.read(pairs_of(rows))


def adapter_file(encoder: str) -> Path | None:
    """The changes that make a cross-encoder of an encoder, or None: those that dawgen holds of one
    that it knows by name, or a file ``cross_encoder.safetensors`` in a folder.

    Args:
        encoder: as ``selection.encoder``.
    """
    known = known_backbone(encoder)
    file = Path(encoder).expanduser() / _FILE
    if known is not None:
        file = _FOLDER / f"{known.name}.safetensors"
    return file if file.is_file() else None


def shared_cross_encoder(encoder: SentenceEncoder, file: Path) -> CrossEncoder:
    """That of an encoder and a file of changes, the same for all tasks that read with both.

    Raises:
        UserError: the changes are of another model.
    """
    if file not in encoder.crossing:
        adapter = read_adapter(file)
        layers = {name for name, _ in encoder.model.named_modules()}
        if not adapter.down or not layers >= adapter.down.keys() == adapter.up.keys():
            raise UserError(
                f"{file} is not of this sentence encoder: the layers differ; remove it."
            )
        encoder.crossing[file] = CrossEncoder(encoder, adapter)
    return encoder.crossing[file]
