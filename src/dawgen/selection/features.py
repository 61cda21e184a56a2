"""Rows as numbers for a linear head: counted words, or vectors of their texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from dawgen.selection.alignment import ReadPairs, pairs_of

if TYPE_CHECKING:
    from dawgen.selection.heads import LinearHead
    from dawgen.tasks import Row

Matrix = Any
"""[N,F], a dense array or a sparse matrix."""
Encode = Callable[[Sequence[str]], npt.NDArray[np.float32]]
"""N texts to [N,H]."""


class Features(Protocol):
    """What turns rows into numbers."""

    def of(self, rows: Sequence[Row]) -> Matrix:
        """[N,F]; the rows' labels are not looked at."""


@runtime_checkable
class OwnHead(Protocol):
    """Features that were tuned together with a head."""

    head: LinearHead


_APART = 4.0
"""Weight of |u - v| in a pair's features; that and sqrt(H) for u * v, whose entries are small,
bring 5 points over no weights on seven pair tasks (docs/selection.md)."""


class TextVectors:
    """A text's vector u; of a pair [u, v, 4 |u - v|, sqrt(H) u * v]."""

    def __init__(self, encode: Encode, *, is_pair: bool) -> None:
        self.encode, self.is_pair = encode, is_pair

    def of(self, rows: Sequence[Row]) -> npt.NDArray[np.float32]:
        """[N,H], of pairs [N,4H]."""
        if self.is_pair and isinstance(self.encode, ReadPairs):  # their words on the way
            self.encode.numbers(pairs_of(rows))
        first = self.encode([row.text1 for row in rows])
        if not self.is_pair:
            return first
        second = self.encode([row.text2 or "" for row in rows])
        return joined(torch.from_numpy(first), torch.from_numpy(second)).numpy()


def joined(first: Tensor, second: Tensor) -> Tensor:
    """Vectors u and v [...,H] as features of their pair [...,4H]."""
    apart, product = (first - second).abs(), first * second
    return torch.cat([first, second, _APART * apart, first.shape[-1] ** 0.5 * product], dim=-1)
