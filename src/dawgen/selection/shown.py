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
_SHARES = (1 / 4, 3 / 8, 1 / 2)
"""How far from the shortest of its label an example is, one choice after another."""


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


def shown_sets(backbone: Backbone, card: TaskCard, rows: Sequence[Row]) -> list[Shown]:
    """Three choices of examples: of each label a row that is short, longer, of middle length, and
    the labels in the card's order, reversed, turned by one.

    On SNLI a head is 50 to 59 % right behind them (docs/log.md), and held-out rows can tell which
    is best.

    One choice, of no examples, where the model is no causal one, which is not used to examples in
    front, or where none fits.
    """
    if backbone.is_encoder_decoder:
        return [Shown()]
    room = backbone.max_length // _SHARE
    found = []
    labels = list(card.labels)
    orders = labels, labels[::-1], [*labels[1:], labels[0]]
    for share, order in zip(_SHARES, orders, strict=True):
        shown = _shown(order, rows, share)
        sets = (shown.first, shown.second)
        if shown.first and all(len(_ids(backbone, card, part)) <= room for part in sets):
            found.append(shown)
    return found or [Shown()]


def _shown(labels: Sequence[str], rows: Sequence[Row], share: float) -> Shown:
    """Of each label the row that is so far from its shortest, and the next; none where a label has
    one row only."""
    first, second = [], []
    for label in labels:
        mine = sorted((r for r in rows if r.label == label), key=lambda r: len(_text(r)))
        if len(mine) < 2:
            return Shown()
        place = min(int(share * len(mine)), len(mine) - 2)
        first.append(mine[place])
        second.append(mine[place + 1])
    return Shown(first, second)


def prefix_ids(backbone: Backbone, card: TaskCard, rows: Sequence[Row]) -> list[int]:
    """Token ids of the card's instruction and of the rows with their labels' words, each followed
    by an empty line; none for an encoder-decoder."""
    if backbone.is_encoder_decoder:
        return []
    return _ids(backbone, card, rows)[: backbone.max_length // _SHARE]


def _ids(backbone: Backbone, card: TaskCard, rows: Sequence[Row]) -> list[int]:
    marked = backbone.marked(card)
    shown = [answered(backbone.fill(marked, row), card.label_words[str(row.label)]) for row in rows]
    text = "".join(f"{each}\n\n" for each in shown)
    return backbone.text_ids(f"{card.instruction}\n{text}")


def _text(row: Row) -> str:
    return row.text1 + (row.text2 or "")
