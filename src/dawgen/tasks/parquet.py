"""Parquet files as records, read in batches that cannot fill the memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dawgen.errors import UserError, first_line
from dawgen.tasks.bounds import check_size
from dawgen.tasks.separated import refuse_twice

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

_BATCH = 1024
MOST_OF_BATCH = 512 << 20
"""Bytes of a batch once it is decoded: half a MiB for each of its rows."""
_MOST_NESTED = 1 << 28


@contextmanager
def readable_parquet(name: str) -> Iterator[None]:
    """What Arrow says of a file that it cannot read, as one sentence."""
    import pyarrow as pa

    try:
        yield
    except pa.ArrowException as error:
        problem = first_line(error)
        raise UserError(f"{name} is not a readable Parquet file ({problem}).") from None


def parquet_rows(path: Path) -> int:
    """How many rows the file says it has."""
    import pyarrow.parquet as pq

    with readable_parquet(str(path)), pq.ParquetFile(path) as file:
        return int(file.metadata.num_rows)


def parquet_records(path: Path) -> Iterator[dict[str, Any]]:
    """The rows one after another.

    A dictionary holds a text once however many rows have it, so columns are read as
    dictionaries and their texts are counted before they are copied into the rows.
    """
    import pyarrow.parquet as pq

    name = str(path)
    with readable_parquet(name):
        with pq.ParquetFile(path) as file:
            refuse_twice(name, file.schema_arrow.names)
            dictionaries, batch_size = _how_to_read(name, file.metadata)
        with pq.ParquetFile(path, read_dictionary=dictionaries) as file:
            rows = 0
            for batch in file.iter_batches(batch_size=batch_size):
                where = f"{name}, rows {rows + 1} to {rows + batch.num_rows}"
                check_size(where, sum(decoded_bytes(c) for c in batch.columns), MOST_OF_BATCH)
                yield from batch.to_pylist()
                rows += batch.num_rows


def _how_to_read(name: str, metadata: pq.FileMetaData) -> tuple[list[str], int]:
    """The columns to read as dictionaries, and the rows to decode at once.

    Texts that share their beginnings, and long cells of a fixed length, cannot be counted before
    they are decoded; there a batch has as many rows as may all be as long as the column.
    """
    dictionaries = {}
    batch_size = _BATCH
    for group in range(metadata.num_row_groups):
        for place in range(metadata.num_columns):
            chunk = metadata.row_group(group).column(place)
            packed = any("DICTIONARY" in encoding for encoding in chunk.encodings)
            decimal = metadata.schema.column(place).logical_type.type == "DECIMAL"
            if packed and chunk.physical_type == "BYTE_ARRAY" and not decimal:
                dictionaries[chunk.path_in_schema] = True
            elif (packed and chunk.physical_type == "FIXED_LEN_BYTE_ARRAY") or (
                "DELTA_BYTE_ARRAY" in chunk.encodings
            ):
                longest = max(chunk.total_uncompressed_size, 1)
                batch_size = min(batch_size, max(MOST_OF_BATCH // longest, 1))
            if "." in chunk.path_in_schema and chunk.num_values > _MOST_NESTED:
                raise UserError(
                    f"{name}: column {chunk.path_in_schema!r} holds lists of {chunk.num_values:,} "
                    "values, too many to be read; leave the column out."
                )
    return list(dictionaries), batch_size


def decoded_bytes(column: pa.Array) -> int:
    """Of a column whose texts were copied out of its dictionary, nested ones too."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if pa.types.is_dictionary(kind) and _is_text(kind.value_type):
        lengths = pc.take(pc.binary_length(column.dictionary), column.indices)
        return int(pc.sum(pc.cast(lengths, pa.int64())).as_py() or 0)
    if pa.types.is_map(kind):
        return decoded_bytes(column.keys) + decoded_bytes(column.items)
    if pa.types.is_struct(kind):
        return sum(decoded_bytes(child) for child in column.flatten())
    if pa.types.is_nested(kind) and hasattr(column, "flatten"):
        return decoded_bytes(column.flatten())
    return int(column.nbytes)


def _is_text(kind: pa.DataType) -> bool:
    import pyarrow as pa

    kinds = (pa.string(), pa.large_string(), pa.binary(), pa.large_binary())
    return kind in kinds


def class_names(path: Path) -> dict[str, list[str]]:
    """Names of class ids, of the columns that ``datasets`` wrote with them."""
    import datasets
    import pyarrow as pa
    import pyarrow.parquet as pq

    with readable_parquet(str(path)):
        schema = pq.read_schema(path)
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
