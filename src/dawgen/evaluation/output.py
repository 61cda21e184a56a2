"""Predictions as a Parquet file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dawgen.atomic import whole_file

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
    ``p_<label>`` for each label. A card column that would clash with those is written under
    its role instead. The file appears whole or not at all.

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
    ours = {"prediction", *(f"p_{label}" for label in card.labels)}
    name = {role: role if col in ours else col for role, col in card.columns.items()}
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
