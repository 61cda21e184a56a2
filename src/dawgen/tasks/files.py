"""Local data files as tables of raw cells, or as records one by one."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dawgen.errors import UserError
from dawgen.tasks.bounds import check_rows, check_size, lines_of, loaded
from dawgen.tasks.parquet import class_names, parquet_records, parquet_rows
from dawgen.tasks.separated import csv_records, tsv_records

Records = Iterator[dict[str, Any]]

_PACKED = (".gz", ".zip", ".bz2", ".xz", ".zst", ".7z", ".tar")
_PACKED_STARTS = (b"\x1f\x8b", b"PK\x03\x04", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")
_LONGEST_HEADING = 1 << 20
_LONGEST_LIST = 512 << 20
"""Bytes of a JSON list, which is parsed whole."""


@dataclass
class Table:
    """Records of a file or data set, independent of any card."""

    name: str
    columns: list[str]
    records: list[dict[str, Any]]
    class_names: dict[str, list[str]] = field(default_factory=dict)
    """Names of the class ids, for the columns that have them."""
    from_hub: bool = False


def read_file(name: str) -> Table:
    """The whole table; its format follows from the file's ending.

    Raises:
        UserError: no such file, an unknown ending, an empty, a broken or a too large file.
    """
    path, _ = _look(name)
    check_size(name, path.stat().st_size)
    names: dict[str, list[str]] = {}
    if path.suffix.lower() == ".parquet":
        check_rows(name, parquet_rows(path))
        names = class_names(path)
    records = loaded(name, stream_file(name))
    columns = list(dict.fromkeys(key for record in records for key in record))
    return Table(name, columns, records, names)


def stream_file(name: str) -> Records:
    """The records of a file one by one; raises as :func:`read_file`, when the error is reached."""
    path, reader = _look(name)
    rows = 0
    try:
        if reader is not parquet_records:
            _check_start(name, path)
        for record in reader(path):
            yield record
            rows += 1
    except UnicodeDecodeError:
        raise UserError(f"{name} is not text in UTF-8; save it as UTF-8 and try again.") from None
    except csv.Error as error:
        raise UserError(
            f"{name}, after row {rows}: not a readable table ({error}); look for a missing double "
            "quote."
        ) from None
    except OSError as error:
        raise UserError(f"{name} cannot be read: {error.strerror or error}.") from None
    if rows == 0:
        raise UserError(f"{name} has no rows.")


def _look(name: str) -> tuple[Path, Callable[[Path], Records]]:
    """The file and the reader of its format."""
    if not name.strip():
        raise UserError("The name of a file of rows is empty; check the command.")
    path = Path(name)
    ending = path.suffix.lower()
    if path.is_dir():
        raise UserError(f"{name} is a folder; name a file (.jsonl, .json, .csv, .tsv or .parquet).")
    if not path.is_file():
        raise UserError(f"There is no file {name}.")
    if ending in _PACKED:
        raise UserError(f"{name} is compressed; decompress it and name the resulting file.")
    if ending not in _READERS:
        raise UserError(
            f"{name}: the ending {path.suffix!r} is unknown; "
            f"it must be .jsonl, .json, .csv, .tsv or .parquet."
        )
    if path.stat().st_size == 0:
        raise UserError(f"{name} is empty.")
    return path, _READERS[ending]


def _check_start(name: str, path: Path) -> None:
    """Raise UserError for a compressed file and for text that is not UTF-8."""
    with path.open("rb") as file:
        heading = file.readline(_LONGEST_HEADING)
    if heading.startswith(_PACKED_STARTS):
        raise UserError(f"{name} is compressed; decompress it and name the resulting file.")
    if heading.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise UserError(f"{name} is not text in UTF-8 but in UTF-16; save it as UTF-8.")
    if b"\x00" in heading:
        raise UserError(f"{name} has a null character in its first line; remove it.")


def _json_records(path: Path) -> Records:
    """One list of objects, as FewGen's rows are, or one object per line."""
    with path.open("rb") as file:
        is_list = file.read(64).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"[")
    if not is_list:
        yield from _jsonl_records(path)
        return
    check_size(
        str(path), path.stat().st_size, _LONGEST_LIST, "save it as .jsonl, one object per line"
    )
    records = _parse(path.read_text("utf-8-sig"), str(path), "the file must be one list of objects")
    for number, record in enumerate(records, start=1):
        if not isinstance(record, dict):
            raise UserError(f"{path}, row {number}: each row must be a JSON object {{...}}.")
        yield record


def _jsonl_records(path: Path) -> Records:
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(lines_of(str(path), file), start=1):
            if not line.strip():
                continue
            where = f"{path}, line {number}"
            record = _parse(line.rstrip("\n"), where, "each line must be one object")
            if not isinstance(record, dict):
                raise UserError(
                    f"{where}: each line must be one JSON object {{...}}; name a file with one "
                    "list of them .json."
                )
            yield record


def _parse(text: str, where: str, wanted: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, " if error.lineno > 1 else ""
        raise UserError(
            f"{where}: this is not JSON ({error.msg}, {place}column {error.colno}); {wanted}."
        ) from None
    except (ValueError, RecursionError):
        raise UserError(
            f"{where}: a number is too long or the nesting too deep; {wanted} of texts."
        ) from None


_READERS: dict[str, Callable[[Path], Records]] = {
    ".jsonl": _jsonl_records,
    ".ndjson": _jsonl_records,
    ".json": _json_records,
    ".csv": csv_records,
    ".tsv": tsv_records,
    ".parquet": parquet_records,
}
