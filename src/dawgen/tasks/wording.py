"""How a new card words a task: label words, templates, the question and the label prompts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from dawgen.tasks.guesses import column_key, known, label_key, spaced
from dawgen.tasks.labels import class_id

_MOST_IN_QUESTION = 12
"""Labels that the question names one by one."""


# --- label words ----------------------------------------------------------------------------


def guess_words(labels: Sequence[str]) -> tuple[dict[str, str], str]:
    """The first proposal of different words of which none begins another, and its reason."""
    proposals = list(_word_proposals(labels))
    for words, why in proposals:
        if len(set(words.values())) == len(labels) and not _begun(words):
            return words, why
    words = next(w for w, _ in proposals[::-1] if len(set(w.values())) == len(labels))
    begun = _begun(words)
    return (
        {label: f"general {word}" if label in begun else word for label, word in words.items()},
        "CHECK THESE: none may begin another, so some have 'general' before them",
    )


def _begun(words: Mapping[str, str]) -> list[str]:
    """Labels whose word is the beginning of another label's, word by word."""
    starts = {tuple(word.split()[:n]) for word in words.values() for n in range(len(word.split()))}
    return [label for label, word in words.items() if tuple(word.split()) in starts]


def _word_proposals(labels: Sequence[str]) -> Iterator[tuple[dict[str, str], str]]:
    names = {label: label_key(label) for label in labels}
    if set(names.values()) <= set(known()["words"]):
        usual = {label: known()["words"][name] for label, name in names.items()}
        yield usual, "the usual ones for these labels"
    why = "CHECK THESE: numbers do not say what they mean"
    if set(labels) == {"0", "1"}:
        yield {"0": "no", "1": "yes"}, why
    numbers = {label: class_id(label) for label in labels}
    if all(n is not None and n < len(known()["numbers"]) for n in numbers.values()):
        yield {label: known()["numbers"][n] for label, n in numbers.items()}, why
    if all(label.isdecimal() for label in labels):
        yield {label: label for label in labels}, why
    words = {label: name_of(label) for label in labels}
    if all(len(word.split()) == 1 for word in words.values()):
        yield words, "the labels themselves"
    if len(labels) <= _MOST_IN_QUESTION:
        firsts = {label: word.split()[0] for label, word in words.items()}
        yield firsts, "the first words of the labels; CHECK THESE"
    yield words, "the labels' own words; CHECK THESE: none may begin another"
    yield {label: label for label in labels}, "CHECK THESE: none may begin another"


def name_of(label: str) -> str:
    """A label as words in lower case: ``card arrival`` of ``card_arrival`` and ``CardArrival``."""
    parts = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", label)
    return " ".join(re.findall(r"\w+", parts.replace("_", " "))).lower() or label


# --- templates ------------------------------------------------------------------------------


def text_names(texts: Sequence[str]) -> list[str]:
    """What the texts are called in templates: their columns' names as words."""
    return [spaced(column) or f"text {i}" for i, column in enumerate(texts, start=1)]


def asked_for(texts: Sequence[str], label: str) -> str:
    """What the template asks for: the label column's name where it says something."""
    if column_key(label) in known()["questions"]:
        return spaced(label)
    return "answer" if len(texts) == 2 else "label"


def template(texts: Sequence[str], label: str) -> str:
    """``premise: {text1} hypothesis: {text2} answer:``, with the file's column names."""
    parts = [f"{name}: {{text{i}}}" for i, name in enumerate(text_names(texts), start=1)]
    return " ".join([*parts, f"{asked_for(texts, label)}:"])


def causal_template(texts: Sequence[str], label: str) -> str:
    """The same on lines of their own, each with a capital letter, as causal models read them."""
    names = [_capital(name) for name in text_names(texts)]
    parts = [f"{name}: {{text{i}}}" for i, name in enumerate(names, start=1)]
    return "\n".join([*parts, f"{_capital(asked_for(texts, label))}:"])


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


# --- the question and the label prompts -----------------------------------------------------


def instruction(texts: Sequence[str], label: str, words: Mapping[str, str]) -> str:
    """A question with the label words; of many labels without them."""
    noun, (name, *_) = asked_for(texts, label), text_names(texts)
    noun = "label" if noun == "answer" else noun
    what = "the two texts" if len(texts) == 2 else f"the {name}"
    if len(words) > _MOST_IN_QUESTION:
        return f"Which {noun} of {len(words)} does {what} have?"
    if len(texts) == 2:
        return f"Which of these fits {what}: {', '.join(words.values())}?"
    return f"Which of these is the {noun} of {what}: {', '.join(words.values())}?"


def label_prompts(texts: Sequence[str], label: str, words: Mapping[str, str]) -> dict[str, str]:
    """A sentence per label that a text of it could follow."""
    pair = len(texts) == 2
    usual: Mapping[str, str] = known()["pair_prompts"] if pair else {}
    if pair and all(label_key(name) in usual for name in words):
        return {name: f"{usual[label_key(name)]} Sentence 1:" for name in words}
    (text, *_), noun = text_names(texts), asked_for(texts, label)
    kind, end = ("Two texts", "Sentence 1:") if pair else (_article(text), f"{_capital(text)}:")
    return {name: f"{kind} {_about(name, word, noun)}. {end}" for name, word in words.items()}


def _about(label: str, word: str, noun: str) -> str:
    name = name_of(label)
    meaning = name if word.casefold() == name.casefold() else f"{name}: {word}"
    if noun in known()["subjects"]:
        return f"about {meaning}"
    return f"with the {'label' if noun == 'answer' else noun} {meaning}"


def _article(noun: str) -> str:
    return f"{'An' if noun[:1] in 'aeiou' else 'A'} {noun}"


def copies(labels: Sequence[str], pair: bool) -> list[str]:
    """Labels of pairs whose texts may be the same."""
    return [label for label in labels if pair and label_key(label) in known()["copies"]]
