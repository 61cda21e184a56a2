"""Writes a task card for a data file, and reports every guess in it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from dawgen.settings import Settings
from dawgen.tasks import wording
from dawgen.tasks.card import TaskCard, parse_card
from dawgen.tasks.columns import Columns, find_columns
from dawgen.tasks.files import Table, read_file
from dawgen.tasks.in_memory import as_table, in_memory
from dawgen.tasks.labels import count_labels, label_text
from dawgen.tasks.shots import FEWEST
from dawgen.terminal.screen import shortened

_MOST_SHOWN = 12
"""Labels that a sentence names one by one."""
_COMMENT_COLUMNS = 98


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

    @property
    def card(self) -> TaskCard:
        """The card itself."""
        return parse_card(self.text, where="the new card")


def new_card(
    source: Any,
    *,
    label: str | None = None,
    text: str | None = None,
    text2: str | None = None,
    name: str | None = None,
    label_words: Mapping[str, str] | None = None,
) -> NewCard:
    """Guess a card from the columns and labels of a file, or of rows in memory.

    Args:
        source: a file, or rows in memory as :func:`dawgen.tasks.load_rows` takes them.
        name: of the task; from the file's name without.
        label: the label column; guessed without.
        text: the column of the text, or of the first text of pairs; guessed without.
        text2: the column of the second text of pairs.
        label_words: a word for each label; guessed without.

    Raises:
        UserError: the file cannot be read, or its text or label column is unclear.
    """
    if in_memory(source):
        table, path, name = as_table(source, "train"), Path("rows in memory"), name or "my-task"
    else:
        table, path = read_file(str(source)), Path(source)
    columns = find_columns(table, label, text, text2)
    counts, unlabelled = count_labels(table, columns.label)
    words, how_words = wording.guess_words(list(counts))
    if label_words is not None:
        words, how_words = {str(k): word for k, word in label_words.items()}, "as named"
    how_name = "as named" if name else "from the file's"
    name = name or _name(path)
    content = _card(path, name, columns, words, table)
    parse_card(content, where=f"the card made from {source}")
    template = wording.template(columns.texts, columns.label)
    guesses = [
        f"name: {name!r}, {how_name}",
        *columns.reasons,
        *(f"left out: column {column!r}, {why}" for column, why in columns.left_out.items()),
        f"labels: the {len(counts)} values of that column, "
        + _some([f"{value} ({n})" for value, n in counts.items()]),
        *([f"rows without a label: {unlabelled}, skipped"] if unlabelled else []),
        _rows_per_label(counts),
        f"label words: {_some([f'{k} → {v}' for k, v in words.items()])}, {how_words}",
        f"template: {template!r}, from the column names",
        "label prompts: made from the labels' names and words",
        "first sentences: none named, so they come from the few shots or the generator",
    ]
    return NewCard(content, guesses)


def _card(path: Path, name: str, columns: Columns, words: Mapping[str, str], table: Table) -> str:
    """The card's YAML, with a comment at what is worth a change."""
    texts, label = columns.texts, columns.label
    roles = dict(zip(("text1", "text2"), texts, strict=False)) | {"label": label}
    copies = wording.copies(list(words), len(texts) == 2)
    prompts = wording.label_prompts(texts, label, words)
    parts: list[tuple[str, dict[str, object]]] = [
        (
            f"Written by `dawgen tasks new` from {_yaml([path.name])[2:].rstrip()}: check it,\n"
            "above all the template and the label words, then try it with `dawgen validate`.",
            {"name": name, "version": 1},
        ),
        ("What the task is, in a sentence; a request to an LLM says it.", {"description": ""}),
        ("", {"columns": roles, "labels": list(words)}),
        (
            "What the model reads before the label word; the second is for causal models\n"
            "(SmolLM2, Gemma, Qwen), the first for T5.",
            {
                "template": wording.template(texts, label),
                "causal_template": wording.causal_template(texts, label),
            },
        ),
        (
            "The word after the template that stands for each label; none may begin another.",
            {"label_words": dict(words)},
        ),
        (
            "A question that the prompt starts from.",
            {"instruction": wording.instruction(texts, label, words)},
        ),
        (
            "What the generator starts from: a sentence that texts of the label could follow.\n"
            "Say what such texts are about, and where they are from, such as\n"
            '"A message to a bank about: a lost card. Message:".\n'
            + _example(table, columns, prompts),
            {"label_prompts": prompts},
        ),
    ]
    if copies:
        parts.append(("Labels whose two texts may be the same.", {"copies": copies}))
    judged = "accuracy, or macro-f1 if rare labels count as much as common ones."
    parts.append((f"What is to be high: {judged}", {"metric": "accuracy"}))
    return "".join(
        "".join(f"# {line}\n" for line in comment.splitlines()) + _yaml(entries)
        for comment, entries in parts
    )


def _example(table: Table, columns: Columns, prompts: Mapping[str, str]) -> str:
    """A row of the file behind its label prompt, as the generator reads both; empty without one."""
    for record in table.records:
        prompt = prompts.get(label_text(record.get(columns.label)))
        text = record.get(columns.texts[0])
        if prompt and isinstance(text, str) and text.strip():
            return shortened(f"Here, a row follows like this: {prompt} {text}", _COMMENT_COLUMNS)
    return ""


def _some(items: list[str]) -> str:
    more = len(items) - _MOST_SHOWN
    return ", ".join(items[:_MOST_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _rows_per_label(counts: Mapping[str, int]) -> str:
    """How many rows there are of each label, against what a run wants."""
    wanted, least = 2 * Settings().shots, min(counts.values())
    spread = f"{least:,} to {max(counts.values()):,}" if len(set(counts.values())) > 1 else least
    text = (
        f"rows per label: {spread}; a run takes up to {wanted}, half of them to learn from and "
        "half to choose by"
    )
    if short := [f"{label} ({n})" for label, n in counts.items() if n < FEWEST]:
        return f"{text}. ADD ROWS, a run needs {FEWEST} at least: {_some(short)}"
    short = [f"{label} ({n})" for label, n in counts.items() if n < wanted]
    which = "all labels" if len(short) == len(counts) else _some(short)
    return f"{text}. Fewer, so more would help: {which}" if short else text


def _name(path: Path) -> str:
    """The file's name, or its folder's if the file is named after its part of the data.

    A name without a letter, such as the ``16-13`` of shots and seed, says nothing either.
    """
    part = path.stem.lower() in ("train", "dev", "test", "validation", "data", "rows")
    names = [folder.name for folder in path.resolve().parents] if part else [path.stem]
    names = [re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") for name in names]
    return next((name for name in names if re.search("[a-z]", name)), names[0] or "task")
