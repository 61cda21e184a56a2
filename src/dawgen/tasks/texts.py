"""Texts and labels from Python callers: lists, arrays, Series and data frames."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from dawgen.errors import UserError

_SHAPES = ("one text, or a pair of texts, as all others", "one text", "a pair of texts")
_CLOSED = (str, bytes, Mapping, set, frozenset)  # iterable, but no rows in an order


def as_texts(values: Any, *, width: int = 0, columns: Sequence[str] = ()) -> list[tuple[str, ...]]:
    """N rows of one or two texts, without white space around them.

    Args:
        values: texts or pairs of texts: a list or another iterable, an array, a Series, or a data
            frame of one or two columns.
        width: texts per row, 1 or 2; by default as many as in the first row.
        columns: columns of a data frame to read, if it has all of them.

    Raises:
        UserError: something else, or a missing or empty text; names the row.
    """
    names = column_names(values)
    if names is None:
        rows = [_parts(value) for value in _cells(values, "Texts")]
    else:
        wanted = list(columns) if columns and set(columns) <= set(names) else names
        if len(wanted) not in (1, 2) or len(set(names)) < len(names):
            raise UserError(
                f"The data frame has the columns {', '.join(map(str, names)) or '(none)'}; pass "
                "one column of texts, or two columns of pairs of texts."
            )
        rows = list(zip(*(_cells(values[name], "Texts") for name in wanted), strict=True))
    width = width or (len(rows[0]) if rows and len(rows[0]) == 2 else 0)
    return [_checked(row, number, width) for number, row in enumerate(rows, start=1)]


def as_labels(values: Any, count: int) -> npt.NDArray[Any]:
    """Labels [N], all of them strings, numbers or booleans.

    Args:
        values: a list, an array, a Series, or a data frame of one column.
        count: number of rows.

    Raises:
        UserError: another number of labels, or a label that is missing or of another kind.
    """
    names = column_names(values)
    if names is not None:
        if len(names) != 1:
            raise UserError(f"The labels must be one column, but this data frame has {len(names)}.")
        values = values[names[0]]
    column = _cells(values, "Labels")
    labels = [v[0] if isinstance(v, list | tuple) and len(v) == 1 else v for v in column]
    if len(labels) != count:
        raise UserError(f"There are {count} rows, but {len(labels)} labels.")
    kinds = {_kind(label, number) for number, label in enumerate(labels, start=1)}
    if len(kinds) > 1:
        raise UserError(
            f"The labels are of several kinds ({' and '.join(sorted(kinds))}); convert them, "
            "such as with [str(label) for label in labels]."
        )
    typed = isinstance(values, np.ndarray) and values.dtype != object
    return np.asarray(values if typed else labels).reshape(-1)


def column_names(values: Any) -> list[Any] | None:
    """Names of a data frame's columns; None if it is no data frame."""
    names = getattr(values, "column_names", getattr(values, "columns", None))
    return None if names is None or not hasattr(values, "__getitem__") else list(names)


def _cells(values: Any, what: str) -> list[Any]:
    """The entries of a column, as Python objects if possible."""
    for method in ("to_pylist", "to_list", "tolist"):  # of Arrow, of Polars and pandas, of NumPy
        if callable(getattr(values, method, None)):
            values = getattr(values, method)()
            break
    if isinstance(values, str | bytes):
        raise UserError(f"{what} must be a list, even a single one: pass [x] instead of x.")
    if isinstance(values, _CLOSED) or not isinstance(values, Iterable):
        raise UserError(
            f"{what} must be a list, an array, a Series or a data frame, not of type "
            f"{type(values).__name__}."
        )
    return list(values)


def _parts(value: Any) -> tuple[Any, ...]:
    """A row's texts; a value that is not a list counts as one text."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def _checked(row: tuple[Any, ...], number: int, width: int) -> tuple[str, ...]:
    for text in row:
        _check_present(text, "text", number)
    if len(row) != (width or 1) or not all(isinstance(text, str) for text in row):
        raise UserError(f"row {number}: a row must be {_SHAPES[width]}.")
    for text in row:
        if broken := broken_text(text):
            raise UserError(f"row {number}: the text holds {broken}; remove it.")
    return tuple(text.strip() for text in row)


def _check_present(value: Any, what: str, number: int) -> None:
    problem = "empty" if isinstance(value, str) and not value.strip() else None
    if is_missing(value):
        problem = f"missing ({value})"
    if problem:
        raise UserError(f"row {number}: the {what} is {problem}; fill it in or remove the row.")


def _kind(label: Any, number: int) -> str:
    _check_present(label, "label", number)
    for kind, name in (
        (str, "strings"),
        ((bool, np.bool_), "booleans"),
        ((int, float, np.integer, np.floating), "numbers"),
    ):
        if isinstance(label, kind):
            return name
    raise UserError(
        f"row {number}: the label is of type {type(label).__name__}; a label must be a string, a "
        "number or a boolean."
    )


def broken_text(text: str) -> str | None:
    """Names the characters that no tokenizer and no file format accepts, if there are any."""
    if "\x00" in text:
        return "a null character"
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return "half of a character (a lone surrogate)"
    return None


def is_missing(value: Any) -> bool:
    """True for None, NaN of any type of number, NaT and pandas.NA."""
    try:
        return value is None or bool(value != value)
    except (TypeError, ValueError):  # pandas.NA has no truth value, nor has an array
        return type(value).__name__ == "NAType"
