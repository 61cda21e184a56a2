"""Rows from JSONL, JSON, CSV, TSV, Parquet or the hub.

Nothing of a local file is copied into the user's cache, and every cell of a text file stays the
text it is (``NA`` and ``007`` included).

A source is the path of a file, or one of

- ``hub``: the card's own data set, with its columns and class ids;
- ``hub:owner/name``, ``hub:owner/name/config``, either with ``@split`` behind it: any data
  set whose columns the card names.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from dawgen.errors import UserError, first_line
from dawgen.tasks.bounds import check_rows, check_size
from dawgen.tasks.card import TaskCard
from dawgen.tasks.files import Table, read_file
from dawgen.tasks.labels import LabelReader, is_unlabelled
from dawgen.tasks.row import Row
from dawgen.terminal.progress import say

_SPLITS = ("train", "dev", "test")


def packaged_data(card: TaskCard) -> dict[str, str]:
    """Paths of the train, dev and test rows shipped for the card; empty for most cards."""
    if card.data is None:
        return {}
    folder = resources.files("dawgen.tasks") / card.data
    return {split: str(folder / f"{split}.jsonl") for split in _SPLITS}


def load_rows(
    card: TaskCard,
    source: str | Path,
    *,
    split: str = "train",
    labelled: bool = True,
    allow_empty: bool = False,
    skip_empty: bool = False,
) -> list[Row]:
    """Every row of the source, in its order.

    A label may be the label's name or its class id: the place in ``hub.label_names`` where
    the card has them, else in ``labels``, unless these are numbers themselves. A data set that
    numbers its classes by names of its own is read by those. With ``labelled=False`` the label
    column may be missing; labels the card knows are kept, all else is None. Rows that are marked
    as having no label ("-", -1 or nothing where the file names its class ids) are left out and
    counted.

    Args:
        split: which part of a hub data set (train, dev, test); files have but one.
        allow_empty: take empty texts as "", to be judged by somebody else.
        skip_empty: leave rows with an empty text out and say how many.

    Raises:
        UserError: no such file or data set, unreadable, empty, a missing column, an empty
            text, an unknown label; with the row's number (the first row of data is 1).
    """
    name = str(source)
    if name == "hub" or name.startswith("hub:"):
        table, columns, class_names = _read_hub(card, name, split)
    else:
        table, columns = read_file(name), dict(card.columns)
        class_names = list(card.hub.label_names if card.hub else card.labels)
    needed = [*card.roles, *(["label"] if labelled else [])]
    for role in needed:
        check_column(table, columns[role], role)
    own = table.class_names.get(columns["label"])
    ids = own is not None or (table.from_hub and class_names is not card.labels)
    reader = LabelReader(card, own or class_names, ids)
    rows = []
    unlabelled = empty = 0
    for number, record in enumerate(table.records, start=1):
        where = f"{table.name}, row {number}"
        value = record.get(columns["label"])
        label = reader.read(value)
        missing = labelled and label is None
        if missing and is_unlabelled(value, own is not None or table.from_hub):
            unlabelled += 1
            continue
        texts = [
            cell_text(record.get(columns[role]), columns[role], where, allow_empty or skip_empty)
            for role in card.roles
        ]
        if skip_empty and not all(texts):
            empty += 1
            continue
        if missing:
            raise reader.error(value, columns["label"], where)
        rows.append(Row(texts[0], texts[1] if card.is_pair else None, label))
    for count, what in ((unlabelled, "no label"), (empty, "an empty text")):
        if count:
            say(f"{table.name}: {count:,} of {len(table.records):,} rows have {what}; left out.")
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
    return _download(path, config, split or "train", None)


def check_column(table: Table, column: str, role: str) -> None:
    """Raise UserError where the table lacks the column that the card reads a role from."""
    if column in table.columns:
        return
    found = ", ".join(repr(c) for c in table.columns)
    raise UserError(
        f"{table.name} has no column {column!r}, which the card reads {role} from; "
        f"the columns found are {found}."
    )


def cell_text(value: object, column: str, where: str, allow_empty: bool) -> str:
    """A text cell as text; raises UserError where it is none, or empty and may not be."""
    if isinstance(value, bool) or not isinstance(value, str | int | float | None):
        raise UserError(f"{where}: column {column!r} holds a {type(value).__name__}, not text.")
    if value is None or (isinstance(value, float) and math.isnan(value)):
        text = ""
    else:
        text = str(value).strip()
    if broken := broken_text(text):
        raise UserError(f"{where}: column {column!r} holds {broken}; take it out.")
    if not text and not allow_empty:
        raise UserError(
            f"{where}: column {column!r} is empty; fill it in, take the row out, or leave out such "
            "rows (on_empty=skip)."
        )
    return text


def broken_text(text: str) -> str | None:
    """What no tokenizer and no file format takes: a null character, half of a character."""
    if "\x00" in text:
        return "a null character"
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return "half of a character (a lone surrogate)"
    return None


def _read_hub(
    card: TaskCard, name: str, split: str
) -> tuple[Table, Mapping[str, str], Sequence[str]]:
    path, config, wanted = _parse_hub(name)
    hub = card.hub
    revision = None
    columns: Mapping[str, str] = card.columns
    class_names: Sequence[str] = card.labels
    if not path:
        if hub is None:
            raise UserError(
                f"Task {card.name} names no hub data set to take {split} rows from; give a file, "
                f"or hub:owner/name, with --{split}."
            )
        path, config = hub.path, hub.config
    if hub is not None and path == hub.path and config in (None, hub.config):
        config, revision, columns, class_names = (
            hub.config,
            hub.revision,
            hub.columns,
            hub.label_names,
        )
        if wanted is None:
            if split not in hub.splits:
                raise UserError(
                    f"Task {card.name} has no {split} rows on the hub; it has "
                    f"{', '.join(hub.splits)}."
                )
            wanted = hub.splits[split]
        own = True
    else:
        own = False
    table = _download(path, config, wanted or split, revision)
    if own:
        table.class_names.clear()  # the card's own names for the ids win over the hub's
    return table, columns, class_names


def _parse_hub(name: str) -> tuple[str, str | None, str | None]:
    """``hub:owner/name/config@split`` as path, config, split."""
    rest, _, split = name.partition(":")[2].partition("@")
    parts = [part for part in rest.split("/") if part]
    if len(parts) > 3:
        raise UserError(f"{name!r} is no hub source; write hub:owner/name/config@split.")
    config = parts[2] if len(parts) == 3 else None
    return "/".join(parts[:2]), config, split or None


def _download(path: str, config: str | None, split: str, revision: str | None) -> Table:
    import datasets

    what = "/".join(part for part in ("hub:" + path, config) if part) + f"@{split}"
    try:
        data = datasets.load_dataset(path, config, split=split, revision=revision)
    except Exception as error:  # the hub client raises many kinds, none of them ours to mend
        reason = first_line(error)
        raise UserError(
            f"{what} could not be loaded from the hub ({reason}); "
            f"check the name and the connection, or give a file."
        ) from error
    check_rows(what, data.num_rows)
    check_size(what, data.data.nbytes)
    records: list[dict[str, Any]] = data.to_list()
    names = {
        column: list(feature.names)
        for column, feature in data.features.items()
        if isinstance(feature, datasets.ClassLabel)
    }
    return Table(what, list(data.column_names), records, names, from_hub=True)
