"""Rows of a file one by one: files of any size in constant memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from dawgen.tasks.card import TaskCard
from dawgen.tasks.files import Table, stream_file
from dawgen.tasks.load import check_column, columns_in, is_hub, load_rows, row_of
from dawgen.tasks.row import Row
from dawgen.terminal.progress import warn

OnEmpty = Literal["error", "skip", "null"]
"""A row with an empty text: raise an error, skip the row, or keep it without a label."""

Cells = dict[str, Any]
"""All cells of a row by their columns, including those that the card does not name."""


def stream_cells(
    card: TaskCard, source: str, on_empty: OnEmpty = "error"
) -> Iterator[tuple[Row, Cells]]:
    """The rows of :func:`load_rows` without their labels, each with its cells.

    The first row determines the columns. A hub data set and a JSON list are loaded whole; of a hub
    data set only the texts are cells. Rows with an empty text are counted, and the number is
    printed at the end; with ``null`` that text is "".

    Raises:
        UserError: as :func:`load_rows`, when the row with the error is reached.
    """
    rows = empty = 0
    for row, cells in _read(card, source, on_empty != "error"):
        rows += 1
        if not row.has_texts:
            empty += 1
            if on_empty == "skip":
                continue
        yield row, cells
    if empty:
        what = "are skipped" if on_empty == "skip" else "get no label"
        warn(f"{source}: {empty:,} of {rows:,} rows have an empty text and {what}.")


def _read(card: TaskCard, source: str, allow_empty: bool) -> Iterator[tuple[Row, Cells]]:
    if is_hub(source):
        rows = load_rows(card, source, split="test", labelled=False, allow_empty=allow_empty)
        for row in rows:
            yield row, {card.columns[role]: getattr(row, role) for role in card.roles}
        return
    columns: list[str] = []
    by_role: Mapping[str, str] = card.columns
    warned = False
    for number, record in enumerate(stream_file(source), start=1):
        where = f"{source}, row {number}"
        if number == 1:
            columns = list(record)
            by_role = columns_in(card, columns)
            for role in card.roles:
                check_column(Table(source, columns, []), by_role[role], role)
        elif not warned and (more := [name for name in record if name not in columns]):
            warned = True
            warn(
                f"{where} has {more[0]!r}, which row 1 does not have; the output has the columns "
                "of row 1."
            )
        row = row_of(card, record, by_role, where, allow_empty=allow_empty)
        yield row, {name: record.get(name) for name in columns}
