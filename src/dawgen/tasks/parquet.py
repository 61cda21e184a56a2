"""Parquet files as records, read in batches of limited memory."""

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
"""Bytes of a decoded batch: half a MiB per row."""
_MOST_NESTED = 1 << 28


@contextmanager
def readable_parquet(name: str) -> Iterator[None]:
    """Turn Arrow's errors for a file into a UserError."""
    import pyarrow as pa

    try:
        yield
    except pa.ArrowException as error:
        problem = first_line(error)
        raise UserError(f"{name} is not a readable Parquet file ({problem}).") from None


def parquet_rows(path: Path) -> int:
    """The number of rows according to the file."""
    import pyarrow.parquet as pq

    with readable_parquet(str(path)), pq.ParquetFile(path) as file:
        return int(file.metadata.num_rows)


def parquet_records(path: Path) -> Iterator[dict[str, Any]]:
    """The rows one by one.

    A dictionary holds a text once, however many rows have it. So columns are read as dictionaries,
    and the size of their texts is checked before they are copied into the rows.
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
    """The columns to read as dictionaries, and the number of rows to decode at once.

    Texts that share their beginnings, and long cells of a fixed length, cannot be measured before
    they are decoded. Then a batch is so small that each of its rows may be as long as the column.
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
                    "values, too many to be read; remove the column."
                )
    return list(dictionaries), batch_size


def decoded_bytes(column: pa.Array) -> int:
    """Bytes of a column when all texts, also nested ones, are copied out of their dictionaries."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    texts = (pa.string(), pa.large_string(), pa.binary(), pa.large_binary())
    if pa.types.is_dictionary(kind) and kind.value_type in texts:
        lengths = pc.take(pc.binary_length(column.dictionary), column.indices)
        return int(pc.sum(pc.cast(lengths, pa.int64())).as_py() or 0)
    if pa.types.is_map(kind):
        return decoded_bytes(column.keys) + decoded_bytes(column.items)
    if pa.types.is_struct(kind):
        return sum(decoded_bytes(child) for child in column.flatten())
    if pa.types.is_nested(kind) and hasattr(column, "flatten"):
        return decoded_bytes(column.flatten())
    return int(column.nbytes)


def class_names(path: Path) -> dict[str, list[str]]:
    """Names of the class ids, for columns that ``datasets`` wrote with them."""
    import datasets
    import pyarrow as pa
    import pyarrow.parquet as pq

    with readable_parquet(str(path)):
        schema = pq.read_schema(path)
    names = {}
    for column in schema:
        try:
            one = pa.schema([column], schema.metadata)
            feature = datasets.Features.from_arrow_schema(one)[column.name]
        except (ValueError, KeyError, TypeError):  # an unknown type, or metadata of another writer
            continue
        if isinstance(feature, datasets.ClassLabel):
            names[column.name] = list(feature.names)
    return names
