"""Predictions as a Parquet file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dawgen.storage.atomic import whole_file

if TYPE_CHECKING:
    from dawgen.tasks import Row, TaskCard


def write_predictions(
    path: Path,
    card: TaskCard,
    rows: Sequence[Row],
    probabilities: npt.NDArray[np.floating[Any]],
) -> None:
    """Write one line a row: its texts, its gold label if any row has one, and what was found.

    Columns: the card's own names for text1 (and text2) and the label, then ``prediction`` and
    ``p_<label>`` for each label; see :func:`output_names`. The file appears whole or not at all.

    Args:
        probabilities: [N,C], as :func:`dawgen.evaluation.predict` gives them.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if probabilities.shape != (len(rows), len(card.labels)):
        raise ValueError(
            f"probabilities are {list(probabilities.shape)} for {len(rows)} rows of "
            f"{len(card.labels)} labels"
        )
    name = output_names(card)
    columns: dict[str, Any] = {name["text1"]: pa.array([r.text1 for r in rows], pa.string())}
    if card.is_pair:
        columns[name["text2"]] = pa.array([r.text2 for r in rows], pa.string())
    if any(row.label is not None for row in rows):
        columns[name["label"]] = pa.array([r.label for r in rows], pa.string())
    best = probabilities.argmax(axis=1)
    columns["prediction"] = pa.array([card.labels[i] for i in best], pa.string())
    for i, label in enumerate(card.labels):
        columns[f"p_{label}"] = pa.array(probabilities[:, i], pa.float32())
    with whole_file(path) as file:
        pq.write_table(pa.table(columns), file)


def output_names(
    card: TaskCard, more: Iterable[str] = (), ours: Iterable[str] = ("prediction",)
) -> dict[str, str]:
    """What the card's columns are called in an output, by role.

    A column that is called like one of ours (or ``p_<label>``) is written under its role
    instead, with a mark behind it where that name is taken as well.

    Args:
        more: other columns that go into the output.
    """
    mine = {*ours, *(f"p_{label}" for label in card.labels)}
    taken = {*mine, *more, *card.columns.values()}
    found = {}
    for role, column in card.columns.items():
        name = column
        if column in mine:
            name = role
            while name in taken:
                name += "_"
            taken.add(name)
        found[role] = name
    return found
