"""The tool that teaches the embedded encoder: what it reads, what it makes small, and its file."""

from __future__ import annotations

import json
import lzma
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from dawgen.selection.adapter import read_adapter
from dawgen.selection.encoder import SentenceEncoder
from tests.selection.conftest import encoder_folder
from tools import sentence_encoder
from tools.opinions import BLAME, PRAISE, tuned_on_opinions, with_opinions

__all__ = ["encoder_folder"]
NOUNS = ["dog", "cat", "man", "house", "park", "bird"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MNLI and three corpora, each with a text that a test row has."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "mnli").mkdir()
    (folder / "sst2").mkdir()
    rows = [{"text1": f"the {a} sleeps", "text2": f"a {a} and a {b}"} for a in NOUNS for b in NOUNS]
    rows.append({"text1": "the tested text", "text2": "the dog sleeps"})
    (folder / "mnli" / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (folder / "sst2" / "test.jsonl").write_text('{"text": "the tested text", "label": "good"}\n')
    for source in ("wikipedia", "questions", "captions"):
        lines = [f"{source} of a {noun}" for noun in NOUNS] + ["the tested text", "long " * 70]
        lines += [f"{source}: a {noun} so bad, so dull" for noun in NOUNS[:3]]
        with lzma.open(folder / f"{source}.txt.xz", "wt") as file:
            file.write("\n".join(lines))
    return folder


def test_texts_of_all_sources_but_of_test_rows(data: Path) -> None:
    texts = sentence_encoder.read_texts(data, data, np.random.default_rng(1))
    assert len(texts) == len(set(texts)) == 3 * 9 + 6 + 36
    assert "the tested text" not in texts


def test_opinions_are_texts_with_words_of_them(data: Path) -> None:
    assert with_opinions(["Dull, dull.", "It was dull, but lovely!", "the dullest"], 2) == [
        "It was dull, but lovely!"
    ]
    found = sentence_encoder.read_opinions(data, data, np.random.default_rng(1))
    assert sorted(found) == sorted(f"wikipedia: a {noun} so bad, so dull" for noun in NOUNS[:3])


def test_the_tuned_teacher_tells_praise_from_blame(encoder_folder: Path) -> None:
    tuned = tuned_on_opinions(SentenceEncoder(str(encoder_folder), "cpu"))
    apart = [
        np.linalg.norm(reads(PRAISE).mean(0) - reads(BLAME).mean(0))
        for reads in (tuned.encoder, tuned)
    ]
    assert apart[1] > 1.2 * apart[0]


def test_nothing_is_to_be_learnt_from_a_teacher_that_says_the_same() -> None:
    torch.manual_seed(1)
    vectors = torch.nn.functional.normalize(torch.randn(5, 4), dim=1)
    turned = torch.linalg.qr(torch.randn(4, 4)).Q  # cosines are the same in another basis
    theirs = vectors @ turned
    assert sentence_encoder.difference(vectors, theirs, 3 * theirs).abs() < 1e-5
    other = torch.nn.functional.normalize(torch.randn(5, 4), dim=1)
    assert sentence_encoder.difference(other, theirs, theirs) > 0.1
    assert sentence_encoder.difference(vectors, theirs, other) > 0.1


def test_the_file_is_of_the_model_that_has_learnt(
    data: Path, encoder_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(2)
    teacher = SentenceEncoder(str(encoder_folder), "cpu")
    for weight in teacher.model.parameters():  # another model of the same vocabulary
        weight.data += 0.5 * torch.randn_like(weight)
    other = tmp_path / "teacher"
    teacher.save(other)
    out = tmp_path / "changes.safetensors"
    arguments = ["--data", data, "--corpora", data, "--work", tmp_path / "work", "--out", out]
    more = ["--teacher", other, "--student", encoder_folder, "--epochs", 12]
    monkeypatch.setattr(sys, "argv", ["sentence_encoder", *map(str, [*arguments, *more])])
    losses, kept = [], []
    teach = sentence_encoder.teach

    def watched(*given):
        for loss, steps, adapted in teach(*given):
            losses.append(loss)
            kept[:] = [given[0]]
            yield loss, steps, adapted

    monkeypatch.setattr(sentence_encoder, "teach", watched)
    sentence_encoder.main()
    assert np.mean(losses[-4:]) < 0.8 * np.mean(losses[:4])
    encoder, texts = SentenceEncoder(str(encoder_folder), "cpu"), ["the dog sleeps", "a house"]
    learnt = kept[0](texts)
    assert np.abs(encoder(texts) - learnt).max() > 5e-3
    with encoder.changed(read_adapter(out)):
        np.testing.assert_allclose(encoder(texts), learnt, atol=5e-3)


def test_texts_are_read_once(
    encoder_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = ["the dog sleeps", "a house"]
    first = sentence_encoder.taught_vectors(str(encoder_folder), texts, tmp_path)
    others = sentence_encoder.taught_vectors(str(encoder_folder), texts[::-1], tmp_path)
    np.testing.assert_allclose(others, first[::-1], atol=1e-6)
    monkeypatch.setattr(sentence_encoder, "SentenceEncoder", None)
    again = sentence_encoder.taught_vectors(str(encoder_folder), texts, tmp_path)
    assert np.array_equal(again, first)


def test_opinions_are_read_by_the_tuned_teacher(encoder_folder: Path, tmp_path: Path) -> None:
    first = sentence_encoder.taught_vectors(str(encoder_folder), PRAISE, tmp_path)
    tuned = sentence_encoder.taught_vectors(str(encoder_folder), PRAISE, tmp_path, tuned=True)
    assert np.abs(tuned - first).max() > 1e-3
