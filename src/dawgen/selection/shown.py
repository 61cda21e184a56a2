"""Examples that a causal model reads before a row: a few labelled rows in the card's template."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dawgen.backbone.text import answered

if TYPE_CHECKING:
    from dawgen.backbone import Backbone
    from dawgen.tasks import Row, TaskCard

_SHARE = 2
"""Instruction and examples take at most one token in so many of those that the model reads."""


@dataclass(frozen=True)
class Shown:
    """Two sets of examples. A row that is one of the first set reads the second in its place, so
    none reads its own label.

    Attributes:
        first, second: none, or a row of each label.
    """

    first: Sequence[Row] = ()
    second: Sequence[Row] = ()

    def words(self) -> dict[str, Any]:
        """As JSON."""
        sets = {"first": self.first, "second": self.second}
        return {
            name: [{"text1": row.text1, "text2": row.text2, "label": row.label} for row in rows]
            for name, rows in sets.items()
        }

    @classmethod
    def of_words(cls, words: Mapping[str, Any]) -> Shown:
        """From what :meth:`words` gave."""
        from dawgen.tasks import Row

        return cls(*([Row(**row) for row in words[name]] for name in ("first", "second")))


def choose_shown(backbone: Backbone, card: TaskCard, rows: Sequence[Row]) -> Shown:
    """Of each label one of the shorter rows, a quarter of the way from the shortest.

    None where the model is no causal one, which is not used to examples in front, or where they
    do not fit.
    """
    if backbone.is_encoder_decoder:
        return Shown()
    first, second = [], []
    for label in card.labels:
        mine = sorted((r for r in rows if r.label == label), key=lambda r: len(_text(r)))
        if len(mine) < 2:
            return Shown()
        place = min(len(mine) // 4, len(mine) - 2)
        first.append(mine[place])
        second.append(mine[place + 1])
    room = backbone.max_length // _SHARE
    fits = all(len(_ids(backbone, card, part)) <= room for part in (first, second))
    return Shown(first, second) if fits else Shown()


def prefix_ids(backbone: Backbone, card: TaskCard, rows: Sequence[Row]) -> list[int]:
    """Token ids of the card's instruction and of the rows with their labels' words, each followed
    by an empty line."""
    return _ids(backbone, card, rows)[: backbone.max_length // _SHARE]


def _ids(backbone: Backbone, card: TaskCard, rows: Sequence[Row]) -> list[int]:
    marked = backbone.marked(card)
    shown = [answered(backbone.fill(marked, row), card.label_words[str(row.label)]) for row in rows]
    text = "".join(f"{each}\n\n" for each in shown)
    return backbone.text_ids(f"{card.instruction}\n{text}")


def _text(row: Row) -> str:
    return row.text1 + (row.text2 or "")
