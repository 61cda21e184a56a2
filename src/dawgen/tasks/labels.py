"""Labels from the cells of a label column."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Sequence

from dawgen.errors import UserError, did_you_mean
from dawgen.tasks.card import LONGEST_LABEL, TaskCard
from dawgen.tasks.files import Table

_MOST_SINGLE = 20
"""Largest number of different values that may be labels however few rows there are."""
NO_LABEL = "-"
"""SNLI's label of rows on which the annotators did not agree."""


class LabelReader:
    """Reads label names or class ids.

    Args:
        class_names: names of the class ids, in order.
        ids: integers are class ids even if the card has labels that are numbers.
    """

    def __init__(self, card: TaskCard, class_names: Sequence[str], ids: bool) -> None:
        self.card = card
        self.class_names = class_names
        self.known = set(card.labels)
        self.ids = ids
        self.numbered = ids or not all(_is_number(label) for label in card.labels)

    def read(self, value: object) -> str | None:
        """The card's label, or None if the value is none."""
        if is_collection(value):
            return None
        if self.ids and isinstance(value, int) and not isinstance(value, bool):
            return self._by_id(value)
        name = label_text(value)
        for spelling in (str(value), name):  # 1.0 may be called "1.0" or "1"
            if spelling in self.known:
                return spelling
        number = class_id(name) if self.numbered else None
        return None if number is None else self._by_id(number)

    def _by_id(self, number: int) -> str | None:
        if not 0 <= number < len(self.class_names):
            return None
        name = self.class_names[number]
        return name if name in self.known else None

    def error(self, value: object, column: str, where: str) -> UserError:
        """The error for a value that is not a label."""
        if is_collection(value):
            return _collection_error(value, column, where)
        name = label_text(value)
        if not name:
            return UserError(f"{where}: the label column {column!r} is empty.")
        labels = ", ".join(self.card.labels)
        hint = did_you_mean(name.lower(), self.card.labels, "")
        return UserError(
            f"{where}: unknown label {clipped(name)!r}{f' ({hint})' if hint else ''}; "
            f"the labels of task {self.card.name} are {labels}."
        )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def label_text(value: object) -> str:
    """A label cell as text: 1, 1.0 and " 1" are all "1"."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def class_id(text: str) -> int | None:
    """The text as a class id; None if it is not an integer of a possible length."""
    return int(text) if text.isdecimal() and len(text) < 10 else None


def is_collection(value: object) -> bool:
    """Whether a cell has several values, so that it is no label."""
    return isinstance(value, list | dict | tuple | bytes)


def _collection_error(value: object, column: str, where: str) -> UserError:
    kind = type(value).__name__
    several = "; if a text has several labels, write labels_per_text: many in the card"
    hint = several if isinstance(value, list | tuple) else ""
    return UserError(f"{where}: column {column!r} holds a {kind}, not a label{hint}.")


def is_unlabelled(value: object, ids: bool) -> bool:
    """Whether a cell marks a row as having no label.

    Args:
        ids: the column holds class ids; then -1 and nothing are such marks too.
    """
    return (isinstance(value, str) and value.strip() == NO_LABEL) or (ids and value in (-1, None))


def clipped(text: str, most: int = 80) -> str:
    """A text, shortened for a message."""
    return text if len(text) <= most else f"{text[:most]}..."


def count_labels(table: Table, column: str) -> tuple[dict[str, int], int]:
    """The number of rows of each label, and of rows that are marked as having none.

    Labels that are all numbers are in their order, others by name.
    """
    names = table.class_names.get(column)
    counts: Counter[str] = Counter()
    unlabelled = 0
    for number, record in enumerate(table.records, start=1):
        where = f"{table.name}, row {number}"
        cell = record.get(column)
        if is_collection(cell):
            raise _collection_error(cell, column, where)
        if is_unlabelled(cell, names is not None):
            unlabelled += 1
            continue
        value = label_text(cell)
        if not value:
            raise UserError(f"{where}: the label column {column!r} is empty.")
        number_of_class = class_id(value)
        if names and number_of_class is not None and number_of_class < len(names):
            value = names[number_of_class]
        counts[value] += 1
    if problem := _not_labels(counts, counts.total()):
        raise UserError(f"{table.name}: column {column!r} {problem}.")
    numbers = {value: class_id(value) for value in counts}
    if None in numbers.values():
        order = sorted(counts)
    else:
        order = sorted(counts, key=lambda value: (numbers[value] or 0, value))
    return {value: counts[value] for value in order}, unlabelled


def _not_labels(values: Collection[str], rows: int) -> str | None:
    """Why the values of a column cannot be the labels of a task, if they cannot."""
    if long := [value for value in values if len(value) > LONGEST_LABEL]:
        return (
            f"holds {clipped(long[0])!r}, which is too long to be a label (at most "
            f"{LONGEST_LABEL} characters)"
        )
    if not values:
        return "has no label in any row"
    if len(values) < 2:
        return f"holds one label only, {clipped(next(iter(values)))!r}; a task needs two"
    if len(values) > max(_MOST_SINGLE, rows // 2):
        return (
            f"holds {len(values)} different values in {rows:,} rows, too many to be labels (there "
            "should be two rows of each at least)"
        )
    return None
