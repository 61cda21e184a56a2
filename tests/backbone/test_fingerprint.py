"""The fingerprint follows whatever a model is loaded from."""

from __future__ import annotations

import json
from pathlib import Path

import huggingface_hub.constants
import peft
import pytest
import safetensors.torch
import torch

from dawgen.backbone import load_backbone
from dawgen.backbone.fingerprint import fingerprint_of
from dawgen.errors import UserError
from dawgen.settings import BackboneSettings
from tests.conftest import bart_model, word_tokenizer


def save_model(folder: Path, seed: int = 0) -> Path:
    tokenizer = word_tokenizer()
    bart_model(len(tokenizer), seed).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def add_one(weights: Path) -> None:
    """Other numbers in a file of the same size."""
    tensors = safetensors.torch.load_file(weights)
    safetensors.torch.save_file({k: v + 1 for k, v in tensors.items()}, weights, {"format": "pt"})


def print_of(path: object) -> str:
    return load_backbone(BackboneSettings(path=str(path))).fingerprint


def move_weights(folder: Path, place: str) -> Path:
    """Let the folder's index name its weights at another place."""
    weights = folder / "model.safetensors"
    moved = folder / place
    moved.parent.mkdir(exist_ok=True)
    names = safetensors.torch.load_file(weights)
    weights.rename(moved)
    index = {"metadata": {}, "weight_map": dict.fromkeys(names, place)}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return moved


def test_a_chat_template_counts(tmp_path: Path) -> None:
    """It says what the generator reads."""
    folder = save_model(tmp_path / "model")
    before = print_of(folder)
    (folder / "chat_template.jinja").write_text(
        "{% for m in messages %}{{ m.content }}{% endfor %}"
    )
    changed = print_of(folder)
    assert changed != before
    (folder / "chat_template.jinja").write_text(
        "{% for m in messages %}{{ m.content }};{% endfor %}"
    )
    assert print_of(folder) != changed


def test_weights_below_the_folder_count(tmp_path: Path) -> None:
    folder = save_model(tmp_path / "model")
    weights = move_weights(folder, "parts/one.safetensors")
    before = print_of(folder)
    assert print_of(folder) == before
    add_one(weights)
    assert print_of(folder) != before


def test_weights_that_the_config_names_count(tmp_path: Path) -> None:
    folder = save_model(tmp_path / "model")
    (folder / "parts").mkdir()
    weights = (folder / "model.safetensors").rename(folder / "parts" / "one.safetensors")
    config = json.loads((folder / "config.json").read_text())
    named = config | {"transformers_weights": "parts/one.safetensors"}
    (folder / "config.json").write_text(json.dumps(named))
    before = print_of(folder)
    add_one(weights)
    assert print_of(folder) != before


@pytest.mark.parametrize("place", ["../one.safetensors", "parts/../../one.safetensors", None])
def test_weights_outside_of_the_folder_are_refused(tmp_path: Path, place: str | None) -> None:
    folder = save_model(tmp_path / "model")
    (folder / "parts").mkdir()
    move_weights(folder, place or str(tmp_path / "one.safetensors"))
    with pytest.raises(UserError, match=r"index\.json names weights outside of its folder"):
        print_of(folder)


def test_a_model_of_one_file_counts_by_its_bytes(tmp_path: Path) -> None:
    path, found = tmp_path / "model.gguf", set()
    for content in (b"one", b"two"):
        path.write_bytes(content)
        found.add(fingerprint_of(str(path), None, BackboneSettings(path=str(path))))
    assert len(found) == 2


# --- from the hub -------------------------------------------------------------------------


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub."""
    cache = tmp_path / "hub"
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    return cache


def snapshot(hub: Path, name: str, commit: str) -> Path:
    """Where the cache keeps the model's newest commit."""
    home = hub / f"models--{name.replace('/', '--')}"
    folder = home / "snapshots" / (commit * 40)
    folder.mkdir(parents=True)
    (home / "refs").mkdir(exist_ok=True)
    (home / "refs" / "main").write_text(commit * 40)
    return folder


def test_a_hub_models_commit_counts(hub: Path) -> None:
    save_model(snapshot(hub, "me/model", "a"))
    before = print_of("me/model")
    assert print_of("me/model") == before
    save_model(snapshot(hub, "me/model", "b"), seed=1)
    assert print_of("me/model") != before


def save_adapter(folder: Path, base: str) -> None:
    tokenizer = word_tokenizer()
    torch.manual_seed(0)
    config = peft.LoraConfig(
        task_type="SEQ_2_SEQ_LM", target_modules=["q_proj"], init_lora_weights=False
    )
    model = peft.get_peft_model(bart_model(len(tokenizer)), config)
    model.peft_config["default"].base_model_name_or_path = base
    model.save_pretrained(folder, save_embedding_layers=False)
    model.config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def test_an_adapters_base_counts(hub: Path, tmp_path: Path) -> None:
    """In a folder by its bytes, on the hub by its commit; and so does the adapter's own commit."""
    base = save_model(tmp_path / "base")
    save_adapter(snapshot(hub, "me/adapter", "a"), str(base))
    found = [print_of("me/adapter"), print_of("me/adapter")]
    add_one(base / "model.safetensors")
    found.append(print_of("me/adapter"))
    save_adapter(snapshot(hub, "me/adapter", "b"), "me/base")
    for commit in "ab":
        save_model(snapshot(hub, "me/base", commit))
        found.append(print_of("me/adapter"))
    assert found[0] == found[1]
    assert len(set(found)) == 4


def test_an_adapters_base_is_not_named_by_where_one_stands(hub: Path, tmp_path: Path) -> None:
    save_model(tmp_path / "base")
    save_adapter(snapshot(hub, "me/adapter", "a"), str(tmp_path / "hub" / ".." / "base"))
    with pytest.raises(UserError, match=r"adapter_config\.json names its base"):
        print_of("me/adapter")
