"""Local data files as tables of raw cells, streamed through ``datasets``."""

from __future__ import annotations

import csv
import glob
import json
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dawgen.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa

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
MOST_BYTES = 4 << 30
"""Of a table once it is unpacked: 4 GiB is far more than few shots and their pool."""


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
        UserError: no such file, an unknown ending, an empty or a broken file.
    """
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
    size = path.stat().st_size
    if size == 0:
        raise UserError(f"{name} is empty.")
    _check_size(name, size)
    read = {
        "jsonl": _read_jsonl,
        "json": _read_json,
        "csv": _read_csv,
        "tsv": _read_tsv,
        "parquet": _read_parquet,
    }
    try:
        if kind != "parquet":
            refuse_packed(name, path)
        table = read[kind](name, path)
    except UnicodeDecodeError:
        raise UserError(f"{name} is not text in UTF-8; save it as UTF-8 and try again.") from None
    except OSError as error:
        raise UserError(f"{name} cannot be read: {error.strerror or error}.") from None
    if not table.records:
        raise UserError(f"{name} has no rows.")
    return table


def _check_size(name: str, size: int) -> None:
    if size > MOST_BYTES:
        raise UserError(
            f"{name} holds {size / (1 << 30):.0f} GiB, more than the {MOST_BYTES >> 30} GiB that "
            f"are read; give a part of its rows."
        )


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


@contextmanager
def _quiet() -> Iterator[None]:
    """``datasets`` reports a broken file to the log before it raises; we report it once."""
    import datasets

    level = datasets.logging.get_verbosity()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)
    try:
        yield
    finally:
        datasets.logging.set_verbosity(level)


def _stream(builder: str, path: Path, **options: Any) -> list[dict[str, Any]]:
    """The file's rows, streamed; only a lock file touches the disk."""
    import datasets

    pattern = glob.escape(str(path.resolve()))
    with tempfile.TemporaryDirectory() as scratch, _quiet():
        data = datasets.load_dataset(
            builder,
            data_files=pattern,
            split="train",
            streaming=True,
            cache_dir=scratch,
            **options,
        )
        return list(data)


def _read_json(name: str, path: Path) -> Table:
    """One list of objects, or an object a line."""
    if not is_json_list(path):
        return _read_jsonl(name, path)
    records = _parse(path.read_text("utf-8-sig"), name, "the file must be one list of objects")
    for number, record in enumerate(records, start=1):
        if not isinstance(record, dict):
            raise UserError(f"{name}, row {number}: each row must be a JSON object {{...}}.")
    return Table(name, _columns(records), records)


def is_json_list(path: Path) -> bool:
    """Whether a `.json` file is one list, as FewGen's rows are, not one object a line."""
    if path.suffix.lower() != ".json":
        return False
    with path.open("rb") as file:
        return file.read(64).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"[")


def _read_jsonl(name: str, path: Path) -> Table:
    lines = _stream("text", path, encoding="utf-8-sig")
    records = [
        parse_line(line["text"], f"{name}, line {number}")
        for number, line in enumerate(lines, start=1)
        if line["text"].strip()
    ]
    return Table(name, _columns(records), records)


def _columns(records: list[dict[str, Any]]) -> list[str]:
    """Every key that a record has, in the order they are met."""
    return list(dict.fromkeys(key for record in records for key in record))


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


def _read_csv(name: str, path: Path) -> Table:
    separator = separator_of(path)
    header = _heading(name, path, delimiter=separator)
    records = _read_separated(name, path, header, sep=separator)
    return Table(name, list(records[0]) if records else header, records)


def separator_of(path: Path) -> str:
    """What separates a CSV file's cells: a comma, or what its heading has instead of any.

    Spreadsheets write semicolons where the comma is for decimals, and tabs into any file.
    """
    with path.open(encoding="utf-8-sig", newline="") as file:
        lines = iter(lambda: file.readline(_LONGEST_HEADING), "")
        heading = next((line for line in lines if line.strip()), "")
    if "," in heading:
        return ","
    return next((mark for mark in (";", "\t") if mark in heading), ",")


def _read_tsv(name: str, path: Path) -> Table:
    """Tab-separated text: a quote is a plain character, unless it encloses a whole cell.

    GLUE's files hold lone quotes that would swallow the rows up to the next one.
    """
    header = _heading(name, path, delimiter="\t", quoting=csv.QUOTE_NONE)
    records = _read_separated(name, path, header, sep="\t", quoting=csv.QUOTE_NONE)
    records = [{unquote(k): unquote(v) for k, v in record.items()} for record in records]
    return Table(name, list(records[0]) if records else header, records)


def _heading(name: str, path: Path, **options: Any) -> list[str]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        try:
            return next((row for row in csv.reader(file, **options) if not is_blank(row)), [])
        except csv.Error as error:
            raise UserError(f"{name} has no readable heading ({error}).") from None


def titles(name: str, heading: Sequence[str]) -> list[str]:
    """The columns of a heading; pandas' own index, saved without a name, has an empty one."""
    found = [title or f"Unnamed: {i}" for i, title in enumerate(heading)]
    twice = next((title for title in found if found.count(title) > 1), None)
    if twice is not None:
        raise UserError(f"{name} has two columns called {twice!r}; rename one.")
    return found


def is_blank(row: Sequence[str]) -> bool:
    """Whether a separated file's line holds nothing; such lines are no rows."""
    return not row or (len(row) == 1 and not row[0].strip())


def unquote(cell: str) -> str:
    """A tab-separated cell without the quotes that enclose the whole of it."""
    inner = cell[1:-1].replace('""', "")
    enclosed = len(cell) > 1 and cell[0] == cell[-1] == '"' and '"' not in inner
    return cell[1:-1].replace('""', '"') if enclosed else cell


def _read_separated(
    name: str, path: Path, header: list[str], **options: Any
) -> list[dict[str, Any]]:
    """Rows of a separated file, every cell as the text it is."""
    import datasets
    import pandas as pd

    header = titles(name, header)
    features = datasets.Features({title: datasets.Value("string") for title in header})
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            records = _stream(
                "csv",
                path,
                features=features,
                encoding="utf-8-sig",
                na_filter=False,
                keep_default_na=False,
                index_col=False,
                **options,
            )
    except (pd.errors.EmptyDataError, KeyError):  # pandas takes another line for it, or none
        raise UserError(f"{name} has no heading; its first line must name the columns.") from None
    except (pd.errors.ParserError, pd.errors.ParserWarning) as error:
        raise UserError(_explain_separated(name, path, len(header), error, **options)) from None
    return records


def _explain_separated(
    name: str, path: Path, width: int, error: Exception, sep: str, quoting: int = csv.QUOTE_MINIMAL
) -> str:
    with path.open(encoding="utf-8-sig", newline="") as file:
        cells = csv.reader(file, delimiter=sep, quoting=quoting)  # type: ignore[arg-type]
        try:
            filled = [row for row in cells if row]
        except csv.Error:
            filled = []
    for number, row in enumerate(filled[1:], start=1):
        if len(row) > width:
            return (
                f"{name}, row {number}: {len(row)} cells where the heading has {width}; "
                f"put texts that hold a separator in double quotes."
            )
    problem = str(error).strip().splitlines()[-1].rstrip(".")
    return f"{name} cannot be read as a table ({problem}); look for a double quote left open."


@contextmanager
def readable_parquet(name: str) -> Iterator[None]:
    """What Arrow says of a file that it cannot read, as one sentence."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        problem = str(error).splitlines()[0].rstrip(".")
        raise UserError(f"{name} is not a readable Parquet file ({problem}).") from None


def _read_parquet(name: str, path: Path) -> Table:
    import pyarrow.parquet as pq

    with readable_parquet(name), pq.ParquetFile(path) as file:
        groups = range(file.metadata.num_row_groups)
        _check_size(name, sum(file.metadata.row_group(i).total_byte_size for i in groups))
        schema, records = file.schema_arrow, file.read().to_pylist()
    return Table(name, list(schema.names), records, _class_names(schema))


def _class_names(schema: pa.Schema) -> dict[str, list[str]]:
    """Names of class ids, of the columns that ``datasets`` wrote with them."""
    import datasets
    import pyarrow as pa

    found = {}
    for column in schema:
        try:
            one = pa.schema([column], schema.metadata)
            feature = datasets.Features.from_arrow_schema(one)[column.name]
        except (ValueError, KeyError, TypeError):  # a type that it does not know, foreign metadata
            continue
        if isinstance(feature, datasets.ClassLabel):
            found[column.name] = list(feature.names)
    return found
