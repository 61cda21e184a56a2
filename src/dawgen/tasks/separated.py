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
"""That cells may have between them; a tab is in no heading by chance."""
_SAMPLE = 200
"""Lines that tell what separates a CSV file's cells."""
_END = "\x1eend of the file\x1e"
"""Stands behind the last line; a quote that is left open swallows it."""
_MOST_LINES, _MOST_TRIES = 10_000, 200


def csv_records(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a file of commas, or of semicolons or tabs, as its first lines show."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = _csv_rows(str(path), lines_of(str(path), file), separator_of(path))
        yield from _records(str(path), rows)


def tsv_records(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a file of tabs."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        yield from _records(str(path), _tsv_rows(lines_of(str(path), file)))


def _records(name: str, rows: Iterator[list[str]]) -> Iterator[dict[str, Any]]:
    """Cells by the heading's columns; a row of fewer cells has None in the others.

    A line of nothing is no row, except between the rows of a file of one column: there it is a
    row whose text is empty.
    """
    heading = next((row for row in rows if not is_blank(row)), [])
    if not heading:
        raise UserError(f"{name} has no heading; its first line must name the columns.")
    header = titles(name, heading)
    number = blank = 0
    for row in rows:
        if is_blank(row) and row != [""]:  # a quoted nothing is certain to be a row
            blank += 1
            continue
        if len(header) == 1:
            number += blank
            yield from ({header[0]: ""} for _ in range(blank))
        elif is_blank(row):
            continue
        blank = 0
        number += 1
        if len(row) > len(header):
            raise UserError(
                f"{name}, row {number}: {len(row)} cells where the heading has {len(header)}; "
                "put texts that hold a separator in double quotes."
            )
        yield dict(itertools.zip_longest(header, row))


def titles(name: str, heading: Sequence[str]) -> list[str]:
    """The columns of a heading; pandas' own index, saved without a name, has an empty one."""
    found = [title or f"Unnamed: {i}" for i, title in enumerate(heading)]
    refuse_twice(name, found)
    return found


def refuse_twice(name: str, columns: Sequence[str]) -> None:
    """Raise UserError where two columns have one name."""
    twice = next((title for title in columns if columns.count(title) > 1), None)
    if twice is not None:
        raise UserError(f"{name} has two columns called {twice!r}; rename one.")


def is_blank(row: Sequence[str]) -> bool:
    """Whether a line holds nothing."""
    return not row or (len(row) == 1 and not row[0].strip())


def separator_of(path: Path) -> str:
    """What separates a CSV file's cells: the mark by which most first rows fit their heading.

    Spreadsheets write semicolons where the comma is for decimals, and tabs into any file.
    """
    csv.field_size_limit(LONGEST_LINE)  # the reader's own limit is shorter than some texts
    with path.open(encoding="utf-8-sig", newline="") as file:
        lines = list(itertools.islice(lines_of(str(path), file), _SAMPLE))
    best, most = ",", 0
    for mark in _MARKS:
        rows: list[list[str]] = []
        with suppress(csv.Error):  # told when its row is read
            rows.extend(row for row in csv.reader(lines, delimiter=mark) if not is_blank(row))
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
                f"{name}, {f'row {number}' if number else 'heading'}: it goes on to the end of the "
                "file; look for a double quote left open."
            )
        number += not is_blank(row)
        yield row


def _tsv_rows(lines: Iterator[str]) -> Iterator[list[str]]:
    """Rows of tab-separated text, in which a quote may enclose a whole cell or be a character.

    GLUE's files hold lone quotes that would swallow the rows up to the next one, and pandas
    (as we do) writes tabs and line breaks inside quotes. So a line that has as many cells as the
    heading is a row, and others are read as quoted where that gives as many.
    """
    ahead: deque[str] = deque()
    width = 0
    while line := ahead.popleft() if ahead else next(lines, ""):
        cells = _split(line)
        if '"' in line and (row := _quoted(line, lines, ahead, width)) is not None:
            yield row
            cells = row
        else:
            yield [unquote(cell) for cell in cells]
        width = width or (0 if is_blank(cells) else len(cells))


def _split(line: str) -> list[str]:
    text = line.rstrip("\r\n")
    return text.split("\t") if text else []


def _quoted(line: str, lines: Iterator[str], ahead: deque[str], width: int) -> list[str] | None:
    """The cells of a row that begins in this line, by the rules of quotes; None if it is plain.

    Lines that belong to it are taken out of ``ahead``, which is filled from ``lines``.
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
    """The cells; [] where a quote is still open, None where quotes do not enclose whole cells."""
    try:
        return next(csv.reader([text], delimiter="\t", strict=True))
    except csv.Error as error:
        return [] if "unexpected end" in str(error) else None


def _is_open(cell: str) -> bool:
    """Whether a cell begins with a quote that does not end with it."""
    return cell.startswith('"') and unquote(cell) == cell


def unquote(cell: str) -> str:
    """A tab-separated cell without the quotes that enclose the whole of it."""
    inner = cell[1:-1].replace('""', "")
    enclosed = len(cell) > 1 and cell[0] == cell[-1] == '"' and '"' not in inner
    return cell[1:-1].replace('""', '"') if enclosed else cell
