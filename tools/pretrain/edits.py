"""Edits of a sentence that keep, narrow or break its meaning: the self-made pair tasks.

Every function takes and returns a list of words (punctuation split off, see :func:`words`) and
draws from the generator it is handed; one that finds nothing to edit returns ``None``.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import yaml

Words = list[str]
Rng = np.random.Generator

_SPLIT = re.compile(r"\d[\d,.]*\d|\w+(?:['’]\w+)?|[^\w\s]")
_LISTS: dict[str, str] = yaml.safe_load(
    (Path(__file__).parent / "words.yaml").read_text(encoding="utf-8")
)
STOP, AUXILIARIES = frozenset(_LISTS["stop"].split()), frozenset(_LISTS["auxiliaries"].split())
NUMBERS = _LISTS["numbers"].split()


def _table(name: str, *, both: bool) -> dict[str, list[str]]:
    table: dict[str, list[str]] = {}
    for entry in _LISTS[name].split("|"):
        left, right = (side.replace("_", " ") for side in entry.split())
        table.setdefault(left, []).append(right)
        if both:
            table.setdefault(right, []).append(left)
    return table


_SAME, _WIDER = _table("same", both=True), _table("wider", both=False)
_OPPOSITE = _table("opposite", both=True)
_TAILS = {
    name: [tail.strip() for tail in _LISTS[f"tails_{name}"].split("|")]
    for name in ("captions", "wikipedia")
}


def words(text: str) -> Words:
    """Split a sentence into words and punctuation marks."""
    return _SPLIT.findall(text)


def join(parts: Words) -> str:
    """The sentence of ``parts``; spacing follows English habits, well enough for WordPiece."""
    return re.sub(r"\s+([,.;:?!%)\]])", r"\1", " ".join(parts))


def is_content(word: str) -> bool:
    """Whether a word carries meaning of its own."""
    return word[:1].isalnum() and word.lower() not in STOP


def content(parts: Words) -> set[str]:
    """The content words of a sentence, lower-cased."""
    return {word.lower() for word in parts if is_content(word)}


def _pick(rng: Rng, items: list[int]) -> int:
    return items[int(rng.integers(len(items)))]


def _from_table(parts: Words, table: dict[str, list[str]], rng: Rng, most: int) -> Words | None:
    places = [i for i, word in enumerate(parts) if word.lower() in table]
    if not places:
        return None
    chosen = set(rng.permutation(places)[:most].tolist())
    out: Words = []
    for i, word in enumerate(parts):
        if i in chosen:
            options = table[word.lower()]
            out.extend(options[int(rng.integers(len(options)))].split())
        else:
            out.append(word)
    return out


def synonyms(parts: Words, rng: Rng) -> Words | None:
    """Up to three words replaced by synonyms."""
    return _from_table(parts, _SAME, rng, most=3)


def widen(parts: Words, rng: Rng) -> Words | None:
    """Up to two words replaced by wider ones: the result is implied."""
    return _from_table(parts, _WIDER, rng, most=2)


def narrow_table() -> dict[str, list[str]]:
    """Wider words with the narrower ones that imply them."""
    table: dict[str, list[str]] = {}
    for narrow, wides in _WIDER.items():
        for wide in wides:
            if " " not in wide:
                table.setdefault(wide, []).append(narrow)
    return table


_NARROW = narrow_table()


def narrow(parts: Words, rng: Rng) -> Words | None:
    """One word replaced by a narrower one: the result may or may not be true."""
    return _from_table(parts, _NARROW, rng, most=1)


def oppose(parts: Words, rng: Rng) -> Words | None:
    """One word replaced by its opposite."""
    return _from_table(parts, _OPPOSITE, rng, most=1)


def negate(parts: Words, rng: Rng) -> Words | None:
    """``not`` put after an auxiliary or taken away, or the subject denied."""
    lowered = [word.lower() for word in parts]
    if "not" in lowered:
        place = lowered.index("not")
        return parts[:place] + parts[place + 1 :]
    places = [i for i, word in enumerate(lowered[:-1]) if word in AUXILIARIES]
    if lowered[0] in ("a", "an", "the", "some", "two") and rng.random() < 0.4:
        return ["no", *parts[1:]]
    if places:
        place = places[0]
        return [*parts[: place + 1], "not", *parts[place + 1 :]]
    if lowered[0] in ("a", "an"):
        return ["there", "is", "no", *parts[1:]]
    return None


def change_number(parts: Words, rng: Rng) -> Words | None:
    """One number changed to another of the same kind."""
    digits = [i for i, word in enumerate(parts) if word[:1].isdigit()]
    spelled = [i for i, word in enumerate(parts) if word.lower() in NUMBERS]
    if not digits and not spelled:
        return None
    place = _pick(rng, digits + spelled)
    out = list(parts)
    if place in digits:
        figures = [i for i, char in enumerate(parts[place]) if char.isdigit()]
        chars = list(parts[place])
        at = _pick(rng, figures)
        shift = int(rng.integers(1, 9))
        chars[at] = str((int(chars[at]) + shift - 1) % 9 + 1)
        out[place] = "".join(chars)
    else:
        others = [word for word in NUMBERS if word != parts[place].lower()]
        out[place] = others[int(rng.integers(len(others)))]
    return None if out == parts else out


def replace_content(parts: Words, donor: Words, rng: Rng, most: int = 2) -> Words | None:
    """One or two content words replaced by the donor's, of the same ending where there is one."""
    mine = [i for i, word in enumerate(parts) if is_content(word)]
    theirs = [w for w in donor if is_content(w) and w.lower() not in content(parts)]
    if not mine or not theirs:
        return None
    out = list(parts)
    for place in rng.permutation(mine)[: int(rng.integers(1, most + 1))].tolist():
        word = parts[place]
        alike = [w for w in theirs if w[-2:] == word[-2:] and w[0].isupper() == word[0].isupper()]
        pool = alike or [w for w in theirs if w[0].isupper() == word[0].isupper()] or theirs
        out[place] = pool[int(rng.integers(len(pool)))]
    return out


def swap_content(parts: Words, rng: Rng) -> Words | None:
    """Two content words change places: the same words, another meaning."""
    places = [i for i, word in enumerate(parts) if is_content(word)]
    names = [i for i in places if parts[i][0].isupper() and i > 0]
    pool = names if len(names) > 2 else places
    if len(pool) < 3:
        return None
    first, second = sorted(rng.permutation(pool)[:2].tolist())
    if parts[first].lower() == parts[second].lower():
        return None
    out = list(parts)
    out[first], out[second] = parts[second], parts[first]
    return out


def drop_some(parts: Words, rng: Rng, share: float = 0.15) -> Words | None:
    """A few small words, and words between commas, dropped."""
    keep = [
        word
        for i, word in enumerate(parts)
        if i in (0, len(parts) - 1) or word[:1].isupper() or rng.random() > share
    ]
    return keep if len(keep) >= 3 and keep != parts else None


def clause(parts: Words, rng: Rng) -> Words | None:
    """The part of the sentence before one of its commas or prepositions: contained in it."""
    breaks = [
        i
        for i, word in enumerate(parts)
        if i >= 3
        and word.lower() in (",", "in", "on", "at", "with", "while", "and", "near", "who")
        and i < len(parts) - 2
    ]
    return parts[: _pick(rng, breaks)] if breaks else None


def reorder(parts: Words, rng: Rng) -> Words | None:
    """A leading clause moved to the end, or the end to the front."""
    body = parts[:-1] if parts[-1] in ".?!" else parts
    commas = [i for i, word in enumerate(body) if word == "," and 1 < i < len(body) - 3]
    if commas and commas[0] < len(body) // 2:
        return [*body[commas[0] + 1 :], ",", *body[: commas[0]]]
    breaks = [
        i
        for i, word in enumerate(body)
        if word.lower() in ("in", "on", "at", "while", "after", "with", "during")
        and 3 <= i < len(body) - 1
    ]
    if not breaks:
        return None
    place = _pick(rng, breaks)
    return [*body[place:], ",", *body[:place]]


def add_tail(parts: Words, kind: str, rng: Rng) -> Words:
    """Something the sentence does not say, added at its end."""
    tails = _TAILS.get(kind, _TAILS["wikipedia"])
    body = parts[:-1] if parts[-1] in ".?!" else parts
    return [*body, *tails[int(rng.integers(len(tails)))].split()]
