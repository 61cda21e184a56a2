"""Pairs of sentences for next-sentence prediction, as PPT pre-trains on (Gu et al. 2022, §3).

Three kinds of pairs, from near to far: the next sentence; one further on in the same document,
not adjacent; one of another document. Two-label tasks take the first and the last kind.

A user's text file has a sentence a line and a blank line between documents, which is the
published form. The packaged corpus is a sample of single sentences whose neighbours in the
file have nothing to do with each other. There a *sentence is cut at its clause boundaries*
and takes the part of a document, its clauses that of the sentences. This is ours: the pairs
are shorter, and what follows is told by syntax as much as by sense.

So that the text alone does not give the kind away, all kinds share one distribution of first
texts, no kind has a document's first sentence as its second text (a clause that opens a
sentence starts with a capital), and clauses lose their outer punctuation.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import numpy as np

from dawgen.errors import UserError
from dawgen.synthesis.sources import CORPORA, corpus_lines, file_lines
from dawgen.tasks import Row, TaskCard
from dawgen.tuning.combine import Passes

Kind = Literal["next", "same", "other"]
Document = list[str]

_CLAUSE_END = re.compile(r"[,;:]\s+|\s[-–—]+\s")
_FEWEST_WORDS = 4  # of a clause; "however" alone says nothing of what comes next


def read_documents(corpus: str) -> list[Document]:
    """The documents of a text file, or the clauses of a packaged corpus's sentences."""
    if corpus in CORPORA:
        cut = (clauses(line) for line in corpus_lines(corpus))
        return [found for found in cut if len(found) > 1]
    path = Path(corpus)
    if not path.is_file():
        raise UserError(
            f"There is no text file {path} to pre-train on; methods.ppt.corpus is the path of "
            f"one (a sentence a line, a blank line between documents), or wikipedia."
        )
    documents = split_documents(file_lines(path))
    if len(documents) < 2:
        raise UserError(
            f"{path} holds {len(documents)} document(s) and next-sentence pairs need two at "
            f"least; put a blank line between documents."
        )
    return documents


def split_documents(lines: Iterable[str]) -> list[Document]:
    """Sentences, one a line, in documents that blank lines part."""
    documents: list[Document] = [[]]
    for line in lines:
        if line.strip():
            documents[-1].append(line.strip())
        elif documents[-1]:
            documents.append([])
    return [document for document in documents if document]


def clauses(sentence: str) -> list[str]:
    """A sentence cut after commas, semicolons, colons and dashes, in pieces of some words."""
    cuts = [match.span() for match in _CLAUSE_END.finditer(sentence)]
    found: list[str] = []
    start = 0
    for stop, begin in cuts:
        if _long_enough(sentence[start:stop]) and _long_enough(sentence[begin:]):
            found.append(sentence[start:stop])
            start = begin
    return [piece.strip(" \t\n,;:.-–—") for piece in [*found, sentence[start:]]]


def _long_enough(text: str) -> bool:
    return len(text.split()) >= _FEWEST_WORDS


def kinds_of(card: TaskCard) -> dict[Kind, str]:
    """The label that stands for each kind of pair.

    The next sentence is "yes" and another document "no" where the card has these label words,
    as in PPT; else the card's order counts, its first label being the nearest.
    """
    if not card.is_pair or len(card.labels) > 3:
        why = f"{len(card.labels)} labels" if card.is_pair else "a single text a row"
        raise UserError(
            f"PPT is pre-trained on pairs of sentences for tasks of two or three labels, and "
            f"{card.name} has {why}; choose another method for it."
        )
    labels = list(card.labels)
    of_word = {card.label_words[label].casefold(): label for label in labels}
    if "yes" in of_word and "no" in of_word:
        first, last = of_word["yes"], of_word["no"]
        labels = [first, *(la for la in labels if la not in (first, last)), last]
    kinds: tuple[Kind, ...] = ("next", "same", "other") if len(labels) > 2 else ("next", "other")
    return dict(zip(kinds, labels, strict=True))


class NextSentencePairs:
    """Labelled pairs without end, the kinds in turn, so that any batch is balanced.

    Every sentence that has enough others behind it (one, or for the middle kind two) is the
    first text once a pass, in random order.

    Args:
        documents: two or more, of sentences in order.
        kinds: from :func:`kinds_of`.
        rng: the stream that all draws come from.
    """

    def __init__(
        self, documents: list[Document], kinds: dict[Kind, str], rng: np.random.Generator
    ) -> None:
        fewest = len(kinds)
        self._documents = [one for one in documents if len(one) >= fewest]
        if len(self._documents) < 2:
            raise UserError(
                f"Next-sentence pairs of {fewest} kinds need two documents of {fewest} sentences "
                f"at least, and there are {len(self._documents)}; take a larger text for "
                f"methods.ppt.corpus."
            )
        self._kinds = list(kinds.items())
        self._rng = rng
        self._places = [
            (number, place)
            for number, document in enumerate(self._documents)
            for place in range(len(document) - fewest + 1)
        ]
        self._order = Passes(len(self._places), rng)
        self._drawn = 0

    def take(self, count: int) -> list[Row]:
        """The next ``count`` pairs."""
        return [self._pair() for _ in range(count)]

    def _pair(self) -> Row:
        kind, label = self._kinds[self._drawn % len(self._kinds)]
        self._drawn += 1
        number, place = self._places[self._order.take(1)[0]]
        return Row(self._documents[number][place], self._second(kind, number, place), label)

    def _second(self, kind: Kind, number: int, place: int) -> str:
        document = self._documents[number]
        if kind == "next":
            return document[place + 1]
        if kind == "same":
            return document[int(self._rng.integers(place + 2, len(document)))]
        step = int(self._rng.integers(1, len(self._documents)))
        other = self._documents[(number + step) % len(self._documents)]
        return other[int(self._rng.integers(1, len(other)))]
