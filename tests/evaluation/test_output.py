"""Predictions on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from dawgen.evaluation import write_predictions
from dawgen.tasks import Row, TaskCard, load_card

SICK = load_card("sick")
ROWS = [Row("a", "b", "neutral"), Row("c", "d", None)]
PROBABILITIES = np.array([[0.25, 0.5, 0.25], [0.75, 0.0, 0.25]], dtype=np.float32)


def test_every_column_is_there_and_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "new" / "predictions.parquet"
    write_predictions(path, SICK, ROWS, PROBABILITIES)
    assert pq.read_table(path).to_pydict() == {
        "text1": ["a", "c"],
        "text2": ["b", "d"],
        "label": ["neutral", None],
        "prediction": ["neutral", "entailment"],
        "p_entailment": [0.25, 0.75],
        "p_neutral": [0.5, 0.0],
        "p_contradiction": [0.25, 0.25],
    }
    assert [p.name for p in path.parent.iterdir()] == ["predictions.parquet"]


def test_without_gold_labels_there_is_no_label_column(tmp_path: Path) -> None:
    write_predictions(tmp_path / "p.parquet", SICK, ROWS[1:], PROBABILITIES[1:])
    assert "label" not in pq.read_table(tmp_path / "p.parquet").column_names


def test_the_cards_columns_are_used_unless_they_clash(tmp_path: Path) -> None:
    card = TaskCard(
        name="own",
        columns={"text1": "comment", "label": "prediction"},
        labels=["x", "y"],
        template="{text1}",
        label_words={"x": "a", "y": "b"},
    )
    rows = [Row("t", None, "x")]
    write_predictions(tmp_path / "p.parquet", card, rows, np.array([[0.0, 1.0]]))
    found = pq.read_table(tmp_path / "p.parquet").to_pydict()
    assert found == {"comment": ["t"], "label": ["x"], "prediction": ["y"], "p_x": [0], "p_y": [1]}


def test_a_failed_write_leaves_the_old_file_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "p.parquet"
    write_predictions(path, SICK, ROWS, PROBABILITIES)
    before = path.read_bytes()

    def fail(table: object, where: Path) -> None:
        where.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(pq, "write_table", fail)
    with pytest.raises(OSError, match="disk full"):
        write_predictions(path, SICK, ROWS, PROBABILITIES[::-1])
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["p.parquet"]


def test_equal_predictions_are_equal_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_predictions(tmp_path / name, SICK, ROWS, PROBABILITIES)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_shapes_must_fit(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="2 rows of 3 labels"):
        write_predictions(tmp_path / "p.parquet", SICK, ROWS, PROBABILITIES[:1])
