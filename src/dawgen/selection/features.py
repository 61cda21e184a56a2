"""Rows as numbers for a linear head: counted words, or vectors of their texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from dawgen.tasks import Row

Matrix = Any
"""[N,F], a dense array or a sparse matrix."""
Encode = Callable[[Sequence[str]], npt.NDArray[np.float32]]
"""N texts to [N,H]."""


class Features(Protocol):
    """What turns rows into numbers."""

    def of(self, rows: Sequence[Row]) -> Matrix:
        """[N,F]; the rows' labels are not looked at."""


_APART = 4.0
"""Weight of |u - v| in a pair's features; that and sqrt(H) for u * v, whose entries are small,
bring 5 points over no weights on seven pair tasks (docs/selection.md)."""


class TextVectors:
    """A text's vector u; of a pair [u, v, 4 |u - v|, sqrt(H) u * v]."""

    def __init__(self, encode: Encode, *, is_pair: bool) -> None:
        self.encode, self.is_pair = encode, is_pair

    def of(self, rows: Sequence[Row]) -> npt.NDArray[np.float32]:
        """[N,H], of pairs [N,4H]."""
        first = self.encode([row.text1 for row in rows])
        if not self.is_pair:
            return first
        second = self.encode([row.text2 or "" for row in rows])
        apart, product = np.abs(first - second), first * second
        return np.hstack([first, second, _APART * apart, first.shape[1] ** 0.5 * product])


class Remembered:
    """An encoder that encodes each text once."""

    def __init__(self, encode: Encode) -> None:
        self._encode = encode
        self._vectors: dict[str, npt.NDArray[np.float32]] = {}

    def __call__(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """[N,H]."""
        new = list(dict.fromkeys(text for text in texts if text not in self._vectors))
        if new:
            self._vectors.update(zip(new, self._encode(new), strict=True))
        return np.stack([self._vectors[text] for text in texts])
