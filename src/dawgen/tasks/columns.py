"""Which columns of a file hold the labels and the texts, and why the others do not."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dawgen.errors import UserError, did_you_mean
from dawgen.tasks.files import Table
from dawgen.tasks.guesses import column_key, known
from dawgen.tasks.labels import clipped, count_labels, is_collection, label_text

_DATE = re.compile(
    r"\W*(\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}|(\w{3,9},? )?(\d{1,2}\.? )?\w{3,9}\.?,? \d{1,2},? \d{4}"
    r"|(\w{3,9},? )?\d{1,2}\.? \w{3,9}\.?,? \d{4})([T ,]+(at )?\d{1,2}:\d{2}.*)?\W*"
)
_LETTER = re.compile(r"[^\W\d_]")
_ADVICE = "name it with --text, and --text2 for the second text of pairs"


@dataclass(frozen=True)
class Columns:
    """The columns of a card.

    Attributes:
        texts: one, or two of a pair.
        reasons: how each was found, one sentence each.
        left_out: the other columns, and why.
    """

    label: str
    texts: list[str]
    reasons: list[str]
    left_out: dict[str, str]


def find_columns(
    table: Table, label: str | None = None, text: str | None = None, text2: str | None = None
) -> Columns:
    """Guess the columns that are not named.

    Raises:
        UserError: a named column is not there, or the label or the text is unclear.
    """
    _check_named(table, {"--label": label, "--text": text, "--text2": text2})
    _check_heading(table)
    texts = [column for column in (text, text2) if column is not None]
    if label is None:
        label, how_label = _guess_label(table, texts)
    else:
        how_label = f"label: column {label!r}, as named"
    count_labels(table, label)
    if texts:
        how_texts = f"{_roles(texts)}: {_quoted(texts)}, as named"
    else:
        texts, how_texts = _guess_texts(table, label)
    reasons = {
        column: _why_no_text(table, column) or "not needed"
        for column in table.columns
        if column not in (label, *texts)
    }
    return Columns(label, texts, [how_texts, how_label], reasons)


def _check_named(table: Table, named: dict[str, str | None]) -> None:
    if named["--text2"] is not None and named["--text"] is None:
        raise UserError("--text2 needs --text: the first text of the pairs.")
    there = {option: column for option, column in named.items() if column is not None}
    for option, column in there.items():
        if column not in table.columns:
            others = f"its columns are {_quoted(table.columns)}."
            hint = did_you_mean(column, table.columns, others)
            raise UserError(f"{table.name} has no column {column!r} ({option}); {hint}")
    if len(set(there.values())) < len(there):
        raise UserError(f"{', '.join(there)} name the same column twice; each needs its own.")


def _check_heading(table: Table) -> None:
    """Raise UserError where a title is a value of its own column: the heading is missing."""
    if table.from_hub or not table.name.lower().endswith((".csv", ".tsv")):
        return
    for column in table.columns:
        if any(record.get(column) == column for record in table.records):
            raise UserError(
                f"{table.name} seems to have no heading: {clipped(column)!r} in its first line is "
                "also a value below it; add a first line that names the columns, such as "
                "text,label."
            )


def _guess_label(table: Table, texts: Sequence[str]) -> tuple[str, str]:
    columns = {column_key(c): c for c in reversed(table.columns) if c not in texts}
    for key in known()["labels"]:
        if key in columns:
            return columns[key], f"label: column {columns[key]!r}, by its name"
    named = [column for column in columns.values() if column in table.class_names]
    if len(named) == 1:
        return named[0], f"label: column {named[0]!r}, the only one with class names"
    few = [column for column in columns.values() if _could_be_labels(table, column)]
    if len(few) == 1:
        return few[0], f"label: column {few[0]!r}, the only one with few different values"
    raise _unclear(table, "label", "name it with --label", few[::-1])


def _could_be_labels(table: Table, column: str) -> bool:
    cells = _cells(table, column)
    if any(is_collection(cell) for cell in cells) or _are_dates(cells):
        return False
    return 2 <= len({label_text(cell) for cell in cells}) <= len(cells) // 2


def _guess_texts(table: Table, label: str) -> tuple[list[str], str]:
    columns = {column_key(c): c for c in reversed(table.columns) if c != label}
    good = {key: c for key, c in columns.items() if _why_no_text(table, c) is None}
    for first, second in known()["pairs"]:
        if first in good and second in good:
            pair = [good[first], good[second]]
            return pair, f"{_roles(pair)}: {_quoted(pair)}, by their names"
    for key in known()["texts"]:
        if key in good:
            return [good[key]], f"text1: column {good[key]!r}, by its name; a task of single texts"
    texts = [c for c in good.values() if _is_wordy(table, c) and not _could_be_labels(table, c)]
    if len(texts) in (1, 2):
        why = "the only one that holds text" if len(texts) == 1 else "which hold text"
        return texts, f"{_roles(texts)}: {_quoted(texts)}, {why}"
    raise _unclear(table, "text", _ADVICE, texts[::-1])


def _roles(texts: Sequence[str]) -> str:
    return "text1" if len(texts) == 1 else "text1 and text2"


def _quoted(columns: Sequence[str]) -> str:
    shown = [repr(column) for column in columns]
    if len(shown) == 2:
        return f"columns {' and '.join(shown)}"
    return f"column {shown[0]}" if len(shown) == 1 else ", ".join(shown)


def _unclear(table: Table, what: str, advice: str, candidates: Sequence[str]) -> UserError:
    some = f"it may be {_quoted(candidates)}" if candidates else "none looks like one"
    columns = ", ".join(repr(column) for column in table.columns)
    return UserError(
        f"{table.name}: it is unclear which column is the {what} ({some}); {advice} (its columns "
        f"are {columns})."
    )


# --- what a column holds --------------------------------------------------------------------


def _cells(table: Table, column: str) -> list[Any]:
    return [record.get(column) for record in table.records]


def _why_no_text(table: Table, column: str) -> str | None:
    """Why a column cannot be a text, from its cells; None if it can."""
    cells = _cells(table, column)
    filled = [str(cell).strip() for cell in cells if cell is not None and str(cell).strip()]
    if len(filled) * 2 <= len(cells):
        return "mostly empty"
    if any(is_collection(cell) for cell in cells):
        return "lists or objects"
    if len(set(filled)) == 1 and len(filled) > 1:
        return f"the same in every row, {clipped(filled[0], 40)!r}"
    if _are_dates(filled):
        return "dates"
    letters = sum(bool(_LETTER.search(cell)) for cell in filled)
    if letters * 2 <= len(filled):
        return "numbers"
    codes = sum(bool(re.search(r"\d", cell)) and " " not in cell for cell in filled)
    if codes * 2 > len(filled) and len(filled) > 1:
        return "ids or codes"
    return None


def _are_dates(cells: Sequence[Any]) -> bool:
    texts = [cell for cell in cells if isinstance(cell, str) and cell.strip()]
    return bool(texts) and sum(bool(_DATE.fullmatch(text)) for text in texts) * 2 > len(texts)


def _is_wordy(table: Table, column: str) -> bool:
    """Mostly strings of two words or more."""
    cells = _cells(table, column)
    wordy = sum(isinstance(cell, str) and " " in cell.strip() for cell in cells)
    return wordy * 2 > len(cells)
