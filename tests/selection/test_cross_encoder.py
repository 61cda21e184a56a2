"""A cross-encoder reads both texts of a pair as transformers and PEFT do, and is a candidate where
the encoder has one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import torch
from peft import LoraConfig, get_peft_model, set_peft_model_state_dict
from transformers import AutoModel

from dawgen.backbone import Backbone
from dawgen.errors import UserError
from dawgen.selection import cross_encoder
from dawgen.selection.adapter import read_adapter
from dawgen.selection.candidates import Made, candidates, kinds_of
from dawgen.selection.cross_encoder import CrossEncoder, adapter_file
from dawgen.selection.encoder import SentenceEncoder
from dawgen.selection.parts import HeadPart, Models
from dawgen.selection.select import wanted
from dawgen.selection.store import load_choice
from dawgen.settings.layers import build_settings
from dawgen.settings.selection import SelectionSettings
from dawgen.tasks import Shots
from tests.methods.small import pair_card, pair_rows
from tests.tuning.toy import toy_card

PAIRS = [
    ("the dog sleeps", "a cat eats"),
    ("a", "two old men eat in the park near a very old house and it is cold"),
    ("", "the house"),
]


def models_with(folder: Path, backbone: Backbone | None = None) -> Models:
    """Of pairs, read with the encoder of a folder."""
    settings, _ = build_settings(overrides=[f"selection.encoder={folder}"])
    return Models(pair_card(), settings, backbone)


@torch.no_grad()
def test_both_texts_are_read_as_by_transformers_and_peft(cross_folder: Path) -> None:
    file = adapter_file(str(cross_folder))
    assert file is not None
    adapter = read_adapter(file)
    encoder = SentenceEncoder(str(cross_folder), "cpu")
    ours = CrossEncoder(encoder, adapter)(PAIRS)
    config = LoraConfig(r=2, lora_alpha=4, target_modules=list(adapter.down))
    theirs = get_peft_model(AutoModel.from_pretrained(cross_folder), config).eval()
    start = "base_model.model."
    state = {f"{start}{n}.lora_A.weight": torch.from_numpy(a) for n, a in adapter.down.items()}
    state |= {f"{start}{n}.lora_B.weight": torch.from_numpy(a) for n, a in adapter.up.items()}
    set_peft_model_state_dict(theirs, state)
    for (first, second), vector in zip(PAIRS, ours, strict=True):
        for half, texts in zip(
            np.split(vector, 2), ((first, second), (second, first)), strict=True
        ):
            both = ([text] for text in texts)
            read = encoder.tokenizer(*both, truncation=True, max_length=12, return_tensors="pt")
            inputs = {name: read[name] for name in ("input_ids", "attention_mask")}
            mean = theirs(**inputs).last_hidden_state[0].mean(dim=0)
            np.testing.assert_allclose(half, (mean / mean.norm()).numpy(), atol=1e-5)
    with_none = np.hstack([encoder.read_pairs([pair]) for pair in (PAIRS[0], PAIRS[0][::-1])])
    assert np.abs(with_none - ours[0]).max() > 0.01


def test_a_pair_is_read_once_as_long_as_it_is_remembered(
    cross_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = models_with(cross_folder)
    read, seen = models.cross_encoder, []
    whole = read(PAIRS)
    plain = SentenceEncoder.read_pairs
    monkeypatch.setattr(
        SentenceEncoder, "read_pairs", lambda self, pairs: seen.append(pairs) or plain(self, pairs)
    )
    np.testing.assert_array_equal(read([PAIRS[1], PAIRS[1]]), whole[[1, 1]])
    assert not seen
    monkeypatch.setattr(cross_encoder, "_REMEMBERED", 3)
    np.testing.assert_allclose(read([("x", "y"), PAIRS[0]])[1], whole[0])
    assert seen == [[("x", "y"), ("y", "x")]]
    read(PAIRS)  # of which one is remembered still
    assert len(seen[1]) == 4


def test_where_the_encoder_has_one_it_is_a_factor_of_the_product(
    cross_folder: Path, encoder_folder: Path, tiny_t5: Backbone, tmp_path: Path
) -> None:
    """And comes back from its files, but not to another cross-encoder."""
    shots, rows = Shots(pair_rows(8, 1), pair_rows(8, 2)), pair_rows(5, 7)
    models = models_with(cross_folder, tiny_t5)
    names = ["cross-encoder", "cross-encoder+alignment", "embeddings+states"]
    found = candidates(names, shots, Made(), models, seed=13)
    kinds = [[part.kind for part in each.ship().parts] for each in found]
    whole = ["alignment", "cross", "embeddings", "answers"]
    assert kinds == [["cross"], ["cross", "alignment"], whole]
    assert [each.leads for each in found] == [0, 2, 1]
    for each in found:
        choice = each.ship()
        assert choice.reads_with >= {"encoder"}
        choice.save(tmp_path / each.name, models, {})
        again = load_choice(tmp_path / each.name, models_with(cross_folder, tiny_t5))
        before, after = choice.probabilities(rows), again.probabilities(rows)
        np.testing.assert_allclose(before, after, atol=1e-6)
    (plain,) = candidates(names[2:], shots, Made(), models_with(encoder_folder, tiny_t5), seed=13)
    assert [part.kind for part in plain.ship().parts] == ["alignment", "embeddings", "answers"]
    other = shutil.copytree(cross_folder, tmp_path / "other")
    numbers = safetensors.numpy.load_file(cross_folder / "cross_encoder.safetensors")
    changed = {name: each + np.float16(1) for name, each in numbers.items()}
    safetensors.numpy.save_file(changed, other / "cross_encoder.safetensors")
    for folder, reason in ((other, "another version"), (encoder_folder, "no cross-encoder")):
        with pytest.raises(UserError, match=reason):
            load_choice(tmp_path / "cross-encoder", models_with(folder, tiny_t5))


@pytest.mark.parametrize("names", [[], ["down.layer", "up.layer"]])
def test_changes_of_another_model_are_an_error(
    names: list[str], cross_folder: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(cross_folder, tmp_path / "encoder")
    numbers = {name: np.ones((2, 2), np.float16) for name in names}
    safetensors.numpy.save_file(numbers, folder / "cross_encoder.safetensors")
    with pytest.raises(UserError, match="layers differ"):
        assert models_with(folder).cross_encoder


def test_what_is_asked_for(
    cross_folder: Path, encoder_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Encoders without one, and single texts, have no such candidate; a list says what is wrong."""
    for folder, some in ((cross_folder, True), (encoder_folder, False)):
        quick = SelectionSettings(encoder=str(folder))
        names = [name for name in wanted(quick, pair_card()) if "cross" in name]
        alone = ["cross-encoder", "cross-encoder+alignment"]
        assert names == [each + more for each in alone * some for more in ("", "+written")]
        assert "cross-encoder" not in wanted(quick, toy_card())
        states = [name for name in wanted(quick, pair_card()) if "states" in name]
        assert bool(states) is not some  # which bring nothing beside it, and take minutes
        assert "states" in wanted(quick, toy_card())
    asked = SelectionSettings(encoder=str(encoder_folder), candidates=["cross-encoder"])
    assert wanted(asked, pair_card()) == ["cross-encoder"]
    shots = Shots(pair_rows(8, 1), pair_rows(8, 2))
    with pytest.raises(UserError, match=r"selection\.encoder to mpnet"):
        candidates(["cross-encoder"], shots, Made(), models_with(encoder_folder), seed=1)
    with pytest.raises(UserError, match="two texts"):
        wanted(asked, toy_card())


def test_kinds_of_a_product() -> None:
    assert kinds_of("embeddings+states", is_pair=False, crosses=True) == ("embeddings", "answers")
    assert kinds_of("embeddings", is_pair=True, crosses=True) == ("embeddings",)


def test_the_changes_that_dawgen_holds_fit_mpnet() -> None:
    """12 layers of 768 and 3,072 units, of which the upper nine change."""
    file = adapter_file("dawgen/mpnet")
    assert file is not None
    assert file.stat().st_size < 5_000_000
    adapter = read_adapter(file)
    layers = {int(name.split(".")[2]) for name in adapter.down}
    assert layers == {*range(3, 12)}
    assert len(adapter.down) == len(adapter.up) == 9 * 6
    for name, down in adapter.down.items():
        up = adapter.up[name]
        wide = {"intermediate": (768, 3072), "output": (3072, 768)}
        shape = (768, 768) if "attention" in name else wide[name.split(".")[3]]
        assert (down.shape, up.shape) == ((16, shape[0]), (shape[1], 16)), name
        assert np.isfinite(down).all()
        assert np.isfinite(up).all()
    assert adapter_file("dawgen/minilm") is None


def test_figures_on_a_task_that_it_has_learnt_from_are_warned_of(
    cross_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Not where the encoder is the user's own, nor of another task."""
    shutil.copy(cross_folder / "cross_encoder.safetensors", tmp_path / "mpnet.safetensors")
    monkeypatch.setattr(cross_encoder, "_FOLDER", tmp_path)
    models = models_with(cross_folder)
    models.card = models.card.model_copy(update={"name": "snli"})
    assert models.cross_encoder
    assert "learnt" not in capsys.readouterr().err
    for name, warned in (("snli", True), ("sick", False)):
        settings, _ = build_settings(overrides=["selection.encoder=mpnet"])
        models = Models(pair_card().model_copy(update={"name": name}), settings)
        models.encoder = SentenceEncoder(str(cross_folder), "cpu")  # the real one is no test's
        assert models.cross_encoder
        assert ("rows of snli" in capsys.readouterr().err) is warned


@pytest.mark.parametrize("name", ["mpnet", "dawgen/mpnet"])
def test_it_is_found_by_either_name(name: str) -> None:
    settings = SelectionSettings(encoder=name)
    assert adapter_file(settings.encoder) == adapter_file("dawgen/mpnet")


def test_words_name_the_cross_encoder(cross_folder: Path, tiny_t5: Backbone) -> None:
    models = models_with(cross_folder, tiny_t5)
    shots = Shots(pair_rows(8, 1), pair_rows(8, 2))
    (found,) = candidates(["cross-encoder"], shots, Made(), models, seed=1)
    (part,) = found.ship().parts
    assert isinstance(part, HeadPart)
    assert json.loads(json.dumps(part.words())) == {
        "adapter": models.cross_encoder.adapters[0].fingerprint
    }
    assert not any(name.startswith(("down", "up")) for name in part.numbers())
