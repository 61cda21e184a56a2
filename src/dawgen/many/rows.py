"""Rows with several labels each."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dawgen.errors import UserError
from dawgen.storage.seals import fingerprint
from dawgen.tasks import Row, TaskCard, read_table, row_key
from dawgen.tasks.in_memory import as_table, in_memory
from dawgen.tasks.labels import LabelReader, clipped
from dawgen.tasks.load import Source, check_column, columns_in, row_of
from dawgen.tasks.shots import FEWEST
from dawgen.terminal.progress import say

BETWEEN = "|"
"""What stands between the labels of a row in a written table."""
_SEPARATORS = (BETWEEN, ";", ",")


@dataclass(frozen=True, slots=True)
class ManyRow:
    """A row, whose ``label`` is None, and the labels that it has, perhaps none."""

    row: Row
    labels: frozenset[str]


def load_many(
    card: TaskCard, source: Source, *, split: str = "train", skip_empty: bool = False
) -> list[ManyRow]:
    """All rows of a file, a hub data set or memory, in order.

    The label column holds a list (of JSON or Parquet), a list as JSON text, or labels with ``|``,
    ``;`` or ``,`` between them; nothing, or an empty list, is no label.

    Raises:
        UserError: as :func:`dawgen.tasks.load_rows`.
    """
    order = [card.columns[role] for role in (*card.roles, "label")]
    table = as_table(source, split, order) if in_memory(source) else read_table(str(source))
    name = table.name
    columns = columns_in(card, table.columns)
    for role in (*card.roles, "label"):
        check_column(table, columns[role], role)
    reader, column = LabelReader(card, card.labels, ids=False), columns["label"]
    rows, empty = [], 0
    for number, record in enumerate(table.records, start=1):
        where = f"{name}, row {number}"
        row = row_of(card, record, columns, where, allow_empty=skip_empty)
        if not row.has_texts:
            empty += 1
            continue
        rows.append(ManyRow(row, _labels(record.get(column), reader, column, where)))
    if empty:
        say(f"{name}: {empty:,} of {len(table.records):,} rows have an empty text; skipped.")
    if not rows:
        raise UserError(f"{name} has no rows.")
    return rows


def _labels(value: Any, reader: LabelReader, column: str, where: str) -> frozenset[str]:
    items = _items(value, reader)
    found = [reader.read(item) for item in items]
    if None in found:
        wrong = items[found.index(None)]
        raise UserError(
            f"{where}: {clipped(str(wrong))!r} in column {column!r} is no label of task "
            f"{reader.card.name}; a cell holds labels with | between them, or a list, of "
            f"{', '.join(reader.card.labels)}."
        )
    return frozenset(str(label) for label in found)


def _items(value: Any, reader: LabelReader) -> list[Any]:
    """The single labels of a cell."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return []
    if isinstance(value, list | tuple):
        return list(value)
    text = str(value).strip()
    if not text:
        return []
    if text.startswith("[") and text.endswith("]"):
        try:
            inner = json.loads(text)
        except ValueError:
            inner = None
        if isinstance(inner, list):
            return inner
    if reader.read(value) is not None:
        return [value]
    separator = next((mark for mark in _SEPARATORS if mark in text), None)
    parts = text.split(separator) if separator else [text]
    return [part.strip() for part in parts if part.strip()]


def distinct(rows: Sequence[ManyRow]) -> list[ManyRow]:
    """The first of the rows whose texts differ in case and spacing only."""
    first: dict[object, ManyRow] = {}
    for each in rows:
        first.setdefault(row_key(each.row), each)
    return list(first.values())


def check_many(card: TaskCard, rows: Sequence[ManyRow], name: str) -> None:
    """Raise UserError where a label has too few rows, or every row has it."""
    counts = Counter(label for each in rows for label in each.labels)
    for label in card.labels:
        for count, what in ((counts[label], "with"), (len(rows) - counts[label], "without")):
            if count < FEWEST:
                raise UserError(
                    f"{name} has {count} different rows {what} the label {label!r}, fewer than the "
                    f"{FEWEST} that are needed; add rows."
                )


def gold_of(card: TaskCard, rows: Sequence[ManyRow]) -> npt.NDArray[np.bool_]:
    """[N,C] whether a row has a label."""
    return np.array([[label in each.labels for label in card.labels] for each in rows], dtype=bool)


def names_of(card: TaskCard, has: npt.NDArray[np.bool_]) -> list[str]:
    """The labels of rows [N,C], in the card's order, as they stand in a table."""
    return [
        BETWEEN.join(label for label, one in zip(card.labels, row, strict=True) if one)
        for row in has
    ]


def many_hash(rows: Sequence[ManyRow] | None) -> str | None:
    """A hash of the rows' texts and labels, in order."""
    if rows is None:
        return None
    return fingerprint([(r.row.text1, r.row.text2, sorted(r.labels)) for r in rows])
