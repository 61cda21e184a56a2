"""An example of a task, and keys by which two examples are the same."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

_QUOTES = str.maketrans({"’": "'", "‘": "'", "`": "'", "“": '"', "”": '"', "„": '"'})
_SPACE = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class Row:
    """A text or a pair of texts, with its label; ``label`` is None if it is unknown."""

    text1: str
    text2: str | None
    label: str | None

    @property
    def has_texts(self) -> bool:
        """Whether no text is empty."""
        return bool(self.text1) and self.text2 != ""


def text_key(text: str) -> str:
    """The text without case, quote style and white space.

    Copies of a sentence from different tokenisers (``do n't`` and ``don't``, ``Hello , world`` and
    ``hello, world``) have the same key.
    """
    plain = unicodedata.normalize("NFKC", text.translate(_QUOTES)).casefold()
    return _SPACE.sub("", plain.replace("''", '"'))


def row_key(row: Row) -> tuple[str, str | None]:
    """The keys of the row's texts; the label does not matter."""
    return text_key(row.text1), None if row.text2 is None else text_key(row.text2)
