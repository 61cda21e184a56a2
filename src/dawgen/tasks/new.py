"""A card written from a data file, with every guess said aloud."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dawgen.errors import UserError
from dawgen.tasks.card import parse_card
from dawgen.tasks.files import Table, read_file
from dawgen.tasks.labels import MOST_LABELS, class_id, count_labels, is_collection, label_text

_PAIRS = (
    ("premise", "hypothesis"),
    ("sentence1", "sentence2"),
    ("question1", "question2"),
    ("text1", "text2"),
    ("sentencea", "sentenceb"),
    ("texta", "textb"),
    ("question", "sentence"),
    ("question", "answer"),
    ("question", "passage"),
    ("query", "passage"),
    ("query", "document"),
    ("context", "question"),
    ("text", "hypothesis"),
)
_SINGLES = (
    "text",
    "sentence",
    "text1",
    "review",
    "comment",
    "content",
    "document",
    "message",
    "tweet",
    "utterance",
    "body",
    "query",
    "question",
    "title",
)
_LABELS = (
    "label",
    "labels",
    "goldlabel",
    "labelname",
    "class",
    "category",
    "sentiment",
    "intent",
    "topic",
    "target",
    "entailmentjudgment",
    "isduplicate",
    "quality",
    "y",
)
_KNOWN_WORDS = {
    "entailment": "yes",
    "neutral": "maybe",
    "contradiction": "no",
    "not_entailment": "no",
    "equivalent": "yes",
    "not_equivalent": "no",
    "duplicate": "yes",
    "not_duplicate": "no",
    "paraphrase": "yes",
    "not_paraphrase": "no",
    "positive": "great",
    "negative": "terrible",
    "true": "yes",
    "false": "no",
}
_NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


@dataclass(frozen=True)
class NewCard:
    """A proposed card and what had to be guessed for it, one sentence each."""

    text: str
    guesses: list[str]


def new_card(source: str) -> NewCard:
    """Guess a card from a file's columns and labels.

    Raises:
        UserError: the file cannot be read, or its text or label column cannot be told.
    """
    table = read_file(source)
    label, how_label = _guess_label(table)
    texts, how_texts = _guess_texts(table, label)
    values, left_out = count_labels(table, label)
    words, how_words = _guess_words(values)
    template = _template(texts)
    roles = dict(zip(("text1", "text2"), texts, strict=False)) | {"label": label}
    name = _name(Path(source))
    text = _write(name, Path(source).name, roles, list(values), template, words)
    parse_card(text, where=f"the card made from {source}")
    counts = ", ".join(f"{value} ({n})" for value, n in values.items())
    guesses = [
        f"name: {name!r}, from the file's",
        how_texts,
        how_label,
        f"labels: the {len(values)} values found there, {counts}",
        *([f"rows without a label: {left_out}, left out"] if left_out else []),
        how_words,
        f"template: {template!r}, from the column names",
        "label prompts: made from the labels' names and words",
        "first sentences: none named, so they come from the few shots or the generator",
    ]
    return NewCard(text, guesses)


def _name(path: Path) -> str:
    """The file's name, or its folder's where the file is called after its part of the data."""
    part = path.stem.lower() in ("train", "dev", "test", "validation", "data", "rows")
    stem = path.resolve().parent.name if part else path.stem
    return re.sub(r"[^a-z0-9]+", "-", stem.lower()).strip("-") or "task"


def _plain(heading: str) -> str:
    return re.sub(r"[^a-z0-9]", "", heading.lower())


def _columns_found(table: Table) -> str:
    return ", ".join(repr(column) for column in table.columns)


def _guess_label(table: Table) -> tuple[str, str]:
    headings = {_plain(column): column for column in reversed(table.columns)}
    for known in _LABELS:
        if known in headings:
            column = headings[known]
            return column, f"label: column {column!r}, by its name"
    few = [c for c in table.columns if _could_be_labels(table, c)]
    if len(few) == 1:
        return few[0], f"label: column {few[0]!r}, the only one with few different values"
    raise UserError(
        f"{table.name}: no column can be told to be the label; call it 'label' "
        f"(the columns found are {_columns_found(table)})."
    )


def _could_be_labels(table: Table, column: str) -> bool:
    cells = [record.get(column) for record in table.records]
    if any(is_collection(cell) for cell in cells):
        return False
    values = {label_text(cell) for cell in cells}
    return 2 <= len(values) <= min(MOST_LABELS, len(table.records) // 2)


def _guess_texts(table: Table, label: str) -> tuple[list[str], str]:
    headings = {_plain(column): column for column in reversed(table.columns) if column != label}
    for first, second in _PAIRS:
        if first in headings and second in headings:
            pair = [headings[first], headings[second]]
            return pair, f"text1 and text2: columns {pair[0]!r} and {pair[1]!r}, by their names"
    for known in _SINGLES:
        if known in headings:
            column = headings[known]
            return [column], f"text1: column {column!r}, by its name; a task of single texts"
    texts = [c for c in table.columns if c != label and _could_be_text(table, c)]
    if len(texts) == 1:
        return texts, f"text1: column {texts[0]!r}, the only one that holds text"
    if len(texts) == 2:
        return texts, f"text1 and text2: columns {texts[0]!r} and {texts[1]!r}, which hold text"
    raise UserError(
        f"{table.name}: no column can be told to be the text; call it 'text', or 'text1' and "
        f"'text2' for pairs (the columns found are {_columns_found(table)})."
    )


def _could_be_text(table: Table, column: str) -> bool:
    """Mostly strings of two words or more."""
    cells = [record.get(column) for record in table.records]
    wordy = sum(isinstance(cell, str) and " " in cell.strip() for cell in cells)
    return wordy * 2 > len(cells)


def _guess_words(values: Sequence[str] | dict[str, int]) -> tuple[dict[str, str], str]:
    labels = list(values)
    shown = "label words: {}, {}"
    known = {label: _KNOWN_WORDS.get(re.sub(r"\W+", "_", label.lower()), "") for label in labels}
    if all(known.values()) and len(set(known.values())) == len(labels):
        return known, shown.format(_pairs(known), "the usual ones for these labels")
    if all(label.isdecimal() for label in labels):
        if set(labels) == {"0", "1"}:
            words = {"0": "no", "1": "yes"}
            return words, shown.format(
                _pairs(words), "CHECK THESE: numbers do not say what they mean"
            )
        places = {label: class_id(label) for label in labels}
        words = {
            label: label if place is None or place >= len(_NUMBERS) else _NUMBERS[place]
            for label, place in places.items()
        }
        if set(words) & set(words.values()):  # all as numbers where one has to be
            words = {label: label for label in labels}
        return words, shown.format(_pairs(words), "CHECK THESE: numbers do not say what they mean")
    parts = {label: _words_of(label) for label in labels}
    if all(len(part) == 1 for part in parts.values()):
        words = {label: part[0] for label, part in parts.items()}
        if len(set(words.values())) == len(labels):
            return words, shown.format(_pairs(words), "the labels themselves")
    words = {label: " ".join(part) or label for label, part in parts.items()}
    firsts = {label: word.split()[0] for label, word in words.items()}
    if len(set(firsts.values())) == len(labels):
        return firsts, shown.format(_pairs(firsts), "the first words of the labels; CHECK THESE")
    if len(set(words.values())) < len(labels):
        words = {label: label for label in labels}
    return words, shown.format(_pairs(words), "CHECK THESE: none may begin another")


def _words_of(label: str) -> list[str]:
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", label)
    return [word.lower() for word in re.findall(r"\w+", spaced.replace("_", " "))]


def _pairs(words: dict[str, str]) -> str:
    return ", ".join(f"{label} → {word}" for label, word in words.items())


def _template(texts: Sequence[str]) -> str:
    """``premise: {text1} hypothesis: {text2} answer:``, in the file's own words."""
    parts = []
    for i, column in enumerate(texts, start=1):
        name = re.sub(r"[\s_{}]+", " ", column).strip().lower() or f"text {i}"
        name = re.sub(r"(?<=[a-z])(\d)$", r" \1", name)
        parts.append(f"{name}: {{text{i}}}")
    return " ".join([*parts, "answer:" if len(texts) == 2 else "label:"])


def quoted(text: str) -> str:
    """A YAML string: JSON's, with what YAML takes for a line break or for no text spelled out."""
    return "".join(
        letter if letter.isprintable() else f"\\U{ord(letter):08x}"
        for letter in json.dumps(text, ensure_ascii=False)
    )


def _write(
    name: str,
    file: str,
    columns: dict[str, str],
    labels: Sequence[str],
    template: str,
    words: dict[str, str],
) -> str:
    lines = [
        f"# Written by `dawgen tasks new` from {quoted(file)}: look through it, above all the",
        "# template and the label words, then see it at work with `dawgen validate`.",
        f"name: {quoted(name)}",
        "version: 1",
        'description: ""',
        "columns:",
        *(f"  {role}: {quoted(column)}" for role, column in columns.items()),
        f"labels: [{', '.join(quoted(label) for label in labels)}]",
        f"template: {quoted(template)}",
        "label_words:",
        *(f"  {quoted(label)}: {quoted(words[label])}" for label in labels),
        "metric: accuracy",
    ]
    return "\n".join(lines) + "\n"
