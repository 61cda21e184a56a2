"""Labels from the cells of a label column."""

from __future__ import annotations

import difflib
import math
from collections import Counter
from collections.abc import Sequence

from dawgen.errors import UserError
from dawgen.tasks.card import LONGEST_LABEL, TaskCard
from dawgen.tasks.files import Table

MOST_LABELS = 20
"""Different values of a column of labels whose task has no card yet."""
NO_LABEL = "-"
"""What SNLI's files say where the annotators did not agree."""


class LabelReader:
    """Label names from what stands in a label column: a name, or a class id.

    Args:
        class_names: of the class ids, in their order.
        ids: whole numbers are certain to be class ids.
    """

    def __init__(self, card: TaskCard, class_names: Sequence[str], ids: bool) -> None:
        self.card = card
        self.class_names = class_names
        self.known = set(card.labels)
        self.ids = ids
        self.numbered = ids or not all(_is_number(label) for label in card.labels)

    def read(self, value: object) -> str | None:
        """The card's label, or None where the value is no label of it."""
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
        if is_collection(value):
            return UserError(f"{where}: {not_a_label(value, column)}.")
        name = label_text(value)
        if not name:
            return UserError(f"{where}: the label column {column!r} is empty.")
        labels = ", ".join(self.card.labels)
        near = difflib.get_close_matches(name.lower(), self.card.labels, n=1, cutoff=0.7)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        return UserError(
            f"{where}: unknown label {clipped(name)!r}{hint}; the labels of task {self.card.name} "
            f"are {labels}."
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
    """A whole number that may be a class id; Python reads no number of thousands of digits."""
    return int(text) if text.isdecimal() and len(text) < 10 else None


def is_collection(value: object) -> bool:
    """Whether a cell holds several values: such a cell is no label."""
    return isinstance(value, list | dict | tuple | bytes)


def not_a_label(value: object, column: str) -> str:
    """What to say of a label cell that holds several values."""
    return f"column {column!r} holds a {type(value).__name__}, not a label"


def is_unlabelled(value: object, ids: bool) -> bool:
    """Whether a cell that is no label of the task says that there is none.

    Args:
        ids: the column holds class ids, among which -1 and nothing say so.
    """
    return (isinstance(value, str) and value.strip() == NO_LABEL) or (ids and value in (-1, None))


def clipped(text: str, most: int = 80) -> str:
    """A text as it is shown in a message."""
    return text if len(text) <= most else f"{text[:most]}..."


def count_labels(table: Table, column: str) -> tuple[dict[str, int], int]:
    """How many rows each label has, and how many are marked as having none.

    In the order of ids where they are numbers, else by name.
    """
    names = table.class_names.get(column)
    counts: Counter[str] = Counter()
    left_out = 0
    for number, record in enumerate(table.records, start=1):
        cell = record.get(column)
        if is_collection(cell):
            raise UserError(f"{table.name}, row {number}: {not_a_label(cell, column)}.")
        if is_unlabelled(cell, names is not None):
            left_out += 1
            continue
        value = label_text(cell)
        if not value:
            raise UserError(f"{table.name}, row {number}: the label column {column!r} is empty.")
        place = class_id(value)
        if names and place is not None and place < len(names):
            value = names[place]
        counts[value] += 1
    if long := next((value for value in counts if len(value) > LONGEST_LABEL), None):
        raise UserError(
            f"{table.name}: column {column!r} holds {clipped(long)!r}, which is too long to be a "
            f"label (at most {LONGEST_LABEL} characters)."
        )
    if not counts:
        raise UserError(f"{table.name}: no row has a label in column {column!r}.")
    if len(counts) < 2:
        raise UserError(
            f"{table.name}: column {column!r} holds one label only, "
            f"{clipped(next(iter(counts)))!r}; "
            f"a task needs two."
        )
    if len(counts) > MOST_LABELS:
        raise UserError(
            f"{table.name}: column {column!r} holds {len(counts)} different values, too many to "
            f"be labels (at most {MOST_LABELS})."
        )
    numbers = {value: class_id(value) for value in counts}
    order = sorted(counts, key=lambda value: (numbers[value] or 0, value))
    if any(number is None for number in numbers.values()):
        order = sorted(counts)
    return {value: counts[value] for value in order}, left_out
