"""CSV and TSV as records, every cell as the text it is (``NA`` and ``007`` included)."""

from __future__ import annotations

import csv
import itertools
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from dawgen.errors import UserError
from dawgen.tasks.bounds import LONGEST_LINE, lines_of

_MARKS = ("\t", ",", ";")
"""Possible separators; a tab is in no heading by chance."""
_SAMPLE = 200
"""Lines by which the separator of a CSV file is chosen."""
_END = "\x1eend of the file\x1e"
"""A line after the last one, by which a missing closing quote is noticed."""
_MOST_LINES, _MOST_TRIES = 10_000, 200


def csv_records(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a file with commas, semicolons or tabs, chosen by its first lines."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = _csv_rows(str(path), lines_of(str(path), file), _separator_of(path))
        yield from _records(str(path), rows)


def tsv_records(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a file with tabs."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        yield from _records(str(path), _tsv_rows(lines_of(str(path), file)))


def _records(name: str, rows: Iterator[list[str]]) -> Iterator[dict[str, Any]]:
    """Cells by the heading's columns; missing cells are None.

    Blank lines are skipped, except between the rows of a file of one column, where each is a row
    with an empty text. An empty title, such as of pandas' index, becomes ``Unnamed: 0``.
    """
    heading = next((row for row in rows if not _is_blank(row)), [])
    if not heading:
        raise UserError(f"{name} has no heading; its first line must name the columns.")
    header = [title or f"Unnamed: {i}" for i, title in enumerate(heading)]
    refuse_twice(name, header)
    number = blank = 0
    for row in rows:
        if _is_blank(row) and row != [""]:  # a quoted empty text is certainly a row
            blank += 1
            continue
        if len(header) == 1:
            number += blank
            yield from ({header[0]: ""} for _ in range(blank))
        elif _is_blank(row):
            continue
        blank = 0
        number += 1
        if len(row) > len(header):
            raise UserError(
                f"{name}, row {number}: {len(row)} cells where the heading has {len(header)}; "
                "put texts with a separator in double quotes."
            )
        yield dict(itertools.zip_longest(header, row))


def refuse_twice(name: str, columns: Sequence[str]) -> None:
    """Raise UserError if two columns have the same name."""
    for title in columns:
        if columns.count(title) > 1:
            raise UserError(f"{name} has two columns called {title!r}; rename one.")


def _is_blank(row: Sequence[str]) -> bool:
    return not row or (len(row) == 1 and not row[0].strip())


def _separator_of(path: Path) -> str:
    """The separator with which most of the first rows fit their heading.

    Spreadsheets write semicolons in countries with decimal commas, and tabs into any file.
    """
    csv.field_size_limit(LONGEST_LINE)  # the reader's own limit is shorter than some texts
    with path.open(encoding="utf-8-sig", newline="") as file:
        lines = list(itertools.islice(lines_of(str(path), file), _SAMPLE))
    best, most = ",", 0
    for mark in _MARKS:
        rows: list[list[str]] = []
        with suppress(csv.Error):  # raised again when that row is read
            rows.extend(row for row in csv.reader(lines, delimiter=mark) if not _is_blank(row))
        width = len(rows[0]) if rows else 0
        fitting = sum(len(row) == width for row in rows) if width > 1 else 0
        if fitting > most:
            best, most = mark, fitting
    return best


def _csv_rows(name: str, lines: Iterator[str], separator: str) -> Iterator[list[str]]:
    csv.field_size_limit(LONGEST_LINE)
    rows = csv.reader(itertools.chain(lines, [_END]), delimiter=separator)
    number = 0
    for row in rows:
        if row == [_END]:
            return
        if row and row[-1].endswith(_END):
            raise UserError(
                f"{name}, {f'row {number}' if number else 'heading'}: it extends to the end of the "
                "file; look for a missing double quote."
            )
        number += not _is_blank(row)
        yield row


def _tsv_rows(lines: Iterator[str]) -> Iterator[list[str]]:
    """Rows of tab-separated text, in which a quote may enclose a cell or be a character.

    GLUE's files have lone quotes, and pandas (as we do) writes tabs and line breaks inside quotes.
    So a line with as many cells as the heading is a row, and others are read by the rules of quotes
    if that results in as many cells.
    """
    ahead: deque[str] = deque()
    width = 0
    while line := ahead.popleft() if ahead else next(lines, ""):
        cells = _split(line)
        if '"' in line and (row := _quoted(line, lines, ahead, width)) is not None:
            yield row
            cells = row
        else:
            yield [_unquote(cell) for cell in cells]
        width = width or (0 if _is_blank(cells) else len(cells))


def _split(line: str) -> list[str]:
    text = line.rstrip("\r\n")
    return text.split("\t") if text else []


def _quoted(line: str, lines: Iterator[str], ahead: deque[str], width: int) -> list[str] | None:
    """The cells of the row that begins in this line by the rules of quotes; None if it is plain.

    Further lines of the row are removed from ``ahead``, which is filled from ``lines``.
    """
    plain = _split(line)
    if len(plain) == (width or len(plain)) and not _is_open(plain[-1]):
        return None
    text, taken, tries = line, 0, 0
    while (row := _parse(text)) == []:
        tries += 1
        part = ""
        while '"' not in part:
            if taken == len(ahead):
                ahead.extend(itertools.islice(lines, 1))
            if taken == len(ahead) or taken == _MOST_LINES or tries > _MOST_TRIES:
                return None
            part = ahead[taken]
            text += part
            taken += 1
    if row is None or len(row) != (width or len(row)):
        return None
    if len(plain) == width and all(len(_split(ahead[i])) == width for i in range(taken)):
        return None  # lone quotes in whole rows
    for _ in range(taken):
        ahead.popleft()
    return row


def _parse(text: str) -> list[str] | None:
    """The cells; [] if a quote is still open, None if quotes do not enclose whole cells."""
    try:
        return next(csv.reader([text], delimiter="\t", strict=True))
    except csv.Error as error:
        return [] if "unexpected end" in str(error) else None


def _is_open(cell: str) -> bool:
    """Whether the quote at the beginning of a cell is not closed in it."""
    return cell.startswith('"') and _unquote(cell) == cell


def _unquote(cell: str) -> str:
    """The cell without the quotes around it, if they enclose all of it."""
    inner = cell[1:-1].replace('""', "")
    enclosed = len(cell) > 1 and cell[0] == cell[-1] == '"' and '"' not in inner
    return cell[1:-1].replace('""', '"') if enclosed else cell
