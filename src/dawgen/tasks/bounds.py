"""Limits on what is read of a file: a small file may need a lot of memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Any

from dawgen.errors import UserError

LONGEST_LINE = 16 << 20
"""Characters of a line, or of a cell of a CSV file."""
MOST_BYTES = 2 << 30
"""Bytes of a table that is loaded whole."""
MOST_ROWS = 10_000_000
"""Rows of a table that is loaded whole."""


def check_size(name: str, size: int, most: int | None = None, hint: str = "") -> None:
    """Raise UserError if a file is larger than ``most`` bytes, by default ``MOST_BYTES``."""
    most = MOST_BYTES if most is None else most
    if size > most:
        raise UserError(
            f"{name}: {_human(size)} or more, and at most {_human(most)} are read; "
            f"{hint or 'use a part of its rows'}."
        )


def check_rows(name: str, rows: int) -> None:
    """Raise UserError if a table that is loaded whole has too many rows."""
    if rows > MOST_ROWS:
        raise UserError(
            f"{name} has more than {MOST_ROWS:,} rows, the most that are read; use a part of them."
        )


def loaded(name: str, records: Iterator[dict[str, Any]]) -> list[dict[str, Any]]:
    """All records; raises UserError as soon as they exceed the limits of a table."""
    rows: list[dict[str, Any]] = []
    size = 0
    for record in records:
        rows.append(record)
        size += sum(len(cell) for cell in record.values() if isinstance(cell, str))
        check_rows(name, len(rows))
        check_size(name, size)
    return rows


def lines_of(name: str, file: IO[str]) -> Iterator[str]:
    """The lines of a text file; raises UserError at one that is too long."""
    lines = iter(lambda: file.readline(LONGEST_LINE + 1), "")
    for number, line in enumerate(lines, start=1):
        if len(line) > LONGEST_LINE:
            raise UserError(
                f"{name}, line {number}: a line of more than {_human(LONGEST_LINE)}; "
                "split it into lines, or remove it."
            )
        yield line


def _human(size: int) -> str:
    return f"{size >> 30} GiB" if size >= 1 << 30 else f"{size >> 20} MiB"
