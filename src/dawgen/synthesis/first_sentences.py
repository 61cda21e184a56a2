"""Which first sentences a row starts from: the order of one source, or a mix of several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from dawgen.streams import Streams
from dawgen.synthesis.sources import (
    GENERATED,
    FirstSentence,
    shot_sentences,
    usable_sentences,
)
from dawgen.tasks import Row, TaskCard
from dawgen.terminal.progress import warn

Choice = str | Mapping[str, float]
"""The setting ``synthesis.first_sentences``: one source, or shares by source."""


class FirstSentences:
    """Sentences in random order, without replacement; a new order once all were used.

    The i-th sentence is the same whichever label asks for it: all labels continue the same
    first sentences, so a first sentence alone does not predict the label.
    """

    def __init__(
        self, sentences: Sequence[FirstSentence], streams: Streams, part: str | None = None
    ) -> None:
        """part: name of the source within a mix, which then has its own order."""
        self.sentences = list(sentences)
        self._streams = streams
        self._purpose = ("first-sentences", *([part] if part else []))
        self._orders: list[np.ndarray] = []

    @property
    def generated(self) -> bool:
        """Whether the generator writes first sentences, all or some."""
        return GENERATED in self.sentences

    def unlabelled(self) -> list[str]:
        """Its sentences that are neither few shots' nor the generator's."""
        return [s.text for s in self.sentences if not s.source.startswith(("shots:", "generator"))]

    def at(self, i: int) -> FirstSentence:
        """The sentence of a label's i-th attempt."""
        if self.generated:
            return GENERATED
        turn, place = divmod(i, len(self.sentences))
        while len(self._orders) <= turn:
            self._orders.append(self._order(len(self._orders)))
        return self.sentences[self._orders[turn][place]]

    def _order(self, turn: int) -> np.ndarray:
        if turn == 1 and not self.sentences[0].source.startswith("shots:"):
            warn(
                f"all {len(self.sentences):,} first sentences are used up and are used again; "
                "a larger text file would make the rows more varied."
            )
        return self._streams.numpy(*self._purpose, str(turn)).permutation(len(self.sentences))


class Mix(FirstSentences):
    """Several sources with shares. Attempt i takes the source that is furthest behind its share,
    so that after any number of attempts every source is within one of it."""

    def __init__(
        self, parts: Sequence[FirstSentences], shares: Sequence[float], streams: Streams
    ) -> None:
        """shares: one positive number a part; only their proportions count."""
        super().__init__([s for part in parts for s in part.sentences], streams)
        self.parts = list(parts)
        self.shares = [share / sum(shares) for share in shares]
        self._taken = [0 for _ in parts]
        self._plan: list[tuple[int, int]] = []

    def at(self, i: int) -> FirstSentence:
        """The sentence of a label's i-th attempt."""
        while len(self._plan) <= i:
            behind = [
                share * (len(self._plan) + 1) - taken
                for share, taken in zip(self.shares, self._taken, strict=True)
            ]
            part = behind.index(max(behind))
            self._plan.append((part, self._taken[part]))
            self._taken[part] += 1
        part, place = self._plan[i]
        return self.parts[part].at(place)


def writes_first(choice: Choice) -> bool:
    """Whether the generator has to learn to write first sentences of pairs."""
    return choice == "generator" or (isinstance(choice, Mapping) and "generator" in choice)


def choose_first_sentences(
    choice: Choice,
    card: TaskCard,
    shots: Sequence[Row],
    streams: Streams,
    kind: str = "any",
) -> FirstSentences:
    """First sentences by the setting ``synthesis.first_sentences``.

    Args:
        choice: `card` (the card's corpus, else the few shots), `few-shots`, a packaged
            corpus, `generator`, a text file (`.txt`, `.txt.xz`, UTF-8, one sentence a line), a
            table's column (`rows.csv#column`, `hub:owner/name@split#column`), or shares by
            source. Single-sentence cards have no first sentence to choose: the generator
            writes their text whatever is set.
        kind: `question`, `statement`, `any`, or `task`: what most of the few shots are. The
            few shots themselves are taken whatever they are.

    Raises:
        UserError: no such file, an unreadable one, or no usable sentence in it.
    """
    if not card.is_pair:
        return FirstSentences([GENERATED], streams)
    if isinstance(choice, Mapping):
        parts = [
            FirstSentences(_sentences(name, card, shots, kind), streams, name) for name in choice
        ]
        return Mix(parts, list(choice.values()), streams)
    return FirstSentences(_sentences(choice, card, shots, kind), streams)


def _sentences(choice: str, card: TaskCard, shots: Sequence[Row], kind: str) -> list[FirstSentence]:
    if choice == "generator":
        return [GENERATED]
    if choice == "card":
        choice = card.first_sentences or "few-shots"
    if choice == "few-shots":
        return shot_sentences(shots)
    return usable_sentences(choice, card, shots, kind)
