"""A tuned encoder reads as PEFT's own model does, leaves the encoder as it was, and tells labels
apart that frozen vectors do not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model, set_peft_model_state_dict
from transformers import AutoModel

from dawgen.selection import tuned, tuning
from dawgen.selection.adapter import RANK, SCALE, Adapter
from dawgen.selection.candidates import HEADS, Made, candidates, kinds_of, lead_of
from dawgen.selection.encoder import SentenceEncoder
from dawgen.selection.features import TextVectors, joined
from dawgen.selection.heads import fit_head, halves, label_numbers, mean_loss
from dawgen.selection.parts import Models
from dawgen.selection.select import wanted
from dawgen.selection.tuned import TextReading, TunedEncoder
from dawgen.selection.tuning import Schedule, Tuning, tune
from dawgen.settings.layers import build_settings
from dawgen.settings.selection import SelectionSettings
from dawgen.tasks import Row, Shots
from tests.methods.small import pair_card, pair_rows
from tests.tuning.toy import toy_card, toy_rows

TEXTS = ["the dog sleeps", "a", "two old men eat in the park near a very old house and it is cold"]


@pytest.fixture
def encoder(encoder_folder: Path) -> SentenceEncoder:
    """That reads on the processor."""
    return SentenceEncoder(str(encoder_folder), "cpu")


def random_adapter(encoder: SentenceEncoder) -> Adapter:
    """Of large changes."""
    made = np.random.default_rng(1)
    names = TextReading(encoder, is_pair=False).layers()
    width = encoder.model.config.hidden_size
    return Adapter(
        {name: made.normal(size=(RANK, width)).astype(np.float32) for name in names},
        {name: made.normal(size=(width, RANK)).astype(np.float32) for name in names},
    )


@torch.no_grad()
def test_it_reads_as_pefts_model_with_the_same_numbers(
    encoder: SentenceEncoder, encoder_folder: Path
) -> None:
    adapter = random_adapter(encoder)
    assert len(adapter.down) == 2 * 4  # query, key, value and output of two layers
    names = list(adapter.down)
    config = LoraConfig(r=RANK, lora_alpha=int(SCALE * RANK), target_modules=names)
    theirs = get_peft_model(AutoModel.from_pretrained(encoder_folder), config).eval()
    start = "base_model.model."
    state = {f"{start}{n}.lora_A.weight": torch.from_numpy(a) for n, a in adapter.down.items()}
    state |= {f"{start}{n}.lora_B.weight": torch.from_numpy(a) for n, a in adapter.up.items()}
    set_peft_model_state_dict(theirs, state)
    ours = TunedEncoder(encoder, adapter)(TEXTS)
    for text, vector in zip(TEXTS, ours, strict=True):
        inputs = encoder.tokenizer([text], truncation=True, max_length=12, return_tensors="pt")
        mean = theirs(**inputs).last_hidden_state[0].mean(dim=0)
        np.testing.assert_allclose(vector, (mean / mean.norm()).numpy(), atol=1e-5)
    assert np.abs(ours - encoder(TEXTS)).max() > 0.01
    merged = encoder.with_changes(adapter)
    inputs = encoder.tokenizer([TEXTS[0]], return_tensors="pt")
    theirs = theirs(**inputs).last_hidden_state
    torch.testing.assert_close(merged(**inputs).last_hidden_state, theirs, rtol=1e-4, atol=1e-5)


def test_numbers_come_back() -> None:
    adapter = Adapter({"a.b": np.ones((8, 3), np.float32)}, {"a.b": np.ones((2, 8), np.float32)})
    again = Adapter.of_numbers({"weight": 1, **adapter.numbers()})
    np.testing.assert_array_equal(again.changes()["a.b"], np.full((2, 3), 8 * SCALE))


def test_the_encoder_is_as_it_was(
    encoder: SentenceEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = encoder(TEXTS)
    names = [name for name, _ in encoder.model.named_parameters()]
    tune(TextReading(encoder, is_pair=False), toy_card(), toy_rows(4, 1), seed=1)
    monkeypatch.setattr(tuning, "_step", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        tune(TextReading(encoder, is_pair=False), toy_card(), toy_rows(4, 1), seed=1)
    with pytest.raises(ZeroDivisionError), encoder.changed(random_adapter(encoder)):
        1 / 0  # noqa: B018
    assert [name for name, _ in encoder.model.named_parameters()] == names
    assert not any(each.requires_grad for each in encoder.model.parameters())
    np.testing.assert_array_equal(encoder(TEXTS), before)


@pytest.mark.parametrize("kind", ["text", "pair"])
def test_labels_are_easier_to_tell_by_tuned_vectors(
    kind: str, encoder: SentenceEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the rows that it is tuned on; a head on frozen vectors of 16 numbers cannot tell all."""
    monkeypatch.setattr(tuned, "EPOCHS", 30)  # an encoder of 16 units learns slowly
    monkeypatch.setattr(tuned, "STEPS", 60)
    pair = kind == "pair"
    card, rows = (pair_card(), pair_rows(24, 1)) if pair else (toy_card(), toy_rows(24, 1))
    gold = label_numbers(card, rows)
    frozen = TextVectors(encoder, is_pair=pair).of(rows)
    found = Tuning(TextReading(encoder, pair), card, seed=1)(rows).of(rows)
    losses = [
        mean_loss(fit_head(each, gold, len(card.labels), 1.0).probabilities(each), gold, "accuracy")
        for each in (frozen, found)
    ]
    assert losses[1] < 0.9 * losses[0]


def test_the_same_rows_and_seed_give_the_same(encoder: SentenceEncoder) -> None:
    rows = toy_rows(6, 1)
    first, again, other = (
        tune(TextReading(encoder, is_pair=False), toy_card(), rows, seed)[0].numbers()
        for seed in (1, 1, 2)
    )
    for name, array in first.items():
        np.testing.assert_array_equal(again[name], array)
    assert any((other[name] != array).any() for name, array in first.items())


def test_rows_are_tuned_on_once(encoder: SentenceEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    adapter = random_adapter(encoder)
    monkeypatch.setattr(
        tuning, "tune", lambda _, __, rows, ___: seen.append(len(rows)) or (adapter, None)
    )
    tune_on, rows = Tuning(TextReading(encoder, is_pair=False), toy_card(), seed=1), toy_rows(4, 1)
    first, again = tune_on(rows), tune_on(list(rows))
    assert first is again
    tune_on(rows[:2])
    assert seen == [4, 2]


def test_few_rows_are_seen_more_often() -> None:
    """48 steps, but no more than 10 epochs and no fewer than 2."""
    order = torch.Generator().manual_seed(1)
    batches = {rows: Schedule(48, 10).batches(rows, order) for rows in (8, 64, 120, 1000)}
    assert [len(each) for each in batches.values()] == [10, 40, 48, 126]
    for rows, each in batches.items():
        seen = torch.cat(each).bincount()
        assert len(seen) == rows
        assert len(seen.unique()) == 1


def test_gradients_are_of_the_vectors_that_are_read(encoder: SentenceEncoder) -> None:
    found = encoder.vectors(TEXTS)
    np.testing.assert_allclose(found.detach().numpy(), encoder(TEXTS), atol=1e-6)
    encoder.model.requires_grad_(True)
    encoder.vectors(TEXTS)[1].sum().backward()
    grad = encoder.model.get_input_embeddings().weight.grad
    (used,) = encoder.tokenizer(["a"])["input_ids"]
    assert {*grad.abs().sum(dim=1).nonzero().flatten().tolist()} <= {*used}


def test_a_pairs_features_worked_by_hand() -> None:
    u, v = torch.tensor([1.0, 2.0, 0.0, 0.0]), torch.tensor([3.0, 1.0, 0.0, 0.0])
    expected = [1, 2, 0, 0, 3, 1, 0, 0, 8, 4, 0, 0, 6, 4, 0, 0]
    assert joined(u, v).tolist() == expected


def test_halves_are_the_two_parts_where_each_has_every_label() -> None:
    gold = np.array([0, 1, 0, 1, 0])
    (train, test), (other, rest) = halves(gold, 1, cut=2)
    assert train.tolist() == rest.tolist() == [0, 1]
    assert test.tolist() == other.tolist() == [2, 3, 4]
    for cut in (0, 1, 5):
        parts = list(halves(gold, 1, cut))
        assert sorted(np.concatenate([test for _, test in parts])) == [*range(5)]
        assert all({*gold[train]} == {0, 1} for train, _ in parts)


def test_one_label_counts_as_much_as_another_where_the_metric_says_so(
    encoder: SentenceEncoder,
) -> None:
    rows = [*toy_rows(6, 1), *(row for row in toy_rows(12, 2) if row.label == toy_card().labels[0])]
    plain = toy_card()
    fair = plain.model_copy(update={"metric": "macro-f1"})
    first, second = (
        tune(TextReading(encoder, is_pair=False), card, rows, 1)[0].numbers()
        for card in (plain, fair)
    )
    assert any((second[name] != array).any() for name, array in first.items())


def test_with_written_rows_the_encoder_is_tuned_on_the_real_ones(
    encoder_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And only once: on either half, and on all."""
    seen: list[int] = []
    models = Models(
        toy_card(), build_settings(overrides=[f"selection.encoder={encoder_folder}"])[0]
    )
    adapter = random_adapter(models.encoder)
    monkeypatch.setattr(
        tuning, "tune", lambda _, __, rows, ___: seen.append(len(rows)) or (adapter, None)
    )
    shots, made = Shots(toy_rows(12, 1), toy_rows(8, 2)), Made(toy_rows(30, 3))
    names = ["tuned-embeddings", "tuned-embeddings+written"]
    alone, with_written = candidates(names, shots, made, models, seed=1)
    assert seen == [12, 8]
    assert alone.known.all()
    assert with_written.known.tolist() == [False] * 12 + [True] * 8
    chances = [each.ship().probabilities(shots.dev) for each in (alone, with_written)]
    assert seen == [12, 8, 20]
    assert np.abs(chances[0] - chances[1]).max() > 1e-4


def test_quick_tunes_an_encoder_on_single_texts_only(encoder_folder: Path) -> None:
    quick = SelectionSettings(encoder=str(encoder_folder))
    assert {"tuned-embeddings", "tuned-embeddings+states"} <= {*wanted(quick, toy_card())}
    assert not [name for name in wanted(quick, pair_card()) if "tuned" in name]
    everything = quick.model_copy(update={"candidates": "all"})
    assert "tuned-embeddings+states" in wanted(everything, pair_card())


def test_a_product_with_a_tuned_encoder_leads_of_single_texts() -> None:
    of_one = [name for name in HEADS if "cross" not in name]
    leads = {name: lead_of(kinds_of(name, is_pair=False)) for name in of_one}
    most = max(leads, key=lambda name: leads[name])
    assert most == "tuned-embeddings+states"
    assert leads["embeddings+states"] == 1
    of_pairs = {name: lead_of(kinds_of(name, is_pair=True)) for name in HEADS}
    assert of_pairs["tuned-embeddings+states"] == of_pairs["embeddings+states"] == 1
    assert not leads["tuned-embeddings"]


def test_a_row_without_text_is_read(encoder: SentenceEncoder) -> None:
    rows = [*toy_rows(4, 1), Row("", None, toy_card().labels[0])]
    found = Tuning(TextReading(encoder, is_pair=False), toy_card(), seed=1)(rows).of(rows)
    assert np.isfinite(found).all()
