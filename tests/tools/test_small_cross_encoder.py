"""The tool that teaches the embedded encoder to read pairs: its pairs, its batches, its file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from dawgen.selection.adapter import read_adapter
from dawgen.selection.encoder import SentenceEncoder
from tests.selection.conftest import encoder_folder
from tools import small_cross_encoder
from tools.cross_encoder import Pair, write_adapter

__all__ = ["encoder_folder"]
NOUNS = ["dog", "cat", "man", "house", "park", "bird"]


def unit(count: int, width: int) -> np.ndarray:
    drawn = np.random.default_rng(3).normal(size=(count, width))
    return (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)


def some_pairs() -> list[Pair]:
    """Labelled ones, whose label the second text tells, and unlabelled ones."""
    found = [
        Pair(f"the {a} sleeps", f"a {b} runs", "nli", NOUNS.index(b) % 3)
        for a in NOUNS
        for b in NOUNS
    ]
    return found + [Pair(f"the {a} sleeps", f"the {a} runs", "near", 0) for a in NOUNS * 4]


def test_a_text_is_paired_with_one_of_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(small_cross_encoder, "NEAREST", 2)
    vectors = unit(40, 8)
    texts = [f"text {n}" for n in range(39)] + ["long " * 80]
    found = small_cross_encoder.neighbours(texts, vectors, np.random.default_rng(1))
    assert 8 < len(found) < 32  # about half
    places = {text: place for place, text in enumerate(texts)}
    for pair in found:
        one, other = places[pair.text1], places[pair.text2]
        cosines = vectors @ vectors[one]
        cosines[one] = -1
        assert other in np.argsort(-cosines)[:2]
        assert "long" not in pair.text1 + pair.text2


def test_a_batch_is_of_one_kind_and_an_epoch_has_every_pair_once() -> None:
    pairs = some_pairs() * 2
    found = small_cross_encoder.batches(pairs, [5] * len(pairs), 2, np.random.default_rng(1))
    half = len(found) // 2
    for epoch in (found[:half], found[half:]):
        assert all(len({pairs[n].kind for n in batch}) == 1 for batch in epoch)
        places = [n for batch in epoch for n in batch]
        assert len(places) == len(set(places)) > len(pairs) - 32
    assert found[:half] != found[half:]


def test_the_file_is_of_the_model_that_has_learnt(encoder_folder: Path, tmp_path: Path) -> None:
    torch.manual_seed(2)
    pairs = some_pairs()
    student = SentenceEncoder(str(encoder_folder), "cpu")
    texts = [(pair.text1, pair.text2) for pair in pairs]
    before, vectors = student.read_pairs(texts), unit(len(pairs), 24)
    rng = np.random.default_rng(1)
    steps = list(small_cross_encoder.teach(student, pairs, vectors, 15, rng))
    losses = [apart for kind, apart, *_ in steps if kind == "near"]
    assert np.mean(losses[-5:]) < 0.9 * np.mean(losses[:5])
    assert all(np.isnan(right) for kind, _, right, *_ in steps if kind == "near")
    write_adapter(tmp_path / "changes.safetensors", steps[-1][-1])
    learnt = student.read_pairs(texts)
    assert np.abs(learnt - before).max() > 0.01
    fresh = SentenceEncoder(str(encoder_folder), "cpu")
    with fresh.changed(read_adapter(tmp_path / "changes.safetensors")):
        np.testing.assert_allclose(fresh.read_pairs(texts), learnt, atol=2e-3)
