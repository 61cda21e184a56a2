"""Texts of the user's own whose labels nobody knows."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dawgen.errors import UserError
from dawgen.tasks.bounds import check_size, lines_of
from dawgen.tasks.card import TaskCard
from dawgen.tasks.files import Table
from dawgen.tasks.load import check_column, columns_in, read_table, row_of
from dawgen.tasks.row import Row, row_key
from dawgen.terminal.progress import say


@dataclass(frozen=True)
class Unlabelled:
    """Texts without labels.

    Attributes:
        rows: different rows of the task; empty where a pair task's file has first texts only.
        first_sentences: the first texts as a source of ``synthesis.first_sentences``.
    """

    rows: list[Row]
    first_sentences: str


def load_unlabelled(card: TaskCard, source: str | Path, known: Collection[Row] = ()) -> Unlabelled:
    """Texts of a text file, one per line, or of a table's columns that the card names.

    Labels are not looked at, empty texts are skipped, and so are texts of ``known`` rows.

    Raises:
        UserError: no such file, an unreadable one, no column of the texts, or no text in it.
    """
    name = str(source)
    if Path(name).suffix.lower() == ".txt":
        texts, first = _lines(name), name
        rows = [] if card.is_pair else [Row(text, None, None) for text in texts]
    else:
        table = read_table(name)
        columns = columns_in(card, table.columns)
        check_column(table, columns["text1"], "text1")
        texts, first = _cells(table, columns["text1"]), f"{name}#{columns['text1']}"
        complete = all(columns[role] in table.columns for role in card.roles)
        rows = _rows(card, table, columns) if complete else []
    if not any(texts):
        raise UserError(f"{name} has no texts; name a file with one text per row at least.")
    seen = {row_key(row) for row in known}
    different: dict[object, Row] = {}
    for row in rows:
        if row_key(row) not in seen:
            different.setdefault(row_key(row), row)
    if repeated := sum(row_key(row) in seen for row in rows):
        say(f"{name}: {repeated:,} of its {len(rows):,} rows are labelled or test rows; left out.")
    return Unlabelled(list(different.values()), first)


def _cells(table: Table, column: str) -> list[str]:
    return [str(record.get(column) or "").strip() for record in table.records]


def _rows(card: TaskCard, table: Table, columns: Any) -> list[Row]:
    found = [
        row_of(card, record, columns, f"{table.name}, row {number}", allow_empty=True)
        for number, record in enumerate(table.records, start=1)
    ]
    return [row for row in found if row.has_texts]


def _lines(name: str) -> list[str]:
    path = Path(name)
    try:
        check_size(name, path.stat().st_size)
        with path.open(encoding="utf-8-sig") as file:
            return [text for line in lines_of(name, file) if (text := line.strip())]
    except UnicodeDecodeError:
        raise UserError(f"{name} is not text in UTF-8; save it as UTF-8 and try again.") from None
    except OSError as error:
        raise UserError(f"{name} cannot be read: {error.strerror or error}.") from None
