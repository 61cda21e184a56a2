"""Rows of a file one after another: files of any size in constant memory."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from dawgen.errors import UserError
from dawgen.progress import warn
from dawgen.tasks.card import TaskCard
from dawgen.tasks.files import (
    FORMATS,
    Table,
    is_blank,
    is_json_list,
    parse_line,
    read_file,
    readable_parquet,
    refuse_packed,
    separator_of,
    titles,
    unquote,
)
from dawgen.tasks.load import cell_text, check_column, load_rows
from dawgen.tasks.row import Row

_BATCH = 1024

Records = Iterator[dict[str, Any]]
Cells = dict[str, Any]
"""All cells of a row by their columns, those too that the card does not name."""


def stream_rows(card: TaskCard, source: str) -> Iterator[Row]:
    """The rows of a JSONL, CSV, TSV or Parquet file, their labels not looked at.

    They are the rows that :func:`load_rows` gives; a hub data set or a JSON list is loaded whole.

    Raises:
        UserError: as :func:`load_rows`, when the row that is wrong is reached.
    """
    return (row for row, _ in stream_cells(card, source))


def stream_cells(card: TaskCard, source: str) -> Iterator[tuple[Row, Cells]]:
    """As :func:`stream_rows`, each row with its cells; the first row says which columns there are.

    Of a hub data set only the texts.
    """
    if source == "hub" or source.startswith("hub:"):
        for row in load_rows(card, source, split="test", labelled=False):
            yield row, {card.columns[role]: getattr(row, role) for role in card.roles}
        return
    number, columns, told = 0, list[str](), False
    try:
        for number, record in enumerate(_records(card, source), start=1):
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
                cell_text(record.get(name), name, f"{source}, row {number}", allow_empty=False)
                for name in (card.columns[role] for role in card.roles)
            ]
            row = Row(texts[0], texts[1] if card.is_pair else None, None)
            yield row, {name: record.get(name) for name in columns}
    except UnicodeDecodeError:
        raise UserError(f"{source} is not text in UTF-8; save it as UTF-8 and try again.") from None
    except csv.Error as error:
        raise UserError(f"{source}, behind row {number}: not a readable table ({error}).") from None
    if number == 0:
        raise UserError(f"{source} has no rows.")


def _records(card: TaskCard, source: str) -> Records:
    path = Path(source)
    kind = FORMATS.get(path.suffix.lower())
    if kind is None or not path.is_file() or path.stat().st_size == 0:
        load_rows(card, source, labelled=False)  # says what is wrong
        raise UserError(f"{source} cannot be read.")
    if kind == "json" and is_json_list(path):
        return iter(read_file(source).records)
    if kind != "parquet":
        refuse_packed(source, path)
    read = {"jsonl": _jsonl, "json": _jsonl, "csv": _csv, "tsv": _tsv, "parquet": _parquet}[kind]
    return read(path)


def _jsonl(path: Path) -> Records:
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            yield parse_line(line, f"{path}, line {number}")


def _csv(path: Path) -> Records:
    yield from _separated(path, lambda cell: cell, delimiter=separator_of(path))


def _tsv(path: Path) -> Records:
    yield from _separated(path, unquote, delimiter="\t", quoting=csv.QUOTE_NONE)


def _separated(path: Path, clean: Callable[[str], str], **options: Any) -> Records:
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    with path.open(encoding="utf-8-sig", newline="") as file:
        cells = csv.reader(file, **options)
        heading = next((row for row in cells if not is_blank(row)), [])
        header = [clean(title) for title in titles(str(path), heading)]
        number = 0
        for row in cells:
            if is_blank(row):
                continue
            number += 1
            if len(row) > len(header):
                raise UserError(
                    f"{path}, row {number}: {len(row)} cells where the heading has {len(header)}; "
                    "put texts that hold a separator in double quotes."
                )
            yield dict(zip(header, (clean(cell) for cell in row), strict=False))


def _parquet(path: Path) -> Records:
    import pyarrow.parquet as pq

    with readable_parquet(str(path)), pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=_BATCH):
            yield from batch.to_pylist()
