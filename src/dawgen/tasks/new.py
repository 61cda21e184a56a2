"""Writes a task card for a data file, and reports every guess in it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from dawgen.errors import UserError
from dawgen.tasks.card import parse_card
from dawgen.tasks.files import Table, read_file
from dawgen.tasks.labels import MOST_LABELS, class_id, count_labels, is_collection, label_text


@cache
def _known() -> dict[str, Any]:
    """Known column names, label words and numbers; every value is text."""
    text = (resources.files("dawgen.tasks") / "guesses.yaml").read_text("utf-8")
    return dict(yaml.load(text, yaml.BaseLoader))


class _Dumper(yaml.SafeDumper):
    """Writes each string in one line: YAML takes more characters for line breaks than Python."""


def _write_string(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    style = None if text.isprintable() else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)


_Dumper.add_representer(str, _write_string)


def _yaml(value: object) -> str:
    return str(
        yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=float("inf"))
    )


@dataclass(frozen=True)
class NewCard:
    """A card's YAML, and the guesses in it, one sentence each."""

    text: str
    guesses: list[str]


def new_card(source: str) -> NewCard:
    """Guess a card from a file's columns and labels.

    Raises:
        UserError: the file cannot be read, or its text or label column is unclear.
    """
    table, path = read_file(source), Path(source)
    label, how_label = _guess_label(table)
    texts, how_texts = _guess_texts(table, label)
    counts, unlabelled = count_labels(table, label)
    words, how_words = _guess_words(list(counts))
    card = {
        "name": _name(path),
        "version": 1,
        "description": "",
        "columns": dict(zip(("text1", "text2"), texts, strict=False)) | {"label": label},
        "labels": list(counts),
        "template": _template(texts),
        "label_words": words,
        "metric": "accuracy",
    }
    text = (
        f"# Written by `dawgen tasks new` from {_yaml([path.name])[2:].rstrip()}: check it,\n"
        "# above all the template and the label words, then try it with `dawgen validate`.\n"
        + _yaml(card)
    )
    parse_card(text, where=f"the card made from {source}")
    shown = ", ".join(f"{value} ({n})" for value, n in counts.items())
    guesses = [
        f"name: {card['name']!r}, from the file's",
        how_texts,
        how_label,
        f"labels: the {len(counts)} values of that column, {shown}",
        *([f"rows without a label: {unlabelled}, skipped"] if unlabelled else []),
        f"label words: {', '.join(f'{k} → {v}' for k, v in words.items())}, {how_words}",
        f"template: {card['template']!r}, from the column names",
        "label prompts: made from the labels' names and words",
        "first sentences: none named, so they come from the few shots or the generator",
    ]
    return NewCard(text, guesses)


def _name(path: Path) -> str:
    """The file's name, or its folder's if the file is named after its part of the data."""
    part = path.stem.lower() in ("train", "dev", "test", "validation", "data", "rows")
    stem = path.resolve().parent.name if part else path.stem
    return re.sub(r"[^a-z0-9]+", "-", stem.lower()).strip("-") or "task"


def _columns_by_key(table: Table) -> dict[str, str]:
    return {re.sub(r"[^a-z0-9]", "", c.lower()): c for c in reversed(table.columns)}


def _unclear(table: Table, what: str, advice: str) -> UserError:
    columns = ", ".join(repr(column) for column in table.columns)
    return UserError(
        f"{table.name}: it is unclear which column is the {what}; {advice} (its columns are "
        f"{columns})."
    )


def _guess_label(table: Table) -> tuple[str, str]:
    columns = _columns_by_key(table)
    for key in _known()["labels"]:
        if key in columns:
            return columns[key], f"label: column {columns[key]!r}, by its name"
    few = [column for column in table.columns if _could_be_labels(table, column)]
    if len(few) == 1:
        return few[0], f"label: column {few[0]!r}, the only one with few different values"
    raise _unclear(table, "label", "call it 'label'")


def _could_be_labels(table: Table, column: str) -> bool:
    cells = [record.get(column) for record in table.records]
    if any(is_collection(cell) for cell in cells):
        return False
    values = {label_text(cell) for cell in cells}
    return 2 <= len(values) <= min(MOST_LABELS, len(table.records) // 2)


def _guess_texts(table: Table, label: str) -> tuple[list[str], str]:
    columns = {key: column for key, column in _columns_by_key(table).items() if column != label}
    for first, second in _known()["pairs"]:
        if first in columns and second in columns:
            pair = [columns[first], columns[second]]
            return pair, f"text1 and text2: columns {pair[0]!r} and {pair[1]!r}, by their names"
    for key in _known()["texts"]:
        if key in columns:
            column = columns[key]
            return [column], f"text1: column {column!r}, by its name; a task of single texts"
    texts = [column for column in columns.values() if _could_be_text(table, column)]
    if len(texts) == 1:
        return texts, f"text1: column {texts[0]!r}, the only one that holds text"
    if len(texts) == 2:
        return texts, f"text1 and text2: columns {texts[0]!r} and {texts[1]!r}, which hold text"
    raise _unclear(table, "text", "call it 'text', or 'text1' and 'text2' for pairs")


def _could_be_text(table: Table, column: str) -> bool:
    """Mostly strings of two words or more."""
    cells = [record.get(column) for record in table.records]
    wordy = sum(isinstance(cell, str) and " " in cell.strip() for cell in cells)
    return wordy * 2 > len(cells)


def _guess_words(labels: Sequence[str]) -> tuple[dict[str, str], str]:
    """The first proposal that has a different word for each label, and its reason."""
    return next(
        (words, why)
        for words, why in _word_proposals(labels)
        if len(set(words.values())) == len(labels)
    )


def _word_proposals(labels: Sequence[str]) -> Iterator[tuple[dict[str, str], str]]:
    names = {label: re.sub(r"\W+", "_", label.lower()) for label in labels}
    if set(names.values()) <= set(_known()["words"]):
        usual = {label: _known()["words"][name] for label, name in names.items()}
        yield usual, "the usual ones for these labels"
    why = "CHECK THESE: numbers do not say what they mean"
    if set(labels) == {"0", "1"}:
        yield {"0": "no", "1": "yes"}, why
    numbers = {label: class_id(label) for label in labels}
    if all(n is not None and n < len(_known()["numbers"]) for n in numbers.values()):
        yield {label: _known()["numbers"][n] for label, n in numbers.items()}, why
    if all(label.isdecimal() for label in labels):
        yield {label: label for label in labels}, why
    parts = {label: _words_of(label) for label in labels}
    words = {label: " ".join(part) or label for label, part in parts.items()}
    if all(len(part) == 1 for part in parts.values()):
        yield words, "the labels themselves"
    firsts = {label: word.split()[0] for label, word in words.items()}
    yield firsts, "the first words of the labels; CHECK THESE"
    why = "CHECK THESE: none may begin another"
    yield words, why
    yield {label: label for label in labels}, why


def _words_of(label: str) -> list[str]:
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", label)
    return [word.lower() for word in re.findall(r"\w+", spaced.replace("_", " "))]


def _template(texts: Sequence[str]) -> str:
    """``premise: {text1} hypothesis: {text2} answer:``, with the file's column names."""
    parts = []
    for i, column in enumerate(texts, start=1):
        name = re.sub(r"[\s_{}]+", " ", column).strip().lower() or f"text {i}"
        name = re.sub(r"(?<=[a-z])(\d)$", r" \1", name)
        parts.append(f"{name}: {{text{i}}}")
    return " ".join([*parts, "answer:" if len(texts) == 2 else "label:"])
