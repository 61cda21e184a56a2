"""The map: where real and synthetic rows lie in the backbone's own encodings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from dawgen.backbone.memory import run_rows
from dawgen.storage.folder import write_json
from dawgen.streams import Streams, repeatable

if TYPE_CHECKING:
    from dawgen.backbone import Backbone
    from dawgen.tasks import Row, TaskCard

MOST = {"synthetic": 4000, "test": 500}
"""Rows of a kind that are encoded; of more, so many are drawn by the seed."""


def write_map(
    folder: Path,
    card: TaskCard,
    backbone: Backbone,
    real: Mapping[str, Sequence[Row]],
    synthetic: Sequence[Row],
    streams: Streams,
    tokens_per_batch: int,
) -> None:
    """Write ``points.parquet`` (x, y, kind, label, texts) and ``map.json`` (shares of variance).

    A row goes through the card's template, without a soft prompt; its encoding is the mean of
    the backbone's last hidden states, and its place the first two principal components of all
    encodings together.

    Args:
        real: rows by kind, such as "shot" and "test".
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    parts = {
        kind: _drawn(rows, kind, streams)
        for kind, rows in [("synthetic", synthetic), *real.items()]
    }
    rows = [row for part in parts.values() for row in part]
    kinds = [kind for kind, part in parts.items() for _ in part]
    places, variance = principal_plane(_encodings(card, backbone, rows, tokens_per_batch))
    columns: dict[str, Any] = {
        "x": pa.array(places[:, 0], pa.float32()),
        "y": pa.array(places[:, 1], pa.float32()),
        "kind": pa.array(kinds, pa.string()),
        "label": pa.array([row.label for row in rows], pa.string()),
        "text1": pa.array([row.text1 for row in rows], pa.string()),
        "text2": pa.array([row.text2 for row in rows], pa.string()),
    }
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), folder / "points.parquet")
    write_json(folder / "map.json", {"variance": [round(share, 4) for share in variance]})


def _drawn(rows: Sequence[Row], kind: str, streams: Streams) -> list[Row]:
    most = MOST.get(kind, len(rows))
    if len(rows) <= most:
        return list(rows)
    drawn = streams.numpy("map", kind).choice(len(rows), most, replace=False)
    return [rows[i] for i in sorted(drawn.tolist())]


@repeatable()
@torch.no_grad()
def _encodings(
    card: TaskCard, backbone: Backbone, rows: Sequence[Row], tokens_per_batch: int
) -> npt.NDArray[np.float32]:
    """[N,H], in the order of the rows."""
    inputs = backbone.encode_rows(card, rows, 0)
    found = np.zeros((len(rows), backbone.hidden_size), dtype=np.float32)

    def work(batch: list[int]) -> None:
        found[batch] = backbone.mean_encodings([inputs[i] for i in batch]).cpu().numpy()

    run_rows(backbone, [len(ids) for ids in inputs], 0, tokens_per_batch, work)
    return found


def principal_plane(
    vectors: npt.NDArray[np.float32],
) -> tuple[npt.NDArray[np.float32], list[float]]:
    """Places [N,2] on the first two principal components, and their shares of the variance."""
    from sklearn.decomposition import PCA

    if len(vectors) < 2:
        return np.zeros((len(vectors), 2), dtype=np.float32), [0.0, 0.0]
    pca = PCA(n_components=2, svd_solver="full")
    places = pca.fit_transform(vectors.astype(np.float64)).astype(np.float32)
    return places, np.nan_to_num(pca.explained_variance_ratio_).tolist()
