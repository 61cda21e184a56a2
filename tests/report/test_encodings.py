"""The map: mean encodings against the model's own, places against a hand-worked plane."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from dawgen.backbone import Backbone
from dawgen.report import encodings
from dawgen.report.encodings import principal_plane, write_map
from dawgen.streams import Streams
from dawgen.tasks import Row, TaskCard

CARD = TaskCard(
    name="mood",
    columns={"text1": "text", "label": "label"},
    labels=["happy", "sad"],
    template="review: {text1} sentiment:",
    label_words={"happy": "great", "sad": "bad"},
)


@pytest.mark.parametrize("shape", ["tiny_bart", "tiny_t5", "tiny_gpt2"])
def test_mean_encodings_are_the_models_own(shape: str, request: pytest.FixtureRequest) -> None:
    backbone: Backbone = request.getfixturevalue(shape)
    texts = ["the dog runs", "a film"]
    inputs = backbone.encode_rows(CARD, [Row(text, None, None) for text in texts], 0)
    found = backbone.mean_encodings(inputs)
    for ids, mean in zip(inputs, found, strict=True):  # one at a time, so without padding
        tokens = torch.tensor([ids])
        with torch.no_grad():
            if backbone.is_encoder_decoder:
                states = backbone.model.get_encoder()(input_ids=tokens).last_hidden_state
            else:
                states = backbone.model(tokens, output_hidden_states=True).hidden_states[-1]
        torch.testing.assert_close(mean, states[0].mean(0), rtol=1e-4, atol=1e-5)


def test_the_plane_of_points_in_a_plane_keeps_their_distances() -> None:
    # A 4 by 2 rectangle, tilted into three dimensions by an orthonormal pair of axes.
    axes = np.array([[0.6, 0.8, 0.0], [0.0, 0.0, 1.0]])
    corners = np.array([[0, 0], [4, 0], [4, 2], [0, 2]], dtype=np.float64)
    places, variance = principal_plane((corners @ axes).astype(np.float32))
    # Along the longer side first: coordinates ±2 and ±1, variances 16 : 4 of their sum.
    np.testing.assert_allclose(np.abs(places), [[2, 1]] * 4, atol=1e-5)
    np.testing.assert_allclose(variance, [0.8, 0.2], atol=1e-5)


def test_a_single_row_lies_in_the_middle() -> None:
    places, variance = principal_plane(np.ones((1, 8), dtype=np.float32))
    assert places.tolist() == [[0.0, 0.0]]
    assert variance == [0.0, 0.0]


def test_every_row_gets_a_place_and_many_are_drawn_by_the_seed(
    tiny_bart: Backbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(encodings.MOST, "test", 3)
    words = ("dog", "cat", "man", "woman", "film", "movie", "park")
    shots = [Row(f"the {word}", None, "happy") for word in words[:2]]
    test = [Row(f"a {word}", None, "sad") for word in words]
    synthetic = [Row("the young dog", None, "happy")]

    def made(seed: int) -> list[dict[str, object]]:
        folder = tmp_path / str(seed)
        real = {"shot": shots, "test": test}
        write_map(folder, CARD, tiny_bart, real, synthetic, Streams(seed), 64)
        assert len(json.loads((folder / "map.json").read_text())["variance"]) == 2
        rows: list[dict[str, object]] = pq.read_table(folder / "points.parquet").to_pylist()
        return rows

    rows = made(1)
    assert [row["kind"] for row in rows] == ["synthetic", "shot", "shot", "test", "test", "test"]
    assert rows[0]["text1"] == "the young dog"
    assert rows == made(1)
    assert {row["text1"] for row in rows[3:]} <= {row.text1 for row in test}
