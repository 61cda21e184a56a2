"""The tool that teaches an encoder to read pairs: what it reads, that it learns, and its file."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from dawgen.selection.adapter import read_adapter
from dawgen.selection.cross_encoder import CrossEncoder
from dawgen.selection.encoder import SentenceEncoder
from tests.selection.conftest import encoder_folder
from tools import cross_encoder

__all__ = ["encoder_folder"]
NOUNS = ["dog", "cat", "man", "house", "park", "bird"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Whether both texts name the same thing; each task has a row whose text is a test row's."""
    folder = tmp_path_factory.mktemp("data")
    made = np.random.default_rng(1)
    for task, other in (("snli", "contradiction"), ("qnli", "not_entailment")):
        rows = []
        for _ in range(64):
            first, second = made.choice(NOUNS, 2, replace=False)
            same = bool(made.integers(2))
            text2 = f"a {first if same else second}"
            label = "entailment" if same else other
            rows.append({"text1": f"the {first} sleeps", "text2": text2, "label": label})
        rows.append({"text1": "the tested text", "text2": "a dog", "label": "entailment"})
        (folder / task).mkdir()
        (folder / task / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
        (folder / task / "test.jsonl").write_text("")
    (folder / "sst2").mkdir()
    (folder / "sst2" / "test.jsonl").write_text('{"text": "the tested text", "label": "good"}\n')
    return folder


def test_texts_of_test_rows_are_left_out(data: Path) -> None:
    rng = np.random.default_rng(1)
    pairs = cross_encoder.read_pairs(data, ["snli", "qnli"], [100, 10], rng)
    assert [pair.kind for pair in pairs] == ["nli"] * 64 + ["qnli"] * 10
    assert not [pair for pair in pairs if pair.text1 == "the tested text"]
    assert {pair.label for pair in pairs if pair.kind == "nli"} == {0, 2}


def test_a_batch_is_of_one_kind_and_every_row_in_one_at_most(data: Path) -> None:
    rng = np.random.default_rng(1)
    pairs = cross_encoder.read_pairs(data, ["snli", "qnli"], [100, 100], rng)
    found = cross_encoder.batches(pairs, [pair.text1.split() for pair in pairs], rng)
    assert [len(batch) for batch in found] == [16] * 8
    assert sorted(place for batch in found for place in batch) == [*range(128)]
    for batch in found:
        assert len({pairs[place].kind for place in batch}) == 1


def test_the_file_is_of_the_model_that_has_learnt(
    data: Path, encoder_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cross_encoder, "LOWEST", 0)
    out = tmp_path / "changes.safetensors"
    arguments = ["--data", data, "--encoder", encoder_folder, "--out", out]
    more = ["--tasks", "snli,qnli", "--rows", "64,64"]
    monkeypatch.setattr(sys, "argv", ["cross_encoder", *map(str, arguments), *more])
    kept = []
    write = cross_encoder.write_adapter
    monkeypatch.setattr(
        cross_encoder, "write_adapter", lambda file, it: (write(file, it), kept.append(it))
    )
    cross_encoder.main()
    encoder = SentenceEncoder(str(encoder_folder), "cpu")
    read = CrossEncoder(encoder, read_adapter(out))
    pair = ("the dog sleeps", "a cat")
    inputs = encoder.tokenizer([pair[0]], [pair[1]], return_tensors="pt")
    inputs.pop("token_type_ids", None)
    with torch.no_grad():
        mean = kept[-1](**inputs).last_hidden_state[0].mean(0)
    theirs = torch.nn.functional.normalize(mean, dim=0).numpy()
    np.testing.assert_allclose(read([pair])[0, :16], theirs, atol=2e-3)
    assert np.abs(encoder.read_pairs([pair])[0] - theirs).max() > 2e-3


def test_it_learns(data: Path, encoder_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cross_encoder, "LOWEST", 0)
    monkeypatch.setattr(cross_encoder, "RATE", 1e-2)
    monkeypatch.setattr(cross_encoder, "HEAD_RATE", 1e-2)
    torch.manual_seed(1)
    rng = np.random.default_rng(1)
    pairs = cross_encoder.read_pairs(data, ["snli"], [64], rng) * 8
    losses = [each[1] for each in cross_encoder.teach(encoder_folder, pairs, rng)]
    assert np.mean(losses[-8:]) < 0.75 * np.mean(losses[:8])
