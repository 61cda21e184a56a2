"""Where first sentences are read from, and which of them look like the task's."""

from __future__ import annotations

import lzma
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import IO

from dawgen.errors import UserError
from dawgen.storage.seals import file_hash
from dawgen.synthesis.text import (
    has_broken_characters,
    has_letter,
    normalise,
    word_bounds,
    word_count,
)
from dawgen.synthesis.text_style import TextStyle
from dawgen.tasks import Row, TaskCard, read_table
from dawgen.tasks.bounds import MOST_BYTES, check_size, lines_of

CORPORA = ("captions", "questions", "wikipedia")
"""Packaged samples of unlabelled sentences, see corpora/ATTRIBUTION.md."""
NAMED = (*CORPORA, "card", "few-shots", "generator")
"""Sources that are no file or data set."""
SAME_KIND = 0.8
"""Where this share of the few shots' first texts are questions (or statements), all are to be."""


@dataclass(frozen=True, slots=True)
class FirstSentence:
    """A text1 to continue, and its source (`captions:1234`, `shots:7`)."""

    text: str
    source: str


_SMALL, _DENSEST = 32 << 20, 100
"""Bytes that any file may unpack to, and times its size that a larger one may: text packs 3 to 10
times smaller."""

GENERATED = FirstSentence("", "generator")
"""No sentence to start from: the generator writes the first one itself."""


def shot_sentences(shots: Sequence[Row]) -> list[FirstSentence]:
    """Every distinct text1 once; the user's own sentences are taken whatever their length."""
    seen: dict[str, FirstSentence] = {}
    for i, row in enumerate(shots):
        seen.setdefault(normalise(row.text1), FirstSentence(row.text1, f"shots:{i}"))
    return list(seen.values())


def check_sources(choice: str | Mapping[str, float]) -> None:
    """See that the files among the sources, and their columns, are there, before any long work.

    Raises:
        UserError: one of them is not.
    """
    for name in [choice] if isinstance(choice, str) else choice:
        file, _, column = name.rpartition("#")
        if column and Path(file).is_file():
            _column(name)
        elif name not in NAMED and not name.startswith("hub:"):
            next(file_lines(Path(name)), None)


def source_hashes(choice: str | Mapping[str, float]) -> list[str | None]:
    """Of the files among the sources; None for the others, which have no content to change."""
    names = [choice] if isinstance(choice, str) else list(choice)
    return [_file_hash(name) or _file_hash(name.rpartition("#")[0]) for name in names]


def _file_hash(name: str) -> str | None:
    path = Path(name)
    return file_hash(path) if path.is_file() else None


def usable_sentences(
    choice: str, card: TaskCard, shots: Sequence[Row], kind: str
) -> list[FirstSentence]:
    """The sentences of a corpus, file or column that look like the task's first texts; those of a
    packaged corpus begin and end as these do.

    Args:
        kind: `question`, `statement`, `any`, or `task`: what most of the few shots are.

    Raises:
        UserError: no such file, an unreadable one, or no usable sentence in it.
    """
    bounds = word_bounds([row.text1 for row in shots]) if shots else (1, _NO_END)
    low, high = card.first_sentence_words or bounds
    kind = _shot_kind(shots) if kind == "task" else kind
    lines, prefix = _lines(choice)
    sentences = list(_usable(lines, prefix, (low, high), kind))
    if choice in CORPORA:  # not what the user has chosen to write
        style = TextStyle.of([row.text1 for row in shots])
        sentences = [replace(each, text=style.apply(each.text)) for each in sentences]
    if not sentences:
        sort = "" if kind == "any" else f"that are {kind}s "
        length = f"of {low} to {high} words" if high < _NO_END else "with at least one letter"
        raise UserError(
            f"{choice} holds no usable first sentence: task {card.name!r} asks for lines {sort}"
            f"{length} (first_sentence_words in its card, synthesis.first_sentence_kind)."
        )
    return sentences


_NO_END = 10**9


def is_question(text: str) -> bool:
    """Whether it ends with a question mark, closing quotes and brackets aside."""
    return text.rstrip(" \"'\u201d\u2019)]}").endswith(("?", "\uff1f", "\u061f", "\u037e"))


def _shot_kind(shots: Sequence[Row]) -> str:
    share = sum(is_question(row.text1) for row in shots) / max(len(shots), 1)
    if not shots or 1 - SAME_KIND < share < SAME_KIND:
        return "any"
    return "question" if share >= SAME_KIND else "statement"


def _lines(choice: str) -> tuple[Iterable[str], str]:
    """The lines of a source, and what stands before a line's number in a row's provenance."""
    if choice in CORPORA:
        return corpus_lines(choice), choice
    name, _, column = choice.rpartition("#")
    if choice.startswith("hub:") or (column and Path(name).is_file()):
        place = choice if choice.startswith("hub:") else f"file:{Path(name).name}#{column}"
        return _column(choice), place
    return file_lines(Path(choice)), f"file:{Path(choice).name}"


def _column(choice: str) -> list[str]:
    """One column of a file or hub data set, by `name#column`."""
    name, mark, column = choice.rpartition("#")
    if not mark:
        raise UserError(f"{choice}: say which column holds the sentences, as {choice}#text.")
    table = read_table(name)
    if column not in table.columns:
        columns = ", ".join(repr(c) for c in table.columns)
        raise UserError(f"{name} has no column {column!r}; the columns found are {columns}.")
    return [str(record.get(column) or "") for record in table.records]


def _usable(
    lines: Iterable[str], prefix: str, words: tuple[int, int], kind: str
) -> Iterator[FirstSentence]:
    """Whole, readable, distinct lines of that length and kind; the source counts lines from 1."""
    seen: set[str] = set()
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not words[0] <= word_count(text) <= words[1]:
            continue
        if kind != "any" and is_question(text) != (kind == "question"):
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


def _bounded(name: str, packed: int, file: IO[str]) -> Iterator[str]:
    """A file's lines, as long as it does not unpack to far more than text would."""
    most = min(MOST_BYTES, max(_SMALL, _DENSEST * packed))
    size = 0
    for line in lines_of(name, file):
        size += len(line)
        check_size(name, size, most, "give a part of its lines")
        yield line


def file_lines(path: Path) -> Iterator[str]:
    """The lines of a text file, `.xz` or plain."""
    if not path.is_file():
        raise UserError(
            f"There is no text file {path} to take first sentences from; give the path of one "
            f"(a sentence a line), or one of few-shots, generator, {', '.join(CORPORA)}."
        )
    try:
        if path.suffix == ".xz":
            with lzma.open(path, "rt", encoding="utf-8-sig") as file:
                yield from _bounded(f"{path} (unpacked)", path.stat().st_size, file)
        else:
            with path.open(encoding="utf-8-sig") as file:
                yield from _bounded(str(path), path.stat().st_size, file)
    except UnicodeDecodeError:
        raise UserError(f"{path} is not UTF-8 text; save it as UTF-8 and try again.") from None
    except (lzma.LZMAError, EOFError):
        raise UserError(f"{path} is not a whole .xz file; pack it again or unpack it.") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from None
