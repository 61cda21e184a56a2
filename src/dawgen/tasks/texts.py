"""Texts and labels as Python callers hold them: lists, arrays, Series and data frames."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from dawgen.errors import UserError
from dawgen.tasks.load import broken_text

_SHAPES = ("one text, or a pair of texts, as all others", "one text", "a pair of texts")
_CLOSED = (str, bytes, Mapping, set, frozenset)  # iterable, but no rows in an order


def as_texts(values: Any, *, width: int = 0, columns: Sequence[str] = ()) -> list[tuple[str, ...]]:
    """N rows of one text or of two, without the white space around them.

    Args:
        values: texts, or pairs of texts: a list or any other iterable, an array, a Series, or a
            data frame of one column or two.
        width: texts per row, 1 or 2; without, as many as in the first row.
        columns: which of a data frame's columns are read, where it has them all.

    Raises:
        UserError: something else, or a text that is missing or empty; names the row.
    """
    names = column_names(values)
    if names is None:
        rows = [_parts(value) for value in _cells(values, "Texts")]
    else:
        chosen = list(columns) if columns and set(columns) <= set(names) else names
        if len(chosen) not in (1, 2) or len(set(names)) < len(names):
            raise UserError(
                f"The data frame has the columns {', '.join(map(str, names)) or '(none)'}; give "
                "one column of texts, or two columns of pairs of texts."
            )
        rows = list(zip(*(_cells(values[name], "Texts") for name in chosen), strict=True))
    width = width or (len(rows[0]) if rows and len(rows[0]) == 2 else 0)
    return [_checked(row, number, width) for number, row in enumerate(rows, start=1)]


def as_labels(values: Any, count: int) -> npt.NDArray[Any]:
    """Labels [N] of one kind: all texts, all numbers or all truth values.

    Args:
        values: a list, an array, a Series, or a data frame of one column.
        count: how many rows there are.

    Raises:
        UserError: another number of labels, a label that is missing or of another kind.
    """
    names = column_names(values)
    if names is not None:
        if len(names) != 1:
            raise UserError(f"The labels are one column, but this data frame has {len(names)}.")
        values = values[names[0]]
    column = _cells(values, "Labels")
    labels = [v[0] if isinstance(v, list | tuple) and len(v) == 1 else v for v in column]
    if len(labels) != count:
        raise UserError(f"There are {count} rows, but {len(labels)} labels.")
    kinds = {_kind(label, number) for number, label in enumerate(labels, start=1)}
    if len(kinds) > 1:
        raise UserError(
            f"The labels are of several kinds ({' and '.join(sorted(kinds))}); make them all "
            "texts, such as [str(label) for label in labels]."
        )
    kept = isinstance(values, np.ndarray) and values.dtype != object  # with its own kind of number
    return np.asarray(values if kept else labels).reshape(-1)


def column_names(values: Any) -> list[Any] | None:
    """Names of a data frame's columns; None of what is no data frame."""
    names = getattr(values, "column_names", getattr(values, "columns", None))
    return None if names is None or not hasattr(values, "__getitem__") else list(names)


def _cells(values: Any, what: str) -> list[Any]:
    """The entries of a column, as plain objects of Python where it can say them."""
    for method in ("to_pylist", "to_list", "tolist"):  # of Arrow, of Polars and pandas, of NumPy
        if callable(given := getattr(values, method, None)):
            values = given()
            break
    if isinstance(values, str | bytes):
        raise UserError(f"{what} come in a list, also a single one: write [x] instead of x.")
    if isinstance(values, _CLOSED) or not isinstance(values, Iterable):
        raise UserError(
            f"{what} come as a list, an array, a Series or a data frame; this is of type "
            f"{type(values).__name__}."
        )
    return list(values)


def _parts(value: Any) -> tuple[Any, ...]:
    """A row's texts; what is no list of texts counts as one, and is judged as such."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def _checked(row: tuple[Any, ...], number: int, width: int) -> tuple[str, ...]:
    for text in row:
        if _is_missing(text):
            raise UserError(
                f"row {number}: the text is missing ({text}); fill it in or leave the row out."
            )
    if len(row) != (width or 1) or not all(isinstance(text, str) for text in row):
        raise UserError(f"row {number}: a row is {_SHAPES[width]}.")
    texts = tuple(text.strip() for text in row)
    for text in texts:
        if not text:
            raise UserError(f"row {number}: the text is empty; fill it in or leave the row out.")
        if broken := broken_text(text):
            raise UserError(f"row {number}: the text holds {broken}; take it out.")
    return texts


def _kind(label: Any, number: int) -> str:
    if _is_missing(label):
        raise UserError(
            f"row {number}: the label is missing ({label}); fill it in or leave the row out."
        )
    if isinstance(label, str) and not label.strip():
        raise UserError(f"row {number}: the label is empty; fill it in or leave the row out.")
    for kind, name in (
        (str, "texts"),
        ((bool, np.bool_), "truth values"),
        ((int, float, np.integer, np.floating), "numbers"),
    ):
        if isinstance(label, kind):
            return name
    raise UserError(
        f"row {number}: the label is of type {type(label).__name__}; a label is a text, a number "
        "or a truth value."
    )


def _is_missing(value: Any) -> bool:
    """True of None, NaN of any kind of number, NaT and pandas.NA."""
    try:
        return value is None or bool(value != value)
    except (TypeError, ValueError):  # pandas.NA has no truth value, nor has an array
        return type(value).__name__ == "NAType"
