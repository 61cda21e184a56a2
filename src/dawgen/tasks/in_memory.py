"""Labelled rows that a Python caller has in memory, as a table."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from dawgen.errors import UserError
from dawgen.tasks.bounds import check_rows
from dawgen.tasks.files import Table
from dawgen.tasks.row import Row
from dawgen.tasks.texts import column_names, is_missing

_WANTED = (
    "rows in memory are a list of dictionaries or of (text, label) tuples, a data frame or a "
    "datasets.Dataset"
)
_TO_RECORDS = ("to_dicts", "to_pylist", "to_list", "to_dict")
"""Of Polars, of Arrow, of datasets, of pandas."""
_NAMES = {2: ("text", "label"), 3: ("text1", "text2", "label")}
"""Columns of tuples where no card names them."""


def in_memory(source: object) -> bool:
    """Whether a source of rows is the rows themselves, not the name of a file or a data set."""
    return not isinstance(source, str | os.PathLike)


def as_table(source: Any, name: str, columns: Sequence[str] = ()) -> Table:
    """Rows in memory as a table of raw cells.

    Args:
        source: a list or another iterable of dictionaries, of :class:`Row` or of tuples; a
            dictionary of columns; a data frame; a ``datasets.Dataset``, whose class names are kept.
        name: name of the rows in messages, such as ``train``.
        columns: what the cells of a tuple are, in order; text and label, or two texts and label,
            by default.

    Raises:
        UserError: something else, or no rows; names the row.
    """
    if isinstance(source, Mapping):
        source = _columns_to_records(source, name)
    names = column_names(source)
    if names is None:
        records = _records(source, name, columns)
        names = list(dict.fromkeys(key for record in records for key in record))
    else:
        records = _frame_records(source, name, names)
    check_rows(name, len(records))
    if not records:
        raise UserError(f"{name} has no rows.")
    plain = [{str(key): _plain(cell) for key, cell in record.items()} for record in records]
    return Table(name, [str(column) for column in names], plain, _class_names(source))


def _columns_to_records(columns: Mapping[Any, Any], name: str) -> list[dict[Any, Any]]:
    if any(column_names(part) for part in columns.values()):
        parts = ", ".join(map(repr, columns))
        raise UserError(f"{name} has several splits ({parts}); pass one of them.")
    cells = {key: list(values) for key, values in columns.items() if _is_column(values)}
    if len(cells) < len(columns) or len({len(values) for values in cells.values()}) > 1:
        raise UserError(f"{name} is a dictionary, but not of columns of one length; {_WANTED}.")
    return [dict(zip(cells, row, strict=True)) for row in zip(*cells.values(), strict=True)]


def _is_column(values: object) -> bool:
    return isinstance(values, Iterable) and not isinstance(values, str | bytes)


def _frame_records(source: Any, name: str, names: Sequence[Any]) -> list[dict[Any, Any]]:
    if len(set(names)) < len(names):
        raise UserError(f"{name} has two columns of the same name; rename one of them.")
    method = next((m for m in _TO_RECORDS if callable(getattr(source, m, None))), None)
    if method is None:
        raise UserError(f"{name} is of type {type(source).__name__}; {_WANTED}.")
    call = getattr(source, method)
    return list(call("records") if method == "to_dict" else call())


def _records(source: Any, name: str, columns: Sequence[str]) -> list[dict[Any, Any]]:
    if not _is_column(source):
        raise UserError(f"{name} is of type {type(source).__name__}; {_WANTED}.")
    return [
        _record(row, f"{name}, row {number}", columns) for number, row in enumerate(source, start=1)
    ]


def _record(row: Any, where: str, columns: Sequence[str]) -> dict[Any, Any]:
    if isinstance(row, Mapping):
        return dict(row)
    if isinstance(row, Row):
        row = (row.text1, *([] if row.text2 is None else [row.text2]), row.label)
    if isinstance(row, np.ndarray):
        row = row.tolist()
    names = columns or (_NAMES.get(len(row), ()) if isinstance(row, list | tuple) else ())
    if not isinstance(row, list | tuple) or len(row) != len(names):
        wanted = ", ".join(names or _NAMES[2])
        raise UserError(f"{where}: a row must be a dictionary or a tuple of ({wanted}).")
    return dict(zip(names, row, strict=True))


def _plain(cell: Any) -> Any:
    """A cell as a file would hold it: NumPy's numbers as Python's, and what is missing as None."""
    if isinstance(cell, np.generic):
        cell = cell.item()
    return None if is_missing(cell) else cell


def _class_names(source: Any) -> dict[str, list[str]]:
    """Names of the class ids, for the columns of a ``datasets.Dataset`` that have them."""
    features = getattr(source, "features", None)
    if not isinstance(features, Mapping):
        return {}
    named = {column: getattr(feature, "names", None) for column, feature in features.items()}
    return {column: list(names) for column, names in named.items() if names}
