"""The style of a task's texts: initial capital letters, lower case, final full stops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

FEW = 5
"""A property holds for the task if at most one in so many of the few shots' texts lacks it."""
_ENDS = (".", "!", "?", "…", "\u3002", '"', "'", "\u201d", "\u2019", ")", "]", ":", ";")


@dataclass(frozen=True)
class TextStyle:
    """The style of a task's texts; None where the texts differ.

    Attributes:
        capital: the first letter is a capital.
        lower: no letter is a capital.
        stop: statements end with a full stop.
    """

    capital: bool | None = None
    lower: bool | None = None
    stop: bool | None = None

    @classmethod
    def of(cls, texts: Sequence[str]) -> TextStyle:
        """By the few shots; texts whose first letter has no case count for neither."""
        cased = [text for text in map(_first_letter, texts) if text.lower() != text.upper()]
        statements = [text.rstrip() for text in texts if not text.rstrip().endswith(("?", "!"))]
        return cls(
            capital=_most([letter.isupper() for letter in cased]),
            lower=_most([text == text.lower() for text in texts if text.lower() != text.upper()]),
            stop=_most([text.endswith(".") for text in statements]),
        )

    def apply(self, text: str) -> str:
        """A sentence of a corpus in this style. Names keep their capitals, unless the task's texts
        are all lower case."""
        if self.lower:
            text = text.lower()
        elif self.capital:
            text = text[:1].upper() + text[1:]
        if self.stop and not text.endswith(_ENDS):
            return f"{text}."
        if self.stop is False and text.endswith(".") and text.count(".") == 1:
            return text.removesuffix(".").rstrip()
        return text


def _first_letter(text: str) -> str:
    return text.lstrip()[:1]


def _most(found: Sequence[bool]) -> bool | None:
    yes, no = sum(found), len(found) - sum(found)
    if not found or FEW * min(yes, no) > len(found):
        return None
    return yes > no
