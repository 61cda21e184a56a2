"""Synthetic rows on disk: Parquet shards, and reading other labelled rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from dawgen.errors import UserError
from dawgen.storage.atomic import whole_file
from dawgen.synthesis.rows import SyntheticRow
from dawgen.tasks import TaskCard, load_rows
from dawgen.tasks.bounds import loaded
from dawgen.tasks.in_memory import in_memory
from dawgen.tasks.labels import class_id
from dawgen.tasks.load import Source, is_hub
from dawgen.tasks.parquet import parquet_records

SCHEMA = pa.schema(
    [
        pa.field("text1", pa.string(), nullable=False),
        pa.field("text2", pa.string()),
        pa.field("label", pa.string(), nullable=False),
        pa.field("kept", pa.bool_(), nullable=False),
        pa.field("reason", pa.string()),
        pa.field("label_ratio", pa.float64()),
        pa.field("log_likelihood", pa.float64()),
        pa.field("first_sentence", pa.string(), nullable=False),
        pa.field("shard", pa.int32(), nullable=False),
        pa.field("seed", pa.int64(), nullable=False),
        pa.field("written_for", pa.string()),
        pa.field("reader_probability", pa.float64()),
    ]
)
"""Columns of a shard; text2 is null for single-sentence tasks."""
_LATER = ("written_for", "reader_probability")
"""Shards of earlier versions lack these."""
_NEEDED = [name for name in SCHEMA.names if name not in _LATER]


def shard_path(folder: Path, number: int) -> Path:
    """`shard-00000.parquet` and so on."""
    return folder / f"shard-{number:05d}.parquet"


def write_shard(folder: Path, number: int, rows: Sequence[SyntheticRow]) -> Path:
    """Write a whole shard, atomically; equal rows give equal bytes."""
    table = pa.Table.from_pylist(
        [{name: getattr(row, name) for name in SCHEMA.names} for row in rows], schema=SCHEMA
    )
    path = shard_path(folder, number)
    with whole_file(path) as file:
        pq.write_table(table, file, compression="zstd")
    return path


def read_shard(path: Path) -> list[SyntheticRow]:
    """The rows of one shard."""
    try:
        records = loaded(str(path), parquet_records(path))
        return [
            SyntheticRow(**{name: row[name] for name in _NEEDED} | {n: row.get(n) for n in _LATER})
            for row in records
        ]
    except (UserError, OSError, KeyError) as error:
        why = f"{path} has no column {error}" if isinstance(error, KeyError) else str(error)
        raise UserError(f"{why.rstrip('.')}; synthesise again to replace it.") from None


def load_synthetic(source: str | Path, card: TaskCard) -> list[SyntheticRow]:
    """Kept rows of a folder that dawgen wrote, or other labelled rows.

    Args:
        source: a folder with our shards (`synthetic/`) or one shard; else a JSONL, JSON, CSV, TSV
            or Parquet file with the card's columns, or a JSON file that is one list of rows,
            as FewGen's are. Labels may be names or class ids; ids count as the card's data
            source numbers them (`hub.label_names`), else in the order of `labels`. FewGen's
            MRPC and QQP files number as GLUE does, so "1" is `equivalent`.

    Returns:
        Rows that are kept. Foreign rows have no label ratio; their `first_sentence` says
        the file and row they come from.

    Raises:
        UserError: nothing there, no rows, a missing column, an unknown label.
    """
    return _read_kept(Path(source), card)


def load_foreign(source: Source, card: TaskCard) -> list[SyntheticRow]:
    """Other labelled rows, to be cleaned: as :func:`load_synthetic`, but empty texts are allowed.

    Also `hub:owner/name/config@split`, and rows in memory. A folder that dawgen wrote gives its
    kept rows, and `first_sentence` says the file and row that a row was in: `import:rows.json:12`.
    """
    if in_memory(source):
        name, rows = "memory", _read_foreign(source, "synthetic", card, allow_empty=True)
    else:
        rows = _read_kept(Path(source), card, allow_empty=True)
        name = str(source) if is_hub(str(source)) else Path(source).name
    return [
        replace(row, first_sentence=f"import:{name}:{number}", shard=0)
        for number, row in enumerate(rows, start=1)
    ]


def _read_kept(path: Path, card: TaskCard, *, allow_empty: bool = False) -> list[SyntheticRow]:
    if path.is_dir():
        shards = sorted(path.glob("shard-*.parquet"))
        if not shards:
            raise UserError(
                f"{path} holds no shard-00000.parquet; name a folder of synthetic rows."
            )
        ours = [shard for shard in shards if _is_ours(shard) is not False]  # damaged ones too
    else:
        shards = [path]
        ours = shards if path.suffix == ".parquet" and _is_ours(path) else []
    rows = []
    for file in shards:
        if file in ours:
            rows += read_shard(file)
        else:
            rows += _read_foreign(str(file), file.name, card, allow_empty)
    for number, row in enumerate(rows, start=1):
        if row.label not in card.labels:
            raise UserError(
                f"{path}, row {number}: {row.label!r} is no label of task {card.name!r}; "
                f"its labels are {', '.join(card.labels)}."
            )
        if card.is_pair and row.text2 is None:
            raise UserError(f"{path}, row {number}: task {card.name!r} needs a second text.")
    kept = [row for row in rows if row.kept]
    if not kept:
        raise UserError(f"{path} holds no kept row.")
    return kept


def _is_ours(path: Path) -> bool | None:
    """Whether a Parquet file has a shard's columns; None where it cannot be read."""
    try:
        return set(_NEEDED) <= set(pq.read_schema(path).names)
    except (pa.ArrowException, OSError):
        return None


def _read_foreign(
    source: Source, name: str, card: TaskCard, allow_empty: bool
) -> list[SyntheticRow]:
    split = name if in_memory(source) else "train"
    rows = load_rows(card, source, split=split, allow_empty=allow_empty)
    return [
        SyntheticRow(row.text1, row.text2, row.label, first_sentence=f"{name}:{number}")
        for number, row in enumerate(rows, start=1)
    ]


def label_name(value: str, card: TaskCard) -> str:
    """A label by its name, or by its class id as the card's data source counts (else the card)."""
    place = class_id(value)
    if value in card.labels or place is None:
        return value
    names = card.hub.label_names if card.hub else card.labels
    return names[place] if place < len(names) else value
