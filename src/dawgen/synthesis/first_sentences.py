"""Where first sentences come from: few shots, a text file, packaged corpora, the generator."""

from __future__ import annotations

import lzma
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np

from dawgen.errors import UserError
from dawgen.progress import warn
from dawgen.streams import Streams
from dawgen.synthesis.text import has_broken_characters, has_letter, normalise, word_count
from dawgen.tasks import Row, TaskCard

CORPORA = ("captions", "questions", "wikipedia")
"""Packaged samples of unlabelled sentences, see corpora/ATTRIBUTION.md."""


@dataclass(frozen=True, slots=True)
class FirstSentence:
    """A text1 to continue, and where it was found (`captions:1234`, `shots:7`)."""

    text: str
    source: str


GENERATED = FirstSentence("", "generator")
"""No sentence to start from: the generator writes the first one itself."""


class FirstSentences:
    """Sentences in random order, without replacement; a new order once all were used.

    The i-th sentence is the same whichever label asks for it. All labels thus continue the
    same first sentences, and a first sentence alone tells nothing about the label.
    """

    def __init__(self, sentences: Sequence[FirstSentence], streams: Streams) -> None:
        self.sentences = list(sentences)
        self._streams = streams
        self._orders: list[np.ndarray] = []

    def __len__(self) -> int:
        return len(self.sentences)

    @property
    def generated(self) -> bool:
        """Whether the generator writes the first sentence too."""
        return self.sentences == [GENERATED]

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
                f"all {len(self.sentences):,} first sentences are used up and come again; "
                "a larger text file would make the rows more varied."
            )
        return self._streams.numpy("first-sentences", str(turn)).permutation(len(self.sentences))


def choose_first_sentences(
    choice: str, card: TaskCard, shots: Sequence[Row], streams: Streams
) -> FirstSentences:
    """First sentences by the setting ``synthesis.first_sentences``.

    Args:
        choice: `card` (the card's corpus, else the few shots), `few-shots`, a packaged
            corpus, `generator`, or the path of a text file, one sentence a line (`.txt`,
            `.txt.xz`, UTF-8). Single-sentence cards have no first sentence to choose: the
            generator writes their text whatever is set.

    Raises:
        UserError: no such file, an unreadable one, or no usable sentence in it.
    """
    if not card.is_pair or choice == "generator":
        return FirstSentences([GENERATED], streams)
    if choice == "card":
        choice = card.first_sentences or "few-shots"
    if choice == "few-shots":
        return FirstSentences(_from_shots(shots), streams)
    label, path = ("file", Path(choice)) if choice not in CORPORA else (choice, None)
    lines = corpus_lines(choice) if path is None else file_lines(path)
    prefix = label if path is None else f"file:{path.name}"
    found = list(_usable(lines, prefix, card.first_sentence_words))
    if not found:
        low, high = card.first_sentence_words or (1, None)
        wanted = f"{low} to {high} words" if high else "at least one letter"
        raise UserError(
            f"{choice} holds no usable first sentence: task {card.name!r} asks for lines of "
            f"{wanted} (first_sentence_words in its card)."
        )
    return FirstSentences(found, streams)


def _from_shots(shots: Sequence[Row]) -> list[FirstSentence]:
    """Every distinct text1 once; the user's own sentences are taken whatever their length."""
    seen: dict[str, FirstSentence] = {}
    for i, row in enumerate(shots):
        seen.setdefault(normalise(row.text1), FirstSentence(row.text1, f"shots:{i}"))
    return list(seen.values())


def _usable(
    lines: Iterator[str], prefix: str, words: tuple[int, int] | None
) -> Iterator[FirstSentence]:
    """Whole, readable, distinct lines of the wanted length; the source counts lines from 1."""
    low, high = words or (1, 10**9)
    seen: set[str] = set()
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not low <= word_count(text) <= high:
            continue
        if not has_letter(text) or has_broken_characters(text):
            continue
        key = normalise(text)
        if key not in seen:
            seen.add(key)
            yield FirstSentence(text, f"{prefix}:{number}")


def corpus_lines(name: str) -> Iterator[str]:
    """The lines of a packaged corpus."""
    packed = resources.files("dawgen.synthesis") / "corpora" / f"{name}.txt.xz"
    with packed.open("rb") as file, lzma.open(file) as lines:
        yield from (line.decode("utf-8") for line in lines)


def file_lines(path: Path) -> Iterator[str]:
    """The lines of a text file, `.xz` or plain."""
    if not path.is_file():
        raise UserError(
            f"There is no text file {path} to take first sentences from; give the path of one "
            f"(a sentence a line), or one of few-shots, generator, {', '.join(CORPORA)}."
        )
    try:
        if path.suffix == ".xz":
            with lzma.open(path, "rt", encoding="utf-8-sig") as lines:
                yield from lines
        else:
            with path.open(encoding="utf-8-sig") as lines:
                yield from lines
    except UnicodeDecodeError:
        raise UserError(f"{path} is not UTF-8 text; save it as UTF-8 and try again.") from None
    except (lzma.LZMAError, EOFError):
        raise UserError(f"{path} is not a whole .xz file; pack it again or unpack it.") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from None
