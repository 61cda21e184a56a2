"""A choice comes back from its files and labels rows as before, whatever it is made of."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from dawgen.backbone import Backbone
from dawgen.errors import UserError
from dawgen.selection import store
from dawgen.selection.candidates import Made, candidates
from dawgen.selection.parts import Models
from dawgen.selection.store import load_choice
from dawgen.settings import Settings
from dawgen.settings.layers import build_settings
from dawgen.tasks import Row, Shots, TaskCard
from tests.methods.small import pair_card, pair_rows, sentence_shots
from tests.tuning.toy import toy_card, toy_rows

NAMES = [
    *("tfidf", "embeddings", "states", "tuned-embeddings", "tuned-embeddings+states"),
    *("zero-shot", "prompt", "noisy-channel", "average"),
]


def settings_with(encoder: Path) -> Settings:
    """The embedded preset with the test's encoder."""
    return build_settings(overrides=[f"selection.encoder={encoder}"])[0]


def made(backbone: Backbone) -> Made:
    """Random prompts of two vectors."""
    torch.manual_seed(0)
    prompts = torch.randn(3, 2, backbone.hidden_size)
    return Made(toy_rows(6, 9), {"prompt": prompts[0]}, (prompts[1:], None))


@pytest.mark.parametrize("kind", ["text", "pair"])
def test_every_candidate_comes_back_as_it_was(
    kind: str, tiny_t5: Backbone, encoder_folder: Path, tmp_path: Path
) -> None:
    card: TaskCard = toy_card() if kind == "text" else pair_card()
    shots = sentence_shots() if kind == "text" else Shots(pair_rows(8, 1), pair_rows(8, 2))
    rows: list[Row] = toy_rows(5, 7) if kind == "text" else pair_rows(5, 7)
    settings = settings_with(encoder_folder)
    models = Models(card, settings, tiny_t5)
    names = [*NAMES, "alignment"] if kind == "pair" else NAMES
    found = candidates(names, shots, made(tiny_t5), models, seed=13)
    assert {each.name for each in found} == {*names}
    for each in found:
        choice = each.ship()
        choice.save(tmp_path / each.name, models, {})
        again = load_choice(tmp_path / each.name, Models(card, settings, tiny_t5))
        before, after = choice.probabilities(rows), again.probabilities(rows)
        np.testing.assert_allclose(before, after, atol=1e-6)
        np.testing.assert_allclose(after.sum(axis=1), 1, atol=1e-5)


def test_counted_words_need_no_model(tiny_t5: Backbone, tmp_path: Path) -> None:
    settings = settings_with(tmp_path / "nowhere")
    (found,) = candidates(
        ["tfidf"], sentence_shots(), Made(), Models(toy_card(), settings, tiny_t5), seed=1
    )
    found.ship().save(tmp_path / "choice", Models(toy_card(), settings), {})
    models = Models(toy_card(), settings)
    load_choice(tmp_path / "choice", models).probabilities(toy_rows(2, 3))
    assert "backbone" not in vars(models)


def test_parts_of_an_earlier_version_are_averaged(
    tiny_t5: Backbone, encoder_folder: Path, tmp_path: Path
) -> None:
    models = Models(toy_card(), settings_with(encoder_folder), tiny_t5)
    (found,) = candidates(["embeddings+states"], sentence_shots(), Made(), models, seed=1)
    shipped, rows = found.ship(), toy_rows(4, 3)
    shipped.save(tmp_path, models, {})
    loaded = load_choice(tmp_path, models)
    assert loaded.groups == [0, 0]
    expected = shipped.probabilities(rows)
    np.testing.assert_allclose(loaded.probabilities(rows), expected, atol=1e-6)
    about = json.loads((tmp_path / "choice.json").read_text("utf-8"))
    for part in about["parts"]:
        del part["group"]
    (tmp_path / "choice.json").write_text(json.dumps(about))
    parts = [part.probabilities(rows) for part in shipped.parts]
    earlier = load_choice(tmp_path, models).probabilities(rows)
    np.testing.assert_allclose(earlier, np.mean(parts, axis=0), atol=1e-6)


def test_another_encoder_is_warned_of(
    tiny_t5: Backbone, encoder_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = Models(toy_card(), settings_with(encoder_folder), tiny_t5)
    (found,) = candidates(["embeddings"], sentence_shots(), Made(), models, seed=1)
    found.ship().save(tmp_path, models, {})
    about = json.loads((tmp_path / "choice.json").read_text("utf-8"))
    about["models"]["encoder"] = "another"
    (tmp_path / "choice.json").write_text(json.dumps(about))
    load_choice(tmp_path, models)
    assert "selection.encoder" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["choice.json", "words.json"])
def test_a_damaged_file_is_named(
    name: str, tiny_t5: Backbone, encoder_folder: Path, tmp_path: Path
) -> None:
    models = Models(toy_card(), settings_with(encoder_folder), tiny_t5)
    (found,) = candidates(["tfidf"], sentence_shots(), Made(), models, seed=1)
    found.ship().save(tmp_path, models, {})
    (tmp_path / name).write_text('{"parts": [{}]}')
    with pytest.raises(UserError, match="run the command that wrote it again"):
        load_choice(tmp_path, models)


def test_rows_in_pieces_get_what_they_get_at_once(
    tiny_t5: Backbone, encoder_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = Models(pair_card(), settings_with(encoder_folder), tiny_t5)
    shots = Shots(pair_rows(8, 1), pair_rows(8, 2))
    (found,) = candidates(["embeddings+states"], shots, Made(), models, seed=1)
    choice, rows = found.ship(), pair_rows(7, 3)
    whole = choice.probabilities(rows)
    monkeypatch.setattr(store, "ROWS_AT_ONCE", 3)
    np.testing.assert_allclose(choice.probabilities(rows), whole, atol=1e-6)
    assert choice.probabilities([]).shape == (0, 2)
