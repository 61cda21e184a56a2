"""Rows of a file one after another: files of any size in constant memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from dawgen.tasks.card import TaskCard
from dawgen.tasks.files import Table, stream_file
from dawgen.tasks.load import cell_text, check_column, load_rows
from dawgen.tasks.row import Row
from dawgen.terminal.progress import warn

OnEmpty = Literal["error", "skip", "null"]
"""What becomes of a row whose text is empty: an error, left out, or kept without a label."""

Cells = dict[str, Any]
"""All cells of a row by their columns, those too that the card does not name."""


def stream_rows(card: TaskCard, source: str) -> Iterator[Row]:
    """The rows of a JSONL, CSV, TSV or Parquet file, their labels not looked at.

    They are the rows that :func:`load_rows` gives; a hub data set or a JSON list is loaded whole.

    Raises:
        UserError: as :func:`load_rows`, when the row that is wrong is reached.
    """
    return (row for row, _ in stream_cells(card, source))


def stream_cells(
    card: TaskCard, source: str, on_empty: OnEmpty = "error"
) -> Iterator[tuple[Row, Cells]]:
    """As :func:`stream_rows`, each row with its cells; the first row says which columns there are.

    Of a hub data set only the texts. Rows with an empty text are counted, and the count is said
    at the end; with ``null`` they come with "" for that text.
    """
    rows = empty = 0
    for row, cells in _read(card, source, on_empty != "error"):
        rows += 1
        if not has_texts(row):
            empty += 1
            if on_empty == "skip":
                continue
        yield row, cells
    if empty:
        what = "are left out" if on_empty == "skip" else "get no label"
        warn(f"{source}: {empty:,} of {rows:,} rows have an empty text and {what}.")


def has_texts(row: Row) -> bool:
    """Whether none of a row's texts is empty."""
    return bool(row.text1) and row.text2 != ""


def _read(card: TaskCard, source: str, allow_empty: bool) -> Iterator[tuple[Row, Cells]]:
    if source == "hub" or source.startswith("hub:"):
        rows = load_rows(card, source, split="test", labelled=False, allow_empty=allow_empty)
        for row in rows:
            yield row, {card.columns[role]: getattr(row, role) for role in card.roles}
        return
    columns, told = list[str](), False
    for number, record in enumerate(stream_file(source), start=1):
        if number == 1:
            columns = list(record)
            for role in card.roles:
                check_column(Table(source, columns, []), card.columns[role], role)
        elif not told and (more := [name for name in record if name not in columns]):
            told = True
            warn(
                f"{source}, row {number} has {more[0]!r}, which row 1 has not; only what row "
                "1 has goes into the output."
            )
        texts = [
            cell_text(record.get(name), name, f"{source}, row {number}", allow_empty)
            for name in (card.columns[role] for role in card.roles)
        ]
        row = Row(texts[0], texts[1] if card.is_pair else None, None)
        yield row, {name: record.get(name) for name in columns}
