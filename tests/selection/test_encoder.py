"""Sentence embeddings are those of mean pooling and unit length, whatever stands beside a text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from dawgen.errors import UserError
from dawgen.selection import encoder as encoding
from dawgen.selection.encoder import SentenceEncoder, fetch_along, is_here

TEXTS = ["the dog sleeps", "a", "two old men eat in the park near a very old house and it is cold"]


@torch.no_grad()
def pooled(folder: Path, text: str) -> np.ndarray:
    """One text as sentence-transformers' Pooling and Normalize modules have it."""
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder)
    inputs = tokenizer([text], truncation=True, max_length=12, return_tensors="pt")
    mean = model.eval()(**inputs).last_hidden_state[0].mean(dim=0)
    return (mean / mean.norm()).numpy()


def test_vectors_are_mean_pooled_and_of_unit_length(encoder_folder: Path) -> None:
    vectors = SentenceEncoder(str(encoder_folder), "cpu")(TEXTS)
    assert vectors.shape == (3, 16)
    for text, vector in zip(TEXTS, vectors, strict=True):
        np.testing.assert_allclose(vector, pooled(encoder_folder, text), atol=1e-5)


def test_names_of_special_tokens_in_a_text_are_text(encoder_folder: Path) -> None:
    encoder = SentenceEncoder(str(encoder_folder), "cpu")
    plain, named = encoder(["dog [SEP] cat", "dog ( SEP ) cat"])
    with_mark = pooled(encoder_folder, "dog [SEP] cat")
    assert np.abs(plain - with_mark).max() > 1e-3
    assert np.isfinite(named).all()


@pytest.mark.parametrize("path", ["no/such/folder", "smollm2"])
def test_what_is_no_encoder_is_named(path: str) -> None:
    with pytest.raises(UserError, match=r"no sentence encoder .*selection\.encoder"):
        SentenceEncoder(path)


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    assert is_here(str(tmp_path))
    with pytest.raises(UserError, match=r"cannot be loaded.*selection\.encoder"):
        SentenceEncoder(str(tmp_path))


def test_an_encoder_is_fetched_along_with_a_fetched_backbone_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DAWGEN_CACHE", str(tmp_path))
    fetched: list[str] = []

    def fail(known) -> None:
        fetched.append(known.name)
        raise UserError("no network.")

    monkeypatch.setattr(encoding, "get_backbone", fail)
    for backbone in ("dawgen/tiny", "google/t5-large-lm-adapt", str(tmp_path)):
        fetch_along("minilm", backbone)
    assert not fetched
    fetch_along("minilm", "dawgen/smollm2")
    assert fetched == ["minilm"]
    assert "no network" in capsys.readouterr().err
