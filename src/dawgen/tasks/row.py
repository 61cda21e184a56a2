"""One example of a task, and when two examples count as the same."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

_QUOTES = str.maketrans({"’": "'", "‘": "'", "`": "'", "“": '"', "”": '"', "„": '"'})
_SPACE = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class Row:
    """A text or a pair of texts, with its label; ``label`` is None where it is not known."""

    text1: str
    text2: str | None
    label: str | None


def text_key(text: str) -> str:
    """What is left of a text when case, quote style and all white space are taken away.

    Two copies of a sentence that went through different tokenisers (``do n't`` and ``don't``,
    ``Hello , world`` and ``hello, world``) have the same key.
    """
    plain = unicodedata.normalize("NFKC", text.translate(_QUOTES)).casefold()
    return _SPACE.sub("", plain.replace("''", '"'))


def row_key(row: Row) -> tuple[str, str | None]:
    """The key of a row's texts, in their order; the label does not enter."""
    return text_key(row.text1), None if row.text2 is None else text_key(row.text2)
