"""Tuning all weights: of a copy, by the right losses, to the step that the dev rows choose."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from dawgen.backbone import Backbone
from dawgen.errors import UserError
from dawgen.methods import fine_tuning as module
from dawgen.methods.fine_tuning import (
    fine_tuning,
    name_ids,
    name_losses,
    prompt_fine_tuning,
    soft_prompt_fine_tuning,
    template_job,
    without_template,
    word_losses,
)
from dawgen.methods.weights import TunedWeights, WeightsJob, tune_weights
from dawgen.settings import Settings
from dawgen.streams import Streams
from dawgen.tasks import Shots
from dawgen.tuning.rows import encode
from tests.methods.small import (
    MODELS,
    pair_card,
    pair_shots,
    pair_task,
    sentence_shots,
    sentence_task,
    short_rows,
    small_settings,
)
from tests.tuning.toy import toy_card, toy_rows

METHODS = [fine_tuning, prompt_fine_tuning, soft_prompt_fine_tuning]
FINE = "methods.fine_tuning"
LEARNS = (
    f"{FINE}.optimizer=adamw",
    f"{FINE}.learning_rate=0.003",
    f"{FINE}.steps=16",
    f"{FINE}.eval_every=4",
    f"{FINE}.batch_size=8",
)


def weights_of(backbone: Backbone) -> dict[str, Tensor]:
    return {name: w.detach().clone() for name, w in backbone.model.named_parameters()}


def name_job(backbone: Backbone, shots: Shots) -> WeightsJob:
    card, names = without_template(pair_card(), backbone), name_ids(pair_card(), backbone)
    train, dev = (encode(card, rows, backbone, 20) for rows in shots)
    none = torch.zeros(0, backbone.hidden_size)
    return WeightsJob(card, train, dev, names, name_losses, none)


def word_job(backbone: Backbone, shots: Shots, length: int = 0) -> WeightsJob:
    """With a soft prompt of that length; words of two tokens, so that every weight has a say."""
    words = {"positive": "yes great", "negative": "no bad"}
    card = toy_card().model_copy(update={"label_words": words})
    start = torch.randn(length, backbone.hidden_size, generator=torch.Generator().manual_seed(0))
    return template_job(card, shots, backbone, start)


def tuned_by(job: WeightsJob, backbone: Backbone, *overrides: str, seed: int = 13) -> TunedWeights:
    return tune_weights(job, backbone, small_settings(*overrides), Streams(seed))


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("kind", ["names", "words", "soft prompt"])
def test_every_weight_of_the_copy_moves_and_none_of_the_callers(
    name: str, kind: str, request: pytest.FixtureRequest
) -> None:
    backbone: Backbone = request.getfixturevalue(name)
    if kind == "names":
        job = name_job(backbone, pair_shots())
    else:
        job = word_job(backbone, sentence_shots(), 3 if kind == "soft prompt" else 0)
    before = weights_of(backbone)
    job = WeightsJob(**{**vars(job), "dev": job.train})
    rates = [f"{FINE}.learning_rate=1e-6", f"{FINE}.prompt_learning_rate=1e-5"]
    tuned = tuned_by(job, backbone, f"{FINE}.steps=1", f"{FINE}.batch_size=8", *rates)
    assert tuned.best_step == 1  # a step so small is downhill
    for weight, old in zip(backbone.model.parameters(), before.values(), strict=True):
        assert torch.equal(weight, old)
        assert not weight.requires_grad
    assert tuned.parameters == sum(w.numel() for w in before.values()) + tuned.prompt.numel()
    for key, weight in tuned.backbone.model.named_parameters():
        assert not torch.equal(weight, before[key]), key
    assert tuned.prompt.shape == job.start.shape
    if kind == "soft prompt":
        assert (tuned.prompt != job.start).any(dim=1).all()


def test_weights_and_prompt_have_rates_of_their_own(tiny_t5: Backbone) -> None:
    """AdamW's first step is the rate itself, whatever the gradient."""
    job = word_job(tiny_t5, Shots(*[toy_rows(4, seed=1)] * 2), 3)
    options = [f"{FINE}.optimizer=adamw", f"{FINE}.steps=1", "tuning.weight_decay=0"]
    rates = [f"{FINE}.learning_rate=1e-5", f"{FINE}.prompt_learning_rate=1e-4"]
    tuned = tuned_by(job, tiny_t5, *options, *rates)
    assert tuned.best_step == 1
    moved = (tuned.prompt - job.start).abs()
    assert moved.median().item() == pytest.approx(1e-4, rel=0.05)
    old = weights_of(tiny_t5)["encoder.block.0.layer.0.SelfAttention.v.weight"]
    new = weights_of(tuned.backbone)["encoder.block.0.layer.0.SelfAttention.v.weight"]
    assert (new - old).abs().median().item() == pytest.approx(1e-5, rel=0.05)


def test_a_clipped_gradient_moves_less(tiny_t5: Backbone) -> None:
    """A norm far below AdamW's 1e-8 shows the clipping that its own scaling hides."""
    job = word_job(tiny_t5, Shots(*[toy_rows(4, seed=1)] * 2))
    options = [f"{FINE}.optimizer=adamw", f"{FINE}.steps=1", f"{FINE}.learning_rate=1e-5"]
    key, old = "decoder.final_layer_norm.weight", weights_of(tiny_t5)
    moved = []
    for norm in ("null", "1e-12"):
        tuned = tuned_by(job, tiny_t5, *options, f"{FINE}.max_grad_norm={norm}")
        moved.append((weights_of(tuned.backbone)[key] - old[key]).abs().max().item())
    assert moved[1] < 0.01 * moved[0]


def test_pieces_add_up_to_the_whole_step(tiny_t5: Backbone) -> None:
    """T5 of the tests has no dropout, so cutting a step into pieces changes rounding alone."""
    job = word_job(tiny_t5, sentence_shots())
    options = [f"{FINE}.optimizer=adamw", f"{FINE}.learning_rate=1e-4", f"{FINE}.batch_size=8"]
    whole = tuned_by(job, tiny_t5, *options)
    pieces = tuned_by(job, tiny_t5, *options, "tuning.tokens_per_batch=20")
    np.testing.assert_allclose(whole.losses, pieces.losses, rtol=1e-3)
    assert whole.losses != pieces.losses


@pytest.mark.parametrize("length", [0, 3])
def test_a_toy_is_learnt_and_the_best_step_kept(length: int, tiny_bart: Backbone) -> None:
    job = word_job(tiny_bart, Shots(short_rows(8, seed=1), short_rows(8, seed=2)), length)
    tuned = tuned_by(job, tiny_bart, *LEARNS, f"{FINE}.prompt_learning_rate=0.01")
    assert np.mean(tuned.losses[-4:]) < 0.5 * np.mean(tuned.losses[:4])
    assert list(tuned.looks) == [0, 4, 8, 12, 16]
    ranked = sorted(tuned.looks, key=lambda s: (-tuned.looks[s].accuracy, tuned.looks[s].loss, s))
    assert tuned.best_step == ranked[0] > 0
    assert tuned.looks[tuned.best_step].accuracy == 1
    again = dev_loss(job, tuned)
    assert again == pytest.approx(tuned.looks[tuned.best_step].loss, rel=1e-3)
    assert again < 0.5 * tuned.looks[0].loss


@torch.no_grad()
def dev_loss(job: WeightsJob, tuned: TunedWeights) -> float:
    losses = []
    for ids, target in zip(job.dev.ids, job.dev.targets, strict=True):
        scores = tuned.backbone.label_scores(tuned.prompt[None], [ids], job.words)
        losses.append(-float(torch.log_softmax(scores, dim=-1)[0, int(target.argmax())]))
    return float(np.mean(losses))


def test_where_training_harms_an_early_step_is_kept(tiny_bart: Backbone) -> None:
    """The development rows say the opposite of the training rows."""
    opposite = short_rows(8, seed=1, labels=("negative", "positive"))
    job = word_job(tiny_bart, Shots(short_rows(8, seed=1), opposite))
    tuned = tuned_by(job, tiny_bart, *LEARNS)
    assert tuned.looks[16].accuracy < tuned.looks[0].accuracy
    assert tuned.best_step == max(tuned.looks, key=lambda s: tuned.looks[s].accuracy)
    assert tuned.best_step < 16
    assert dev_loss(job, tuned) == pytest.approx(tuned.looks[tuned.best_step].loss, rel=1e-3)


def test_dropout_is_on_in_training_alone(tiny_bart: Backbone) -> None:
    job = word_job(tiny_bart, sentence_shots())
    modes: list[bool] = []

    def watched(backbone: Backbone, *rest: Any) -> Tensor:
        modes.append(backbone.model.training)
        return word_losses(backbone, *rest)

    job = WeightsJob(**{**vars(job), "losses": watched})
    tuned = tuned_by(job, tiny_bart)
    assert modes
    assert all(modes)
    assert not tuned.backbone.model.training
    assert not tiny_bart.model.training
    assert tuned.looks[0].loss == pytest.approx(
        dev_loss(job, TunedWeights(tiny_bart, job.start, 0, {}, [], 0)), rel=1e-5
    )


@pytest.mark.parametrize(("method", "rate"), list(zip(METHODS, (0.01, 0.003, 0.003), strict=True)))
def test_same_seed_same_bytes_and_the_process_keeps_its_random_state(
    method: Any, rate: float, tiny_bart: Backbone
) -> None:
    task, shots = sentence_task(), Shots(*[short_rows(8, seed=1)] * 2)
    # All rows in each step: what is left to the seed is their order and dropout.
    settings = small_settings(*LEARNS, f"{FINE}.learning_rate={rate}", f"{FINE}.steps=12")
    found = []
    for seed, noise in ((13, 0), (13, 1), (21, 0)):
        torch.manual_seed(noise)
        before = torch.get_rng_state()
        found.append(method(task, shots, tiny_bart, settings, Streams(seed)))
        assert torch.equal(before, torch.get_rng_state())
    assert found[0].details["best_step"] > 0
    one, again, other = (each.probabilities.tobytes() for each in found)
    assert one == again
    assert one != other


@pytest.mark.parametrize(("method", "name"), list(zip(METHODS, MODELS[::-1], strict=True)))
def test_pairs_and_single_sentences(method: Any, name: str, request: pytest.FixtureRequest) -> None:
    backbone: Backbone = request.getfixturevalue(name)
    settings = small_settings(f"{FINE}.steps=1", "tuning.init=random")
    for task, shots in ((pair_task(), pair_shots(2)), (sentence_task(), sentence_shots(2))):
        found = method(task, shots, backbone, settings, Streams(13))
        assert found.probabilities.shape == (6, 2)
        np.testing.assert_allclose(found.probabilities.sum(axis=1), 1, atol=1e-5)
        assert set(found.details) == {"best_step", "dev_accuracy", "dev_loss", "tuned_parameters"}


def test_the_copy_is_freed(tiny_bart: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    copies: list[weakref.ref[Any]] = []

    def watched(backbone: Backbone, *rest: Any) -> Tensor:
        copies.append(weakref.ref(backbone.model))
        return word_losses(backbone, *rest)

    monkeypatch.setattr(module, "word_losses", watched)
    prompt_fine_tuning(sentence_task(), sentence_shots(), tiny_bart, small_settings(), Streams(13))
    assert copies
    assert copies[0]() is None


def test_a_loss_that_is_not_finite_names_task_and_step(
    tiny_bart: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []

    def broken(*given: Any) -> Tensor:
        calls.append(1)
        return name_losses(*given) * (float("nan") if len(calls) == 2 else 1.0)

    monkeypatch.setattr(module, "name_losses", broken)
    one_piece = small_settings(f"{FINE}.batch_size=1")
    with pytest.raises(UserError, match=r"^rte: at step 2 the loss is nan; [^.]*methods[^;]*\.$"):
        fine_tuning(pair_task(), pair_shots(), tiny_bart, one_piece, Streams(13))


def test_weights_gone_astray_are_found_at_the_next_look(tiny_bart: Backbone) -> None:
    settings: Settings = small_settings(f"{FINE}.learning_rate=1e30", f"{FINE}.steps=1")
    with pytest.raises(UserError, match=r"^sst2: after step 1 the development loss is nan"):
        prompt_fine_tuning(sentence_task(), sentence_shots(), tiny_bart, settings, Streams(13))


@pytest.mark.parametrize("empty", [Shots([], toy_rows(2, seed=1)), Shots(toy_rows(2, seed=1), [])])
def test_no_rows_are_said_in_a_sentence(empty: Shots, tiny_bart: Backbone) -> None:
    with pytest.raises(UserError, match="sst2: fine-tuning needs rows"):
        prompt_fine_tuning(sentence_task(), empty, tiny_bart, small_settings(), Streams(13))
