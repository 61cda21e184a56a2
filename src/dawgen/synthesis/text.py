"""Small questions about a text, asked by cleaning and by the choice of first sentences."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

SHORTEST, LONGEST = 0.5, 2.0
"""Of the few shots' shortest and longest text, in words: other texts are not like theirs."""
_WORD = re.compile(r"\w+")
_JOINERS = dict.fromkeys((0x200C, 0x200D, 0xFE0E, 0xFE0F))
"""Invisible within a word or behind a sign: joiners and variation selectors."""


def normalise(text: str) -> str:
    """What two spellings of one text have in common: its letters and digits, case folded.

    Spaces, punctuation and tokenisation marks go ("didn 't" and "Didn't" are the same text).
    """
    return "".join(words(text))


def pair_key(text1: str, text2: str | None) -> tuple[str, str]:
    """The row's texts as one comparable value; a single text pairs with the empty one."""
    return normalise(text1), normalise(text2 or "")


def words(text: str) -> list[str]:
    """Runs of letters and digits, case folded: what n-grams are counted over.

    Vowel signs and accents belong to the letter before them, whose word they would cut.
    """
    text = unicodedata.normalize("NFKC", text).casefold()
    if text.isascii():
        return _WORD.findall(text)
    text = text.translate(_JOINERS)
    runs = "".join(c if _in_word(c) else " " for c in text).split()
    return [run for run in runs if _WORD.search(run)]


def _in_word(character: str) -> bool:
    return (
        character.isalnum() or character == "_" or unicodedata.category(character).startswith("M")
    )


def ngrams(tokens: Sequence[str], n: int) -> list[tuple[str, ...]]:
    """Every run of ``n`` tokens, in order; none where there are fewer."""
    return [tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)]


def word_count(text: str) -> int:
    """Words as white space divides them."""
    return len(text.split())


def word_bounds(texts: Sequence[str]) -> tuple[int, int]:
    """Fewest and most words of a text like these: half of their shortest, twice their longest."""
    counts = [word_count(text) for text in texts]
    return max(1, int(SHORTEST * min(counts))), max(1, int(LONGEST * max(counts)))


def has_letter(text: str) -> bool:
    """Whether anything in the text can be read aloud."""
    return any(character.isalpha() for character in text)


def has_broken_characters(text: str) -> bool:
    """Control, private-use or unassigned characters, lone surrogates, or U+FFFD."""
    return any(
        character == "\ufffd" or unicodedata.category(character) in ("Cc", "Co", "Cn", "Cs")
        for character in text
    )


@lru_cache(maxsize=4096)
def _script(character: str) -> str:
    return unicodedata.name(character, "UNNAMED").split()[0]


def scripts(text: str) -> set[str]:
    """Scripts of the text's letters, by their Unicode names: LATIN, GREEK, CJK..."""
    return {
        _script(character)
        for character in text
        if character.isalpha() and unicodedata.category(character) != "Lm"
    }
