"""How well the words of two texts answer each other: a few numbers a pair.

A sentence vector says what a text is about. Whether a second text follows from a first depends on
its words: each may have a match in the first text or none. Every token is compared with every token
of the other text by the cosine of their states, and the best match of each is kept, as BERTScore
does (Zhang et al., ICLR 2020).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from dawgen.tasks import Row

Vectors = npt.NDArray[np.float32]
Pair = tuple[str, str]

NUMBERS = 10
"""Of a pair, see :func:`aligned`."""
_PAIRS_AT_ONCE = 64
_MOST = 20_000
"""Texts that are remembered; at 3 kB each 60 MB."""


class Tokens(NamedTuple):
    """A text's tokens: ids, and states [T,H] of unit length."""

    ids: list[int]
    states: Vectors


class WordReader(Protocol):
    """An encoder of texts that also gives their tokens' states."""

    def __call__(self, texts: Sequence[str]) -> Vectors:
        """[N,H] of unit length."""

    def read_words(self, texts: Sequence[str]) -> tuple[Vectors, list[Tokens]]:
        """[N,H], and of each text its tokens, all of unit length."""


def aligned(first: Tokens, second: Tokens, cosine: float) -> list[float]:
    """The numbers of two texts, each of which has a token at least.

    Mean and least of the best matches of the second text's tokens, then of the first's; the share
    of the second's distinct tokens that the first has too, and of the first's that the second has;
    logarithms of both lengths and of their ratio; the cosine of the texts' vectors.
    """
    cosines = first.states @ second.states.T
    found = [measure(cosines.max(axis=axis)) for axis in (0, 1) for measure in (np.mean, np.min)]
    ours, theirs = set(first.ids), set(second.ids)
    found += [len(ours & theirs) / len(own) for own in (theirs, ours)]
    lengths = np.log([len(first.ids), len(second.ids)])
    return [float(each) for each in (*found, *lengths, lengths[1] - lengths[0], cosine)]


class ReadPairs:
    """An encoder that reads each text once for its vector, and each pair once for its words, and
    remembers some thousands of them.

    Args:
        most: texts that are remembered.
    """

    def __init__(self, encoder: WordReader, most: int = _MOST) -> None:
        self._encoder, self._most = encoder, most
        self._vectors: dict[str, Vectors] = {}
        self._numbers: dict[Pair, list[float]] = {}

    def __call__(self, texts: Sequence[str]) -> Vectors:
        """[N,H]."""
        new = list(dict.fromkeys(text for text in texts if text not in self._vectors))
        if new:
            self._make_room(texts, len(new))
            self._vectors.update(zip(new, self._encoder(new), strict=True))
        return np.stack([self._vectors[text] for text in texts])

    def numbers(self, pairs: Sequence[Pair]) -> Vectors:
        """[N,10]; the vectors of the texts are kept as well."""
        new = list(dict.fromkeys(pair for pair in pairs if pair not in self._numbers))
        if new:
            self._make_room([text for pair in pairs for text in pair], 2 * len(new))
        for start in range(0, len(new), _PAIRS_AT_ONCE):  # states take some 200 kB a long text
            self._read(new[start : start + _PAIRS_AT_ONCE])
        return np.array([self._numbers[pair] for pair in pairs], np.float32)

    def _make_room(self, asked: Sequence[str], new: int) -> None:
        """Forget what is not asked for now, where so many new texts would be too many."""
        if len(self._vectors) + new <= self._most:
            return
        kept = set(asked)
        self._vectors = {text: it for text, it in self._vectors.items() if text in kept}
        self._numbers = {pair: it for pair, it in self._numbers.items() if kept.issuperset(pair)}

    def _read(self, pairs: Sequence[Pair]) -> None:
        texts = list(dict.fromkeys(text for pair in pairs for text in pair))
        vectors, words = self._encoder.read_words(texts)
        self._vectors.update(zip(texts, vectors, strict=True))
        tokens = dict(zip(texts, words, strict=True))
        for first, second in pairs:
            cosine = float(self._vectors[first] @ self._vectors[second])
            self._numbers[first, second] = aligned(tokens[first], tokens[second], cosine)


class Alignment:
    """A pair as :data:`NUMBERS` numbers."""

    def __init__(self, read: ReadPairs) -> None:
        self.read = read

    def of(self, rows: Sequence[Row]) -> Vectors:
        """[N,10]."""
        return self.read.numbers(pairs_of(rows))


def pairs_of(rows: Sequence[Row]) -> list[Pair]:
    """Their texts."""
    return [(row.text1, row.text2 or "") for row in rows]
