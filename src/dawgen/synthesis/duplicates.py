"""Rows that say the same twice: exact duplicates and near ones."""

from __future__ import annotations

from functools import lru_cache
from zlib import crc32

from datasketch import MinHash, MinHashLSH

from dawgen.synthesis.text import pair_key

LETTERS = 5
"""Letters and digits running, of which a text's set is made; spaces and marks do not count."""
_BANDS, _ROWS = 16, 4
"""Of the locality-sensitive hash: a pair whose sets are 0.8 alike is looked at with a chance of
1 - (1 - 0.8^4)^16 = 0.9998."""

Key = tuple[str, str]


class Duplicates:
    """The texts of earlier rows, to hold a new row against.

    Exact duplicates count whatever the labels; near-duplicates within a label only, for two
    rows that differ by one word ("not") and in their label are what a task is learnt from.
    """

    def __init__(self, threshold: float) -> None:
        """threshold: two rows are near-duplicates if each text's set of letter 5-grams has at
        least this Jaccard similarity, |A ∩ B| / |A ∪ B|, to the other row's."""
        self.threshold = threshold
        self._exact: set[Key] = set()
        self._near: dict[str | None, MinHashLSH] = {}
        self._blank = MinHash(num_perm=_BANDS * _ROWS, hashfunc=crc32)

    def add(self, text1: str, text2: str | None, label: str | None) -> None:
        """Remember a row."""
        key = pair_key(text1, text2)
        self._exact.add(key)
        if key not in self._index(label):
            self._index(label).insert(key, self._sketch(key))

    def has(self, text1: str, text2: str | None) -> bool:
        """Whether a row of the same texts, but for case, spaces and marks, was there."""
        return pair_key(text1, text2) in self._exact

    def has_near(self, text1: str, text2: str | None, label: str | None) -> bool:
        """Whether a row of the label with nearly the same texts was there."""
        key = pair_key(text1, text2)
        return any(self._alike(key, other) for other in self._index(label).query(self._sketch(key)))

    def _alike(self, one: Key, other: Key) -> bool:
        """Exact, so that the sketches decide only which rows are looked at."""
        return all(jaccard(a, b) >= self.threshold for a, b in zip(one, other, strict=True))

    def _index(self, label: str | None) -> MinHashLSH:
        if label not in self._near:
            self._near[label] = MinHashLSH(num_perm=_BANDS * _ROWS, params=(_BANDS, _ROWS))
        return self._near[label]

    def _sketch(self, key: Key) -> MinHash:
        """Of both texts' sets together: where each text is alike, so is the union."""
        sketch = self._blank.copy()
        sketch.update_batch(
            sorted(f"{i}{gram}".encode() for i, text in enumerate(key) for gram in shingles(text))
        )
        return sketch


@lru_cache(maxsize=4096)
def shingles(text: str) -> frozenset[str]:
    """Every run of five characters; a shorter text as a whole."""
    return frozenset(text[i : i + LETTERS] for i in range(max(1, len(text) - LETTERS + 1)))


def jaccard(one: str, other: str) -> float:
    """|A ∩ B| / |A ∪ B| of two texts' sets of letter 5-grams."""
    if one == other:
        return 1.0
    a, b = shingles(one), shingles(other)
    return len(a & b) / len(a | b)
