"""Finding and refusing backbones."""

from __future__ import annotations

from pathlib import Path

import pytest
import safetensors.torch
import torch

from dawgen.backbone import load_backbone
from dawgen.backbone.load import _fingerprint, check_head
from dawgen.errors import UserError
from dawgen.settings import BackboneSettings
from tests.conftest import bart_model, word_tokenizer


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tokenizer = word_tokenizer()
    bart_model(len(tokenizer)).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    return tmp_path


def test_a_folder_loads_frozen_in_the_format_asked_for(folder: Path) -> None:
    backbone = load_backbone(BackboneSettings(path=str(folder), dtype="bf16"))
    assert backbone.dtype == torch.bfloat16
    assert backbone.is_encoder_decoder
    scores = backbone.label_scores(None, [backbone.text_ids("a man")], [[4], [5]])
    assert scores.dtype == torch.float32


def test_the_shipped_model_loads_offline() -> None:
    backbone = load_backbone(BackboneSettings())
    assert backbone.name == "dawgen/tiny"
    assert backbone.hidden_size == 384


def test_the_fingerprint_follows_the_weights(folder: Path) -> None:
    settings = BackboneSettings(path=str(folder))
    first = load_backbone(settings).fingerprint
    assert load_backbone(settings).fingerprint == first
    bart_model(len(word_tokenizer()), seed=1).save_pretrained(folder)
    assert load_backbone(settings).fingerprint != first


def test_the_fingerprint_follows_every_byte_of_large_weights(folder: Path) -> None:
    """As where an adapter is merged in place: same file, same size, other numbers in the middle."""
    weights = folder / "model.safetensors"
    tensors = safetensors.torch.load_file(weights)
    tensors |= {name: torch.zeros(1 << 20) for name in ("a", "b", "c")}  # 4 MiB each
    settings = BackboneSettings(path=str(folder))
    found = set()
    for value in (0.0, 1.0):
        tensors["b"].fill_(value)
        safetensors.torch.save_file(tensors, weights, {"format": "pt"})
        found.add((weights.stat().st_size, _fingerprint(str(folder), None, settings)))
    sizes, prints = zip(*found, strict=True)
    assert (len(set(sizes)), len(set(prints))) == (1, 2)


def test_a_folder_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    bart_model(50).save_pretrained(tmp_path)
    with pytest.raises(UserError, match="has no tokenizer"):
        load_backbone(BackboneSettings(path=str(tmp_path)))


def test_a_folder_without_weights_is_refused(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    with pytest.raises(UserError, match="cannot be loaded"):
        load_backbone(BackboneSettings(path=str(folder)))


def test_a_folder_that_is_not_there_is_refused() -> None:
    with pytest.raises(UserError, match=r"no model folder ./nowhere"):
        load_backbone(BackboneSettings(path="./nowhere"))


def test_an_unknown_device_is_refused(folder: Path) -> None:
    with pytest.raises(UserError, match="no device 'gpu9'"):
        load_backbone(BackboneSettings(path=str(folder), device="gpu9"))


def test_logits_that_we_would_get_wrong_are_refused(folder: Path) -> None:
    backbone = load_backbone(BackboneSettings(path=str(folder)))
    backbone.head.scale = 0.5
    with pytest.raises(UserError, match="cannot be trusted"):
        check_head(backbone)
