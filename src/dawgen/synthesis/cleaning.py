"""Which written rows may be kept, and the word for why another may not.

Rules look at one row at a time, in the order of `RULES`; the first that applies is the row's
reason. What needs the rows before it, or the label ratio, follows after these (`cleaner.py`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from dawgen.settings.cleaning import RuleName
from dawgen.synthesis.text import (
    has_broken_characters,
    has_letter,
    ngrams,
    normalise,
    pair_key,
    scripts,
    word_bounds,
    word_count,
    words,
)
from dawgen.tasks import Row

CUT_OFF: RuleName = "cut off"
COPY: RuleName = "copy of the first text"
FIRST_SENTENCE = "first sentence "
"""Put before the reason where the generator's own first sentence failed."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A row as it was written: text2 is None for single sentences, `finished` = end mark seen.

    ``wrote_first`` says that text1 of a pair was written too.
    """

    text1: str
    text2: str | None
    finished: bool
    wrote_first: bool = False

    @property
    def written(self) -> str:
        """The text the generator wrote last, on which the rules look."""
        return last_text(self)


def last_text(row: Row | Candidate) -> str:
    """The text that decides a row's label: text2 of a pair, else text1."""
    return row.text1 if row.text2 is None else row.text2


Ngram = tuple[str, ...]


class Reference:
    """What rows are compared with: measures of the few shots, and rows not to be repeated.

    Lengths and scripts are of the few shots' last texts (text2, or text1 of single sentences);
    n-grams are those of every text of a row.
    """

    def __init__(
        self, shots: Sequence[Row], forbidden: Sequence[Row] = (), n: int = 8, request: str = ""
    ) -> None:
        """
        Args:
            forbidden: rows that later measure the prompt (development and test).
            n: words of an n-gram.
            request: what a chat model is asked where it writes a text from nothing.
        """
        last = [last_text(row) for row in shots]
        every = " ".join([row.text1 for row in shots] + last)
        self.n = n
        self.words = word_bounds(last)
        self.scripts = scripts(every)
        self.line_breaks = any(mark in every for mark in "\n\r\t")
        self.shot_pairs = {pair_key(row.text1, row.text2) for row in shots}
        self.shot_texts = {normalise(text) for text in last}
        self.shot_ngrams = row_ngrams(shots, n)
        self.forbidden_pairs = {pair_key(row.text1, row.text2) for row in forbidden}
        self.forbidden_ngrams = row_ngrams(forbidden, n)
        self.request_ngrams = _grams(request, n)


def row_ngrams(rows: Iterable[Row | Candidate], n: int) -> set[Ngram]:
    """Runs of ``n`` words in the rows' texts, first and second."""
    texts = [text for row in rows for text in (row.text1, row.text2) if text]
    return {gram for text in texts for gram in _grams(text, n)}


def is_empty(row: Candidate, against: Reference) -> bool:
    """Nothing was written."""
    return not row.written.strip()


def is_cut_off(row: Candidate, against: Reference) -> bool:
    """The longest length was reached before the end mark."""
    return not row.finished


def is_broken(row: Candidate, against: Reference) -> bool:
    """Unreadable characters, marks of the vocabulary, or not a single letter.

    Line breaks and tabs are unreadable where no few-shot text has them.
    """
    text = row.written.translate(_SPACES) if against.line_breaks else row.written
    return has_broken_characters(text) or not has_letter(text) or bool(_MARK.search(text))


_SPACES = str.maketrans("\n\r\t", "   ")
_MARK = re.compile(r"##|\[UNK\]|<unk>|<extra_id_\d+>|</?s>|<pad>|\u2047", re.IGNORECASE)


def is_unbalanced(row: Candidate, against: Reference) -> bool:
    """A bracket that is never opened or closed, or a double quote."""
    text = row.written
    return text.count('"') % 2 == 1 or not _quotes_match(text) or not _brackets_match(text)


def _quotes_match(text: str) -> bool:
    """As English, German, Polish and Finnish pair them."""
    low, left, right = (text.count(mark) for mark in "\u201e\u201c\u201d")
    if low:  # \u201eso\u201c or \u201eso\u201d
        return low == left + right
    return left == right or (left == 0 and right % 2 == 0)  # \u201dso\u201d


def _brackets_match(text: str) -> bool:
    closing = {")": "(", "]": "[", "}": "{"}
    stack: list[str] = []
    for character in text:
        if character in "([{":
            stack.append(character)
        elif character in closing and (not stack or stack.pop() != closing[character]):
            return False
    return not stack


def is_repetitive(row: Candidate, against: Reference) -> bool:
    """A word three times running, a character seven times, or a phrase of 2-8 words twice running.

    "very very good" and "..." pass.
    """
    own = words(row.written)
    if any(a == b == c for a, b, c in zip(own, own[1:], own[2:], strict=False)):
        return True
    if any(_phrase_repeats(own, n) for n in range(2, 9)):
        return True
    return _SAME_CHARACTER.search(row.written) is not None


_SAME_CHARACTER = re.compile(r"(\S)\1{6}")


def _phrase_repeats(words: Sequence[str], n: int) -> bool:
    return any(words[i : i + n] == words[i + n : i + 2 * n] for i in range(len(words) - 2 * n + 1))


def is_badly_ended(row: Candidate, against: Reference) -> bool:
    """It ends in mid-sentence: on a comma, a colon, an opening bracket, a dash, "and", "the"."""
    text = row.written.rstrip()
    if not text:
        return False
    if text.endswith((",", ";", ":", "(", "[", "{", "-", "\u2013", "\u2014", "/", "&", "=")):
        return True
    return text.casefold().rsplit(maxsplit=1)[-1] in ("and", "the")


def is_copy(row: Candidate, against: Reference) -> bool:
    """The second text is the first one again, but for case, spaces and punctuation."""
    return row.text2 is not None and normalise(row.text1) == normalise(row.text2)


def repeats_request(row: Candidate, against: Reference) -> bool:
    """``n`` words running of what a chat model was asked to write."""
    return not _grams(row.written, against.n).isdisjoint(against.request_ngrams)


def is_too_short(row: Candidate, against: Reference) -> bool:
    """Fewer words than half of the shortest few-shot text."""
    return word_count(row.written) < against.words[0]


def is_too_long(row: Candidate, against: Reference) -> bool:
    """More words than twice the longest few-shot text."""
    return word_count(row.written) > against.words[1]


def is_other_script(row: Candidate, against: Reference) -> bool:
    """Letters of a script that neither the few shots nor the row's first text use."""
    allowed = against.scripts if row.text2 is None else against.scripts | scripts(row.text1)
    return not scripts(row.written) <= allowed


def repeats_shot(row: Candidate, against: Reference) -> bool:
    """A few-shot row once more, or a few-shot text written down after another first sentence."""
    known = pair_key(row.text1, row.text2) in against.shot_pairs
    return known or normalise(row.written) in against.shot_texts


def repeats_forbidden(row: Candidate, against: Reference) -> bool:
    """A row that later measures the prompt (development or test)."""
    return pair_key(row.text1, row.text2) in against.forbidden_pairs


def overlaps_shot(row: Candidate, against: Reference) -> bool:
    """``n`` words running of a few-shot text, unless a first text that was not written has them.

    Such a first text may be a few shot's, whose words a second text may repeat.
    """
    written = _grams(row.written, against.n)
    if row.wrote_first:
        written |= _grams(row.text1, against.n)
    elif row.text2 is not None:
        written -= _grams(row.text1, against.n)
    return not written.isdisjoint(against.shot_ngrams)


def overlaps_forbidden(row: Candidate, against: Reference) -> bool:
    """``n`` words running of a row that later measures the prompt, in either text."""
    return not row_ngrams([row], against.n).isdisjoint(against.forbidden_ngrams)


def _grams(text: str, n: int) -> set[Ngram]:
    return set(ngrams(words(text), n))


Rule = Callable[[Candidate, Reference], bool]

RULES: tuple[tuple[RuleName, Rule], ...] = (
    ("empty", is_empty),
    ("cut off", is_cut_off),
    ("broken text", is_broken),
    ("unbalanced brackets or quotes", is_unbalanced),
    ("repeats itself", is_repetitive),
    ("bad end", is_badly_ended),
    ("other script", is_other_script),
    ("copy of the first text", is_copy),
    ("repeats the request", repeats_request),
    ("too short", is_too_short),
    ("too long", is_too_long),
    ("repeats a few-shot text", repeats_shot),
    ("repeats an evaluation row", repeats_forbidden),
    ("overlaps a few-shot text", overlaps_shot),
    ("overlaps an evaluation row", overlaps_forbidden),
)

_NOT_FIRST = {name for name, _ in RULES} - {
    "empty",
    "cut off",
    "broken text",
    "repeats itself",
    "bad end",
    "repeats the request",
}


def reason(row: Candidate, against: Reference, skip: Collection[str] = ()) -> RuleName | None:
    """Why the row is rejected, or None; rules in ``skip`` are not applied."""
    return next((name for name, rule in RULES if name not in skip and rule(row, against)), None)


def first_sentence_reason(
    text: str, finished: bool, against: Reference, skip: Collection[str] = ()
) -> str | None:
    """Why a first sentence that the generator wrote cannot be continued, or None."""
    why = reason(Candidate(text, None, finished), against, {*skip, *_NOT_FIRST})
    return FIRST_SENTENCE + why if why else None
