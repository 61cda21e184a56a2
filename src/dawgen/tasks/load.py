"""Rows from JSONL, JSON, CSV, TSV, Parquet or the hub, all read through ``datasets``.

Local files are streamed: nothing is copied into the user's cache, and every cell of a
text file stays the text it is (``NA`` and ``007`` included).

A source is the path of a file, or one of

- ``hub``: the card's own data set, with its columns and class ids;
- ``hub:owner/name``, ``hub:owner/name/config``, either with ``@split`` behind it: any data
  set whose columns the card names.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from dawgen.errors import UserError
from dawgen.progress import say
from dawgen.tasks.card import TaskCard
from dawgen.tasks.files import Table, read_file
from dawgen.tasks.row import Row

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
) -> list[Row]:
    """Every row of the source, in its order.

    A label may be the label's name or its class id: the place in ``hub.label_names`` where
    the card has them, else in ``labels``, unless these are numbers themselves. A data set that
    numbers its classes by names of its own is read by those. With ``labelled=False`` the label
    column may be missing; labels the card knows are kept, all else is None.

    Args:
        split: which part of a hub data set (train, dev, test); files have but one.
        allow_empty: take empty texts as "", to be judged by somebody else.

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
    reader = _LabelReader(card, own or class_names, ids)
    rows = []
    skipped = 0
    for number, record in enumerate(table.records, start=1):
        where = f"{table.name}, row {number}"
        label = reader.read(record.get(columns["label"]))
        if labelled and label is None:
            if table.from_hub and record[columns["label"]] in (-1, None):
                skipped += 1  # the hub's mark for "annotators did not agree" or "kept secret"
                continue
            raise reader.error(record.get(columns["label"]), columns["label"], where)
        texts = [
            cell_text(record.get(columns[role]), columns[role], where, allow_empty)
            for role in card.roles
        ]
        rows.append(Row(texts[0], texts[1] if card.is_pair else None, label))
    if skipped:
        say(f"{table.name}: {skipped} of {len(table.records)} rows have no label and are left out")
    if not rows:
        raise UserError(f"{table.name} has no {'labelled ' if skipped else ''}rows.")
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
        raise UserError(f"{where}: column {column!r} is empty; fill it in or take the row out.")
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


class _LabelReader:
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
        if self.ids and isinstance(value, int) and not isinstance(value, bool):
            return self._by_id(value)
        name = _plain(value)
        for spelling in (str(value), name):  # 1.0 may be called "1.0" or "1"
            if spelling in self.known:
                return spelling
        return self._by_id(int(name)) if self.numbered and name.isdecimal() else None

    def _by_id(self, number: int) -> str | None:
        if not 0 <= number < len(self.class_names):
            return None
        name = self.class_names[number]
        return name if name in self.known else None

    def error(self, value: object, column: str, where: str) -> UserError:
        name = _plain(value)
        if not name:
            return UserError(f"{where}: the label column {column!r} is empty.")
        labels = ", ".join(self.card.labels)
        near = difflib.get_close_matches(name.lower(), self.card.labels, n=1, cutoff=0.7)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        return UserError(
            f"{where}: unknown label {name!r}{hint}; the labels of task {self.card.name} "
            f"are {labels}."
        )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _plain(value: object) -> str:
    """A label cell as text: 1, 1.0 and " 1" are all "1"."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


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
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        raise UserError(
            f"{what} could not be loaded from the hub ({reason}); "
            f"check the name and the connection, or give a file."
        ) from error
    records: list[dict[str, Any]] = data.to_list()
    names = {
        column: list(feature.names)
        for column, feature in data.features.items()
        if isinstance(feature, datasets.ClassLabel)
    }
    return Table(what, list(data.column_names), records, names, from_hub=True)
