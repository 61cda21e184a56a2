"""Local data files as tables of raw cells, or as records one after another."""

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

FORMATS = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
}

_PACKED = (".gz", ".zip", ".bz2", ".xz", ".zst", ".7z", ".tar")
_LONGEST_HEADING = 1 << 20
_LONGEST_LIST = 512 << 20
"""Bytes of a JSON list, which is parsed whole."""


@dataclass
class Table:
    """Records of a file or data set, before any card was laid over them."""

    name: str
    columns: list[str]
    records: list[dict[str, Any]]
    class_names: dict[str, list[str]] = field(default_factory=dict)
    """Names of the class ids, for columns that carry them."""
    from_hub: bool = False


def read_file(name: str) -> Table:
    """The whole table; the ending of the name tells the format.

    Raises:
        UserError: no such file, an unknown ending, an empty, a broken or a vast file.
    """
    path, kind = _look(name)
    check_size(name, path.stat().st_size)
    names: dict[str, list[str]] = {}
    if kind == "parquet":
        check_rows(name, parquet_rows(path))
        names = class_names(path)
    records = loaded(name, stream_file(name))
    columns = list(dict.fromkeys(key for record in records for key in record))
    return Table(name, columns, records, names)


def stream_file(name: str) -> Records:
    """The records of a file one after another; raises as :func:`read_file`, when it gets there."""
    path, kind = _look(name)
    return _readable(name, _READERS[kind](path))


def _look(name: str) -> tuple[Path, str]:
    """The file and its format."""
    if not name.strip():
        raise UserError("An empty name was given for a file of rows; look at the command again.")
    path = Path(name)
    if path.is_dir():
        raise UserError(f"{name} is a folder; give a file (.jsonl, .json, .csv, .tsv or .parquet).")
    if not path.is_file():
        raise UserError(f"There is no file {name}.")
    kind = FORMATS.get(path.suffix.lower())
    if path.suffix.lower() in _PACKED:
        raise UserError(f"{name} is packed; unpack it and name the file that was in it.")
    if kind is None:
        raise UserError(
            f"{name}: the ending {path.suffix!r} tells no format; "
            f"it must be .jsonl, .json, .csv, .tsv or .parquet."
        )
    if path.stat().st_size == 0:
        raise UserError(f"{name} is empty.")
    return path, kind


def _readable(name: str, records: Records) -> Records:
    """What Python says of a file that it cannot read, as one sentence."""
    rows = 0
    try:
        if Path(name).suffix.lower() != ".parquet":
            refuse_packed(name, Path(name))
        for record in records:
            yield record
            rows += 1
    except UnicodeDecodeError:
        raise UserError(f"{name} is not text in UTF-8; save it as UTF-8 and try again.") from None
    except csv.Error as error:
        raise UserError(
            f"{name}, behind row {rows}: not a readable table ({error}); look for a double "
            "quote left open."
        ) from None
    except OSError as error:
        raise UserError(f"{name} cannot be read: {error.strerror or error}.") from None
    if rows == 0:
        raise UserError(f"{name} has no rows.")


def refuse_packed(name: str, path: Path) -> None:
    """A packed file or one of 16-bit characters is told as such, not as broken text."""
    with path.open("rb") as file:
        start = file.read(6)
    if start.startswith((b"\x1f\x8b", b"PK\x03\x04", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")):
        raise UserError(f"{name} is packed; unpack it and name the file that was in it.")
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise UserError(f"{name} is not text in UTF-8 but in UTF-16; save it as UTF-8.")
    with path.open("rb") as file:
        if b"\x00" in file.readline(_LONGEST_HEADING):
            raise UserError(f"{name} holds a null character in its first line; take it out.")


def _json_records(path: Path) -> Records:
    """One list of objects, or an object a line."""
    if not is_json_list(path):
        yield from _jsonl_records(path)
        return
    check_size(str(path), path.stat().st_size, _LONGEST_LIST, "save it as .jsonl, an object a line")
    records = _parse(path.read_text("utf-8-sig"), str(path), "the file must be one list of objects")
    for number, record in enumerate(records, start=1):
        if not isinstance(record, dict):
            raise UserError(f"{path}, row {number}: each row must be a JSON object {{...}}.")
        yield record


def is_json_list(path: Path) -> bool:
    """Whether a `.json` file is one list, as FewGen's rows are, not one object a line."""
    if path.suffix.lower() != ".json":
        return False
    with path.open("rb") as file:
        return file.read(64).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"[")


def _jsonl_records(path: Path) -> Records:
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(lines_of(str(path), file), start=1):
            if line.strip():
                yield parse_line(line.rstrip("\n"), f"{path}, line {number}")


def parse_line(text: str, where: str) -> dict[str, Any]:
    """A line of JSON as the record it is; raises UserError, saying where, for anything else."""
    record = _parse(text, where, "each line must be one object")
    if not isinstance(record, dict):
        raise UserError(
            f"{where}: each line must be one JSON object {{...}}; call a file that is one list of "
            "them .json."
        )
    return record


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
    "jsonl": _jsonl_records,
    "json": _json_records,
    "csv": csv_records,
    "tsv": tsv_records,
    "parquet": parquet_records,
}
