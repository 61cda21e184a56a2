"""Counted words: TF-IDF of each text's words and pairs of words, and what two texts share."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from dawgen.tasks import Row, TaskCard

_TOKEN = r"\w+|[^\w\s]"  # short words and marks too: "a", "I", "?"


@dataclass(frozen=True)
class Block:
    """One text's features.

    Attributes:
        terms: F words and pairs of words, in the order of their columns.
        idf: [F], their weights.
    """

    terms: Sequence[str]
    idf: npt.NDArray[np.float64]


class WordCounts:
    """One block of TF-IDF weights a text, and for pairs the overlap."""

    def __init__(self, roles: Sequence[str], blocks: Sequence[Block]) -> None:
        self.roles, self.blocks = list(roles), list(blocks)
        self._counters = [_restored(block) for block in blocks]

    @classmethod
    def learn(cls, card: TaskCard, rows: Sequence[Row]) -> WordCounts:
        """The words and their weights from rows."""
        blocks = []
        for role in card.roles:
            counter = _counter().fit(_texts(rows, role))
            blocks.append(Block(list(counter.get_feature_names_out()), counter.idf_))
        return cls(card.roles, blocks)

    def of(self, rows: Sequence[Row]) -> Any:
        """A sparse [N,F] matrix."""
        from scipy.sparse import csr_matrix, hstack

        parts = [
            counter.transform(_texts(rows, role))
            for counter, role in zip(self._counters, self.roles, strict=True)
        ]
        if len(self.roles) == 2:
            parts.append(csr_matrix([overlap(row.text1, row.text2 or "") for row in rows]))
        return hstack(parts, format="csr")


def _counter(**named: Any) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(token_pattern=_TOKEN, ngram_range=(1, 2), sublinear_tf=True, **named)


def _restored(block: Block) -> Any:
    counter = _counter(vocabulary={term: place for place, term in enumerate(block.terms)})
    counter.idf_ = block.idf
    return counter


def _texts(rows: Sequence[Row], role: str) -> list[str]:
    return [getattr(row, role) or "" for row in rows]


def overlap(text1: str, text2: str) -> list[float]:
    """Shared words as a share of both texts', of the first's, of the second's; length ratio.

    Each from 0 to 1; words are compared without case. Texts without words share nothing.
    """
    first, second = (re.findall(_TOKEN, text.lower()) for text in (text1, text2))
    shared = len(set(first) & set(second))
    lengths = sorted((len(first), len(second)))
    return [
        shared / max(1, len(set(first) | set(second))),
        shared / max(1, len(set(first))),
        shared / max(1, len(set(second))),
        lengths[0] / max(1, lengths[1]),
    ]
