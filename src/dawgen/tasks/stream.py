"""Rows of a file one after another: files of any size in constant memory."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from dawgen.errors import UserError
from dawgen.tasks.card import TaskCard
from dawgen.tasks.files import (
    FORMATS,
    Table,
    is_blank,
    is_json_list,
    parse_line,
    readable_parquet,
    refuse_packed,
    separator_of,
    unquote,
)
from dawgen.tasks.load import cell_text, check_column, load_rows
from dawgen.tasks.row import Row

_BATCH = 1024

Records = Iterator[dict[str, Any]]


def stream_rows(card: TaskCard, source: str) -> Iterator[Row]:
    """The rows of a JSONL, CSV, TSV or Parquet file, their labels not looked at.

    They are the rows that :func:`load_rows` gives; a hub data set or a JSON list is loaded whole.

    Raises:
        UserError: as :func:`load_rows`, when the row that is wrong is reached.
    """
    if source == "hub" or source.startswith("hub:"):
        yield from load_rows(card, source, split="test", labelled=False)
        return
    path = Path(source)
    kind = FORMATS.get(path.suffix.lower())
    if kind is None or not path.is_file() or path.stat().st_size == 0:
        load_rows(card, source, labelled=False)  # says what is wrong
        raise UserError(f"{source} cannot be read.")
    if kind == "json" and is_json_list(path):
        yield from (replace(row, label=None) for row in load_rows(card, source, labelled=False))
        return
    if kind != "parquet":
        refuse_packed(source, path)
    read = {"jsonl": _jsonl, "json": _jsonl, "csv": _csv, "tsv": _tsv, "parquet": _parquet}[kind]
    number = 0
    try:
        for number, record in enumerate(read(path), start=1):
            if number == 1:
                for role in card.roles:
                    check_column(Table(source, list(record), []), card.columns[role], role)
            texts = [
                cell_text(record.get(name), name, f"{source}, row {number}", allow_empty=False)
                for name in (card.columns[role] for role in card.roles)
            ]
            yield Row(texts[0], texts[1] if card.is_pair else None, None)
    except UnicodeDecodeError:
        raise UserError(f"{source} is not text in UTF-8; save it as UTF-8 and try again.") from None
    except csv.Error as error:
        raise UserError(f"{source}, behind row {number}: not a readable table ({error}).") from None
    if number == 0:
        raise UserError(f"{source} has no rows.")


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
        header = [clean(cell) for cell in next((row for row in cells if not is_blank(row)), [])]
        twice = next((title for title in header if header.count(title) > 1), None)
        if twice is not None:
            raise UserError(f"{path} has two columns called {twice!r}; rename one.")
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
