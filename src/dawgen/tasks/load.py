"""Rows from JSONL, JSON, CSV, TSV, Parquet or the hub.

Local files are not copied into a cache, and every cell of a text file stays the text it is (``NA``
and ``007`` included).

A source is the path of a file, or one of

- ``hub``: the card's own data set, with its columns and class ids;
- ``hub:owner/name``, ``hub:owner/name/config``, each optionally with ``@split``: any data set with
  the card's columns,

or, from Python, the rows themselves: :func:`dawgen.tasks.in_memory.as_table` says in which forms.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

from dawgen.errors import UserError, first_line
from dawgen.tasks.bounds import check_rows, check_size
from dawgen.tasks.card import TaskCard
from dawgen.tasks.files import Table, read_file
from dawgen.tasks.in_memory import as_table, in_memory
from dawgen.tasks.labels import LabelReader, is_unlabelled
from dawgen.tasks.row import Row
from dawgen.tasks.texts import broken_text
from dawgen.terminal.progress import say

Source = Any
"""The path of a file, a name such as ``hub:owner/name``, or rows in memory: a list of dictionaries
or of tuples of texts and label, a dictionary of columns, a data frame or a ``datasets.Dataset``."""
_USUAL = ("text", "text1", "sentence")
"""Columns in which the texts of a single-text task usually are."""


def packaged_data(card: TaskCard) -> dict[str, str]:
    """Paths of the card's train, dev and test rows in the package; most cards have none."""
    if card.data is None:
        return {}
    folder = resources.files("dawgen.tasks") / card.data
    return {split: str(folder / f"{split}.jsonl") for split in ("train", "dev", "test")}


def load_rows(
    card: TaskCard,
    source: Source,
    *,
    split: str = "train",
    labelled: bool = True,
    allow_empty: bool = False,
    skip_empty: bool = False,
) -> list[Row]:
    """All rows of the source, in order.

    A label may be the label's name or its class id: the index in ``hub.label_names`` if the card
    has them, else in ``labels``, unless these are numbers themselves. A data set with its own class
    names is read by those. Rows marked as having no label ("-"; also -1 or nothing among class ids)
    are skipped and counted. With ``labelled=False`` the label column may be missing, and labels
    that the card does not have are None.

    Args:
        source: a file, a data set of the hub, or rows in memory (a list of dictionaries or of
            tuples of texts and label, a data frame, a ``datasets.Dataset``).
        split: part of a hub data set (train, dev, test), and the name of rows in memory in
            messages; ignored for files.
        allow_empty: read empty texts as "".
        skip_empty: skip rows with an empty text and print how many.

    Raises:
        UserError: no such file or data set, unreadable, empty, a missing column, an empty
            text, an unknown label; with the row's number (the first row of data is 1).
    """
    if labelled and card.takes_many:
        raise UserError(
            f"Task {card.name} gives a text several labels (labels_per_text: many). `dawgen run`, "
            "`predict`, `validate` and `evaluate --prompt RUN` can do that, by linear heads; what "
            "tunes a prompt or writes rows cannot."
        )
    if not in_memory(source) and is_hub(str(source)):
        table, columns = _read_hub(card, str(source), split)
    else:
        order = [card.columns[role] for role in (*card.roles, "label")]
        table = as_table(source, split, order) if in_memory(source) else read_file(str(source))
        columns = columns_in(card, table.columns)
    label_column = columns["label"]
    for role in (*card.roles, *(["label"] if labelled else [])):
        check_column(table, columns[role], role)
    own_names = table.class_names.get(label_column)
    names = card.hub.label_names if card.hub and not table.from_hub else card.labels
    reader = LabelReader(card, own_names or names, ids=own_names is not None)
    rows = []
    unlabelled = empty = 0
    for number, record in enumerate(table.records, start=1):
        where = f"{table.name}, row {number}"
        value = record.get(label_column)
        label = reader.read(value)
        missing = labelled and label is None
        if missing and is_unlabelled(value, own_names is not None or table.from_hub):
            unlabelled += 1
            continue
        row = row_of(card, record, columns, where, label, allow_empty or skip_empty)
        if skip_empty and not row.has_texts:
            empty += 1
            continue
        if missing:
            raise reader.error(value, label_column, where)
        rows.append(row)
    for count, what in ((unlabelled, "no label"), (empty, "an empty text")):
        if count:
            say(f"{table.name}: {count:,} of {len(table.records):,} rows have {what}; skipped.")
    if not rows:
        raise UserError(f"{table.name} has no {'labelled ' if unlabelled else ''}rows.")
    return rows


def read_table(source: str) -> Table:
    """A file, or any hub data set (`hub:owner/name/config@split`), as raw cells.

    Raises:
        UserError: no such file or data set, unreadable or empty.
    """
    if not source.startswith("hub:"):
        return read_file(source)
    path, config, split = _parse_hub(source)
    return _download(path, config, split or "train")


def columns_in(card: TaskCard, present: Sequence[str]) -> Mapping[str, str]:
    """The card's columns by role; a single text that is under another usual name is read there."""
    usual = [name for name in _USUAL if name in present]
    if card.is_pair or card.columns["text1"] in present or len(usual) != 1:
        return card.columns
    return {**card.columns, "text1": usual[0]}


def check_column(table: Table, column: str, role: str) -> None:
    """Raise UserError if the table lacks the column that the card reads a role from."""
    if column not in table.columns:
        raise UserError(
            f"{table.name} has no column {column!r}, which the card reads {role} from; "
            f"its columns are {', '.join(map(repr, table.columns))}."
        )


def row_of(
    card: TaskCard,
    record: Mapping[str, Any],
    columns: Mapping[str, str],
    where: str,
    label: str | None = None,
    allow_empty: bool = False,
) -> Row:
    """The row of a record; raises UserError if a cell is no text, or empty and may not be."""
    texts = [
        _cell_text(record.get(columns[role]), columns[role], where, allow_empty)
        for role in card.roles
    ]
    return Row(texts[0], texts[1] if card.is_pair else None, label)


def _cell_text(value: object, column: str, where: str, allow_empty: bool) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float | None):
        raise UserError(f"{where}: column {column!r} holds a {type(value).__name__}, not text.")
    missing = value is None or (isinstance(value, float) and math.isnan(value))
    text = "" if missing else str(value).strip()
    if broken := broken_text(text):
        raise UserError(f"{where}: column {column!r} holds {broken}; remove it.")
    if not text and not allow_empty:
        raise UserError(
            f"{where}: column {column!r} is empty; fill it in, remove the row, or skip such rows "
            "(on_empty=skip)."
        )
    return text


def is_hub(source: str) -> bool:
    """Whether the source is a data set on the hub."""
    return source == "hub" or source.startswith("hub:")


def _read_hub(card: TaskCard, name: str, split: str) -> tuple[Table, Mapping[str, str]]:
    """The table, and its columns by role; the card's own data set has the card's class names."""
    path, config, named_split = _parse_hub(name)
    hub = card.hub
    if hub is None and not path:
        raise UserError(
            f"Task {card.name} names no hub data set to read {split} rows from; name a file, "
            f"or hub:owner/name, with --{split}."
        )
    if hub is None or (path and (path != hub.path or config not in (None, hub.config))):
        return _download(path, config, named_split or split), card.columns
    if named_split is None and split not in hub.splits:
        raise UserError(
            f"Task {card.name} has no {split} rows on the hub; it has {', '.join(hub.splits)}."
        )
    table = _download(hub.path, hub.config, named_split or hub.splits[split], hub.revision)
    table.class_names = {hub.columns["label"]: hub.label_names}
    return table, hub.columns


def _parse_hub(name: str) -> tuple[str, str | None, str | None]:
    """``hub:owner/name/config@split`` as path, config, split."""
    rest, _, split = name.partition(":")[2].partition("@")
    parts = [part for part in rest.split("/") if part]
    if len(parts) > 3:
        raise UserError(f"{name!r} is no hub source; write hub:owner/name/config@split.")
    config = parts[2] if len(parts) == 3 else None
    return "/".join(parts[:2]), config, split or None


def _download(path: str, config: str | None, split: str, revision: str | None = None) -> Table:
    import datasets

    name = "/".join(part for part in ("hub:" + path, config) if part) + f"@{split}"
    try:
        data = datasets.load_dataset(path, config, split=split, revision=revision)
    except Exception as error:  # the hub client raises many kinds
        reason = first_line(error)
        raise UserError(
            f"{name} could not be loaded from the hub ({reason}); "
            f"check the name and the connection, or name a file."
        ) from error
    check_rows(name, data.num_rows)
    check_size(name, data.data.nbytes)
    class_names = {
        column: list(feature.names)
        for column, feature in data.features.items()
        if isinstance(feature, datasets.ClassLabel)
    }
    return Table(name, list(data.column_names), data.to_list(), class_names, from_hub=True)
