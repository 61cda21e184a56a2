"""A file of labelled rows that grows chunk by chunk and survives being stopped."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dawgen.storage.atomic import clear_links, move, partial_of, progress_of
from dawgen.storage.folder import write_json
from dawgen.storage.locking import locked_target, open_own, writable
from dawgen.terminal.harmless import separated_line

if TYPE_CHECKING:
    import pyarrow as pa

FORMATS = (".csv", ".tsv", ".jsonl", ".parquet")
_GROUP = 10_000


@dataclass
class LabelledFile:
    """Records on their way into ``out``, which appears when all are there.

    Until then they lie in ``.OUT.partial``, and ``.OUT.progress.json`` says how many of its
    bytes are whole chunks, and of which work.

    Attributes:
        rows: how many are there.
        size: bytes of the partial file that are whole chunks.
    """

    out: Path
    mark: str
    rows: int = 0
    size: int = 0

    @classmethod
    @contextmanager
    def open(cls, out: Path, mark: str) -> Iterator[LabelledFile]:
        """Begin, or go on where work of the same ``mark`` was stopped; holds ``out`` meanwhile.

        Raises:
            UserError: another process writes to ``out``, or nothing can be written there.
        """
        with locked_target(out):
            file = cls(out, mark)
            with writable(out):
                file._find_progress()
                with open_own(file.partial) as handle:
                    handle.truncate(file.size)
            yield file

    def _find_progress(self) -> None:
        """What stopped work of the same mark has left; a link in its place is taken away."""
        clear_links(self.partial)
        try:
            told = json.loads(self.progress.read_text("utf-8"))
            if told["mark"] == self.mark and self.partial.stat().st_size >= told["size"]:
                self.rows, self.size = int(told["rows"]), int(told["size"])
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            pass  # nothing to go on from

    @property
    def partial(self) -> Path:
        """What is there so far."""
        return partial_of(self.out)

    @property
    def progress(self) -> Path:
        """How much of it counts."""
        return progress_of(self.out)

    def append(self, records: Sequence[dict[str, Any]]) -> None:
        """Write a chunk; once this returns, it is not done again."""
        text = as_text(records, self.out.suffix.lower(), heading=self.rows == 0)
        with open_own(self.partial) as handle:
            handle.seek(self.size)
            handle.write(text.encode())
            handle.flush()
            os.fsync(handle.fileno())
            self.size = handle.tell()
        self.rows += len(records)
        write_json(self.progress, {"mark": self.mark, "rows": self.rows, "size": self.size})

    def finish(self) -> None:
        """Put the whole file in its place."""
        if self.out.suffix.lower() == ".parquet":
            _to_parquet(self.partial, self.out)
            self.partial.unlink()
        else:
            move(self.partial, self.out)
        self.progress.unlink(missing_ok=True)


def as_text(records: Sequence[dict[str, Any]], ending: str, *, heading: bool) -> str:
    """Records as CSV or TSV, with the heading where asked, or as lines of JSON.

    No cell of CSV or TSV is a spreadsheet's formula.
    """
    if ending not in (".csv", ".tsv"):
        return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    separator = "\t" if ending == ".tsv" else ","
    lines = [separated_line(row.values(), separator) for row in records]
    return "".join([separated_line(records[0], separator), *lines] if heading else lines)


def plain_cell(value: object) -> str | int | float | bool | None:
    """A cell as every format can hold it: lists and objects as JSON, dates and the like as text."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, int):
        return value if abs(value) < 1 << 63 else str(value)
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def _to_parquet(lines: Path, out: Path) -> None:
    """Lines of JSON as Parquet, some thousands of rows at a time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = _schema(lines)
    texts = {field.name for field in schema if field.type == pa.string()}
    half = out.with_name(f".{out.name}.half")
    clear_links(half)
    try:
        with open_own(half) as file:
            file.truncate(0)
            with pq.ParquetWriter(file, schema) as writer:
                for group in _groups(lines):
                    rows = [
                        {
                            name: str(cell) if name in texts and cell is not None else cell
                            for name, cell in row.items()
                        }
                        for row in group
                    ]
                    writer.write_table(pa.Table.from_pylist(rows, schema=schema))
        move(half, out)
    finally:
        half.unlink(missing_ok=True)


def _schema(lines: Path) -> pa.Schema:
    """One type a column: what all its cells are, else text."""
    import pyarrow as pa

    kinds: dict[str, set[type]] = {}
    for group in _groups(lines):
        for row in group:
            for name, cell in row.items():
                kinds.setdefault(name, set()).update([] if cell is None else [type(cell)])
    types = {
        frozenset({bool}): pa.bool_(),
        frozenset({int}): pa.int64(),
        frozenset({float}): pa.float64(),
        frozenset({int, float}): pa.float64(),
    }
    return pa.schema([(n, types.get(frozenset(kind), pa.string())) for n, kind in kinds.items()])


def _groups(lines: Path) -> Iterator[list[dict[str, Any]]]:
    with lines.open(encoding="utf-8") as file:
        group = []
        for line in file:
            group.append(json.loads(line))
            if len(group) == _GROUP:
                yield group
                group = []
        if group:
            yield group
