"""Finding and refusing backbones."""

from __future__ import annotations

from pathlib import Path

import pytest
import safetensors.torch
import torch

from dawgen.backbone import load_backbone
from dawgen.backbone.fingerprint import fingerprint_of
from dawgen.backbone.load import check_head
from dawgen.backbone.text import BackboneText
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


def test_a_path_stands_for_the_settings(tmp_path: Path) -> None:
    assert load_backbone("dawgen/tiny").name == "dawgen/tiny"
    with pytest.raises(UserError, match="no model folder"):
        load_backbone(tmp_path / "missing")


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
        found.add((weights.stat().st_size, fingerprint_of(str(folder), None, settings)))
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


def test_a_model_without_an_end_mark_or_a_start_is_told(folder: Path) -> None:
    """As soon as one is needed; a list of end marks will do, and so will a separator."""
    tokenizer = word_tokenizer()

    def text(**changes: object) -> BackboneText:
        config = bart_model(len(tokenizer)).config
        for name, value in changes.items():
            setattr(config, name, value)
        mute = word_tokenizer()
        mute.eos_token = mute.bos_token = mute.sep_token = None
        return BackboneText(config, mute, name="m", max_length=64)

    assert text(eos_token_id=[5, 6]).end_id == 5
    with pytest.raises(UserError, match="m has no end mark"):
        _ = text(eos_token_id=None).end_id
    with pytest.raises(UserError, match="m has no end mark"):
        _ = text(eos_token_id=50_256).end_id
    with pytest.raises(UserError, match="what its decoder begins with"):
        _ = text(decoder_start_token_id=None, bos_token_id=None).decoder_start
    assert text(max_position_embeddings=-1).max_length == 64


def test_a_model_that_cannot_be_read_behind_prompts_is_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone = load_backbone(BackboneSettings(path=str(folder)))

    def only_words(*_: object, **__: object) -> None:
        raise RuntimeError("input_ids are wanted\nand nothing else")

    monkeypatch.setattr(backbone.model.get_encoder(), "forward", only_words)
    with pytest.raises(UserError, match=r"behind prompts \(RuntimeError: input_ids are wanted\)"):
        check_head(backbone)
