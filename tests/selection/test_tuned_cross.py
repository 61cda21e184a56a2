"""A tuned cross-encoder starts as the frozen one, reads with both changes of its weights, and is
shipped with the head that it was tuned with."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch

from dawgen.backbone import Backbone
from dawgen.errors import UserError
from dawgen.many.run import _heads
from dawgen.selection import tuning
from dawgen.selection.adapter import Adapter
from dawgen.selection.candidates import HEADS, Made, candidates, kinds_of, lead_of, prior_of
from dawgen.selection.cross_encoder import CrossEncoder
from dawgen.selection.heads import Form, LinearHead, Recipe, Training, label_numbers, mean_loss
from dawgen.selection.parts import HeadPart, Models
from dawgen.selection.pool import PRIOR_OF_TUNED
from dawgen.selection.select import wanted
from dawgen.selection.store import load_choice
from dawgen.selection.tuned_cross import CrossReading, TunedCrossVectors
from dawgen.selection.tuning import Schedule, Tuning, tune
from dawgen.settings.selection import SelectionSettings
from dawgen.tasks import Shots
from tests.methods.small import pair_card, pair_rows
from tests.selection.test_cross_encoder import PAIRS, models_with
from tests.tuning.toy import toy_card


@pytest.fixture
def models(cross_folder: Path) -> Models:
    """With a cross-encoder whose upper one of two layers has changed."""
    return models_with(cross_folder)


def further(models: Models) -> Adapter:
    """Large random changes of what a cross-encoder tunes."""
    made = np.random.default_rng(3)
    layers = {name: models.encoder.model.get_submodule(name) for name in reading(models).layers()}
    return Adapter(
        {n: made.normal(size=(8, m.in_features)).astype(np.float32) for n, m in layers.items()},
        {n: made.normal(size=(m.out_features, 8)).astype(np.float32) for n, m in layers.items()},
    )


def reading(models: Models) -> CrossReading:
    """Of the models' cross-encoder."""
    return CrossReading(models.cross_encoder)


def test_all_linear_layers_of_the_upper_half_change(models: Models) -> None:
    layers = reading(models).layers()
    assert len(layers) == 6
    assert all(name.startswith("encoder.layer.1.") for name in layers)


def test_it_starts_with_the_vectors_of_the_frozen_one(models: Models) -> None:
    rows = pair_rows(6, 3)
    live = reading(models).live(rows).detach().numpy()
    np.testing.assert_allclose(live, reading(models).frozen(rows), atol=1e-5)


@torch.no_grad()
def test_it_reads_with_both_changes_of_its_weights(models: Models) -> None:
    encoder, adapter = models.encoder, further(models)
    read = CrossEncoder(encoder, *models.cross_encoder.adapters, adapter)
    ours = read(PAIRS)
    merged = encoder.with_changes(*read.adapters)
    for (first, second), vector in zip(PAIRS, ours, strict=True):
        found = encoder.tokenizer(
            [first], [second], truncation=True, max_length=12, return_tensors="pt"
        )
        mean = merged(**found).last_hidden_state[0].mean(dim=0)
        half = np.split(vector, 2)[0]
        np.testing.assert_allclose(half, (mean / mean.norm()).numpy(), atol=1e-4)
    assert np.abs(ours - models.cross_encoder(PAIRS)).max() > 0.01


def test_the_head_that_it_is_tuned_with_is_kept(
    models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And tells its own rows better than the head on frozen vectors that it starts from."""
    monkeypatch.setattr(tuning, "RATE_OF_SMALL", 5e-3)  # an encoder of 16 units learns slowly
    rows, card = pair_rows(24, 1), pair_card()
    gold = label_numbers(card, rows)
    frozen = models.recipe("cross")
    start = Training.of(frozen, card, rows).head(tuning.START)
    features = Tuning(reading(models), card, seed=1)(rows)
    assert isinstance(features, TunedCrossVectors)
    losses = [
        mean_loss(head.probabilities(each.of(rows)), gold, "accuracy")
        for head, each in ((start, frozen.make(rows)), (features.head, features))
    ]
    assert losses[1] < 0.95 * losses[0]
    training = Training.of(Recipe(lambda _: features, Form(scaled=True)), card, rows)
    assert training.head(0.1) is training.head(100.0) is features.head


def test_the_encoder_is_as_it_was(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    before, across = models.encoder(["a dog"]), models.cross_encoder(PAIRS)
    tune(reading(models), pair_card(), pair_rows(8, 1), seed=1)
    monkeypatch.setattr(tuning, "_step", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        tune(reading(models), pair_card(), pair_rows(8, 1), seed=1)
    np.testing.assert_array_equal(models.encoder(["a dog"]), before)
    again = CrossEncoder(models.encoder, *models.cross_encoder.adapters)
    np.testing.assert_array_equal(again(PAIRS), across)
    assert not any(each.requires_grad for each in models.encoder.model.parameters())
    assert {each.dtype for each in models.encoder.model.parameters()} == {torch.float32}


def test_weights_cast_once_give_what_autocast_gives(
    models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the last bit: autocast casts them in every call."""
    monkeypatch.setattr(tuning, "best_dtype", lambda _: "bf16")
    once, own = tune(reading(models), pair_card(), pair_rows(8, 1), seed=1)
    monkeypatch.setattr(tuning, "_casting", lambda _: nullcontext(True))
    each_time, head = tune(reading(models), pair_card(), pair_rows(8, 1), seed=1)
    for name, array in each_time.numbers().items():
        np.testing.assert_array_equal(once.numbers()[name], array)
    np.testing.assert_array_equal(own.weight, head.weight)
    monkeypatch.setattr(tuning, "best_dtype", lambda _: "fp32")
    monkeypatch.setattr(tuning, "_casting", lambda _: nullcontext(False))
    exact, _ = tune(reading(models), pair_card(), pair_rows(8, 1), seed=1)
    assert any((once.numbers()[name] != array).any() for name, array in exact.numbers().items())


def test_rows_are_tuned_on_once_and_each_half_for_itself(
    models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    head = LinearHead(np.zeros((32, 2), np.float32), np.zeros(2, np.float32))
    made = further(models), head
    monkeypatch.setattr(tuning, "tune", lambda *a: (seen.append(len(a[2])), made)[1])
    shots = Shots(pair_rows(12, 1), pair_rows(8, 2))
    names = ["tuned-cross-encoder", "tuned-cross-encoder+alignment"]
    alone, product = candidates(names, shots, Made(), models, seed=1)
    assert seen == [12, 8]
    assert alone.known.all()
    assert (alone.leads, product.leads) == (0, 2)
    for each in (alone, product):
        each.ship()
    assert seen == [12, 8, 20]


def test_it_comes_back_from_its_files(
    models: Models, cross_folder: Path, encoder_folder: Path, tmp_path: Path
) -> None:
    shots, rows = Shots(pair_rows(8, 1), pair_rows(8, 2)), pair_rows(5, 7)
    (found,) = candidates(["tuned-cross-encoder+alignment"], shots, Made(), models, seed=1)
    choice = found.ship()
    assert choice.reads_with == {"encoder"}
    choice.save(tmp_path / "run", models, {})
    again = load_choice(tmp_path / "run", models_with(cross_folder))
    (part, _) = again.parts
    assert isinstance(part, HeadPart)
    assert isinstance(part.features, TunedCrossVectors)
    np.testing.assert_allclose(choice.probabilities(rows), again.probabilities(rows), atol=1e-6)
    with pytest.raises(UserError, match="no cross-encoder"):
        load_choice(tmp_path / "run", models_with(encoder_folder))


def test_with_its_exponent_the_head_is_that_to_a_power(models: Models, tiny_t5: Backbone) -> None:
    """In a product the probabilities are in proportion to Π p_k^a_k of the heads alone."""
    shots, rows = Shots(pair_rows(8, 1), pair_rows(8, 2)), pair_rows(5, 7)
    names = ["alignment", "tuned-cross-encoder", "tuned-cross-encoder+alignment"]
    word_match, tuned, both = candidates(names, shots, Made(), models, seed=1)
    logs = [np.log(each.ship().probabilities(rows)) for each in (tuned, word_match)]
    found = np.log(both.ship().probabilities(rows))
    sides = [each[:, 0] - each[:, 1] for each in (*logs, found)]
    powers, *_ = np.linalg.lstsq(np.stack(sides[:2], axis=1), sides[2], rcond=None)
    np.testing.assert_allclose(np.stack(sides[:2], axis=1) @ powers, sides[2], atol=1e-3)
    assert np.abs(powers - 0.5).max() < 0.2  # held out by halves, so they stay near equal shares


def test_where_it_leads_and_where_it_is_left_out(cross_folder: Path) -> None:
    kinds = {name: kinds_of(name, is_pair=True, crosses=True) for name in HEADS}
    leads = {name: lead_of(each) for name, each in kinds.items()}
    most = [name for name in leads if leads[name] == max(leads.values())]
    assert most == ["cross-encoder+alignment", "tuned-cross-encoder+alignment"]
    assert leads["tuned-embeddings+states"] == leads["embeddings+states"] == 1
    assert prior_of(kinds["tuned-cross-encoder+alignment"]) == PRIOR_OF_TUNED
    assert prior_of(kinds["cross-encoder+alignment"]) is None
    quick = SelectionSettings(encoder=str(cross_folder))
    everything = quick.model_copy(update={"candidates": "all"})
    assert not [name for name in wanted(quick, pair_card()) if "tuned" in name]
    assert "tuned-cross-encoder+alignment" in wanted(everything, pair_card())
    assert not [name for name in wanted(everything, toy_card()) if "cross" in name]


def test_several_labels_per_text_have_none(models: Models, cross_folder: Path) -> None:
    """It learns from rows of one label each."""
    settings = models.settings
    names = _heads(settings, pair_card())
    assert "cross-encoder" in names
    assert not [name for name in names if "tuned" in name]


def test_few_rows_are_seen_more_often() -> None:
    """72 steps, but no more than 12 epochs."""
    order, schedule = torch.Generator().manual_seed(1), Schedule(72, 12)
    assert [len(schedule.batches(rows, order)) for rows in (32, 64, 96, 400)] == [24, 48, 72, 75]
