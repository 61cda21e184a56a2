"""Tuning on small random models: the three methods, determinism, what moves and what does not."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from dawgen.backbone import Backbone
from dawgen.backbone.choose_frame import frame_for
from dawgen.backbone.model import TokenScores
from dawgen.errors import UserError
from dawgen.generator import (
    Generator,
    examples,
    fit_generator,
    label_prompt_start,
    objectives,
    token_weights,
)
from dawgen.generator.examples import Batch, epoch_batches, make_shots
from dawgen.generator.fit import Tuner
from dawgen.prompts import cycle_tokens
from dawgen.settings import GeneratorSettings
from dawgen.streams import Streams
from dawgen.tasks import Row, load_card

CARD = load_card("sick")
ROWS = [
    Row("a man runs", "the man is outside", "entailment"),
    Row("a dog plays", "a dog is in the park", "entailment"),
    Row("two children", "two dog eats", "neutral"),
    Row("a woman sleeps", "it is a blue house", "neutral"),
    Row("the cat eats", "no cat eats", "contradiction"),
    Row("a red street", "the street is not red", "contradiction"),
]
BACKBONES = ("tiny_bart", "tiny_gpt2", "tiny_t5")


@pytest.fixture(params=BACKBONES)
def backbone(request: pytest.FixtureRequest) -> Backbone:
    found: Backbone = request.getfixturevalue(request.param)
    return found


def settings(**changes) -> GeneratorSettings:
    small = {"prompt_length": 3, "batch_size": 2, "epochs": 3, "learning_rate": 0.02}
    return GeneratorSettings(**{**small, **changes})


def fit(backbone: Backbone, rows=ROWS, card=CARD, seed=0, write_first=False, **changes):
    return fit_generator(
        card, rows, backbone, settings(**changes), Streams(seed), write_first=write_first
    )


def equal(one: Generator, other: Generator) -> bool:
    return (
        torch.equal(one.prompts, other.prompts)
        and one.history == other.history
        and one.weights.keys() == other.weights.keys()
        and all(torch.equal(tensor, other.weights[name]) for name, tensor in one.weights.items())
    )


@pytest.mark.parametrize("method", ["plain", "fewgen", "dawgen"])
def test_prompts_move_and_the_frozen_model_does_not(backbone: Backbone, method: str) -> None:
    before = {name: tensor.clone() for name, tensor in backbone.model.state_dict().items()}
    attention = backbone.model.config._attn_implementation
    start = label_prompt_start(CARD, backbone, 3)
    generator = fit(backbone, method=method)
    assert generator.prompts.shape == (3, 3, backbone.hidden_size)
    assert ((generator.prompts - start).abs().amax((1, 2)) > 1e-3).all()
    after = backbone.model.state_dict()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())
    assert backbone.model.config._attn_implementation == attention
    assert (generator.weight_network() is None) == (method == "plain")
    assert generator.history[-1]["gen_loss"] < generator.history[0]["gen_loss"]


def test_the_start_is_the_labels_own_words(tiny_bart: Backbone) -> None:
    ids = cycle_tokens(tiny_bart.text_ids(CARD.label_prompts["contradiction"]), 30)
    expected = tiny_bart.table()[ids]
    assert torch.equal(label_prompt_start(CARD, tiny_bart, 30)[2], expected)


def test_plain_is_adam_on_equation_1(backbone: Backbone) -> None:
    """Three steps written out: mean negative log-likelihood of the tokens, Adam, nothing else."""
    prompts = label_prompt_start(CARD, backbone, 3).requires_grad_()
    optimizer = torch.optim.Adam([prompts], lr=0.02)
    shots = make_shots(
        CARD,
        ROWS,
        backbone,
        prompt_length=3,
        max_length=128,
        write_first=False,
        frame=frame_for(CARD, backbone),
    )
    losses = []
    for epoch in range(3):
        (batch,) = epoch_batches(shots, 2, Streams(0), epoch)
        total, count = torch.zeros(()), 0
        for shot in batch.shots:
            (example,) = shot.examples
            prompt = prompts[shot.label : shot.label + 1]
            scores = backbone.token_log_probs(prompt, [example.source], [example.target])
            total, count = total - scores.log_probs.sum(), count + len(example.target)
        losses.append((total / count).item())
        optimizer.zero_grad()
        (total / count).backward()
        optimizer.step()
    generator = fit(backbone, method="plain")
    assert [entry["gen_loss"] for entry in generator.history] == pytest.approx(losses, rel=1e-5)
    # Adam's first step is the gradient's sign: what is near 0 may go either way
    close = torch.isclose(generator.prompts, prompts.detach(), atol=1e-3)
    assert close.float().mean() > 0.99


def test_token_weights_may_be_updated_in_some_steps_only(
    tiny_gpt2: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Steps in between weigh the tokens by the network as it is."""
    seen: list[list[float]] = []
    whole = Tuner._step

    def watched(self: Tuner, *given: object) -> dict[str, float]:
        figures = whole(self, *given)  # type: ignore[arg-type]
        assert self.network is not None
        seen.append([float(tensor.sum()) for tensor in self.network.state_dict().values()])
        return figures

    monkeypatch.setattr(Tuner, "_step", watched)
    generator = fit(tiny_gpt2, epochs=5, weights_every=2)
    changed = [seen[i] != seen[i - 1] for i in range(1, 5)]
    assert changed == [False, True, False, True]
    history = generator.history
    assert ["lookahead_share" in entry for entry in history] == [True, False, True, False, True]
    assert all(entry["disc_loss"] == -entry["ratio"] for entry in history[1::2])
    assert all(entry["weighted_loss"] != entry["gen_loss"] for entry in history[1::2])
    assert not equal(generator, fit(tiny_gpt2, epochs=5))


def test_dawgen_without_lambda_is_fewgen(backbone: Backbone) -> None:
    fewgen = fit(backbone, method="fewgen", dist_weight=0.7)
    assert equal(fewgen, fit(backbone, method="dawgen", dist_weight=0.0))
    dawgen = fit(backbone, method="dawgen", dist_weight=0.7)
    assert not torch.equal(fewgen.prompts, dawgen.prompts)
    assert not torch.equal(fewgen.weights["second.weight"], dawgen.weights["second.weight"])


def test_dawgen_brings_the_sentence_loss_down(tiny_bart: Backbone) -> None:
    few = fit(tiny_bart, method="fewgen", epochs=10)
    dawgen = fit(tiny_bart, method="dawgen", dist_weight=1.0, epochs=10)
    assert few.history[0]["dist_loss"] == pytest.approx(dawgen.history[0]["dist_loss"], rel=0.05)
    assert dawgen.history[-1]["dist_loss"] < 0.7 * few.history[-1]["dist_loss"]


@pytest.mark.parametrize("write_first", [False, True])
def test_same_seed_same_bytes(tiny_gpt2: Backbone, tmp_path: Path, write_first: bool) -> None:
    for name, seed in (("one", 5), ("again", 5), ("other", 6)):
        generator = fit(tiny_gpt2, ROWS * 2, seed=seed, write_first=write_first)
        generator.save(tmp_path / name, tiny_gpt2, CARD.labels)

    def content(name: str) -> dict[str, bytes]:
        files = (tmp_path / name).rglob("*")
        return {str(f.relative_to(tmp_path / name)): f.read_bytes() for f in files if f.is_file()}

    assert content("one") == content("again")
    assert content("one").keys() == content("other").keys()
    weights = "label-prompts/neutral/adapter_model.safetensors"
    assert content("one")[weights] != content("other")[weights]
    assert content("one")["weights.safetensors"] != content("other")["weights.safetensors"]


@pytest.mark.parametrize("method", ["plain", "dawgen"])
def test_a_saved_generator_comes_back_whole(tiny_t5: Backbone, tmp_path: Path, method: str) -> None:
    generator = fit(tiny_t5, method=method)
    generator.save(tmp_path, tiny_t5, CARD.labels)
    assert equal(generator, Generator.load(tmp_path, CARD.labels, tiny_t5))
    lines = (tmp_path / "log.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == generator.history


def test_a_torn_generator_is_refused(tiny_t5: Backbone, tmp_path: Path) -> None:
    fit(tiny_t5, method="plain", epochs=1).save(tmp_path, tiny_t5, CARD.labels)
    weights = tmp_path / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:5])
    with pytest.raises(UserError, match="cannot be read"):
        Generator.load(tmp_path, CARD.labels)
    weights.unlink()
    with pytest.raises(UserError, match=r"weights\.safetensors is missing"):
        Generator.load(tmp_path, CARD.labels)


def test_central_differences_train_like_jvp(backbone: Backbone) -> None:
    """λ = 0, so that all of the weights' gradient goes through the derivative."""
    jvp = fit(backbone, method="fewgen", epochs=2)
    central = fit(backbone, method="fewgen", epochs=2, meta_gradient="central")
    assert not torch.equal(jvp.weights["first.weight"], central.weights["first.weight"])
    for name, tensor in jvp.weights.items():
        # Adam divides by the gradient's size: entries of (nearly) none may go either way
        same = torch.isclose(tensor, central.weights[name], atol=2e-3)
        assert same.float().mean() > 0.9, name


def test_every_step_is_logged_and_told(tiny_bart: Backbone) -> None:
    told: list[dict[str, float]] = []
    generator = fit_generator(
        CARD,
        ROWS * 2,
        tiny_bart,
        settings(),
        Streams(0),
        write_first=False,
        on_step=told.append,
    )
    assert told == generator.history
    assert [(e["step"], e["epoch"]) for e in told] == [(i, i // 2) for i in range(6)]
    losses = ["gen_loss", "weighted_loss", "disc_loss", "dist_loss"]
    names = ["step", "epoch", *losses, "entropy", "ratio", "distance", "lookahead_share"]
    assert all(list(entry) == names for entry in told)
    for entry in told:
        assert -1 < entry["disc_loss"] < 0
        assert 0 < entry["ratio"] < 1
        assert 0 < entry["entropy"] <= 1
        assert 0 < entry["dist_loss"] < 2
        assert 0 < entry["lookahead_share"] < 1
    distances = [entry["distance"] for entry in told]
    assert distances == sorted(distances)
    assert distances[0] > 0


def test_plain_reads_rows_under_other_labels_once_an_epoch(
    tiny_bart: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, rows = tiny_bart.token_log_probs, []

    def counted(prompts, sources, targets) -> TokenScores:
        rows.append(len(targets))
        return whole(prompts, sources, targets)

    monkeypatch.setattr(tiny_bart, "token_log_probs", counted)
    plain = fit(tiny_bart, ROWS * 2, method="plain", epochs=2)
    assert rows == [6, 12, 6] * 2  # two steps an epoch
    of_every_step = ["step", "epoch", "gen_loss", "weighted_loss", "dist_loss", "entropy"]
    for entry in plain.history:
        more = set() if entry["step"] % 2 else {"disc_loss", "ratio"}
        assert set(entry) == {*of_every_step, "distance", *more}


def test_at_the_default_weight_the_look_ahead_is_heard(backbone: Backbone) -> None:
    """(4)'s direct part grows with λ, (3)'s part through the look-ahead does not."""
    default, full = (
        fit(backbone, epochs=1, **changes).history[0]["lookahead_share"]
        for changes in ({}, {"dist_weight": 1.0})
    )
    assert default > 2 * full
    assert fit(backbone, method="fewgen", epochs=1).history[0]["lookahead_share"] == 1


def test_batches_without_two_rows_of_a_label_are_not_silent(
    tiny_bart: Backbone, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ValueError, match=r"set generator.batch_size to 2 or more"):
        settings(batch_size=1)
    assert settings(batch_size=1, method="fewgen").batch_size == 1
    fit(tiny_bart, ROWS[::2], method="fewgen", epochs=1)
    assert "1 row per label" not in capsys.readouterr().err
    fit(tiny_bart, ROWS[::2], epochs=1)
    assert "1 row per label" in capsys.readouterr().err


def test_rates_in_units_of_the_embedding(tiny_gpt2: Backbone) -> None:
    absolute = fit(tiny_gpt2, learning_rate=0.02, epochs=1)
    rate = 0.02 / tiny_gpt2.embedding_scale
    relative = fit(tiny_gpt2, learning_rate=rate, learning_rate_unit="embedding", epochs=1)
    torch.testing.assert_close(relative.prompts, absolute.prompts)


def test_a_single_sentence_task(backbone: Backbone) -> None:
    rows = [
        Row("a great film", None, "positive"),
        Row("it was good", None, "positive"),
        Row("a boring film", None, "negative"),
        Row("it was bad", None, "negative"),
    ]
    card = load_card("sst2")
    told = fit(backbone, rows, card, epochs=4).history
    assert told[-1]["gen_loss"] < told[0]["gen_loss"]
    same = fit(backbone, rows, card, epochs=4, write_first=True).history
    assert told == same


def test_first_sentences_are_learnt_where_they_are_written(tiny_bart: Backbone) -> None:
    first = [tiny_bart.encode_target(row.text1) for row in ROWS]
    source = [tiny_bart.encode_source("", 3)] * len(ROWS)
    labels = torch.tensor([CARD.label_index(row.label or "") for row in ROWS])

    def loss(generator: Generator) -> float:
        with torch.no_grad():
            scores = tiny_bart.token_log_probs(generator.prompts[labels], source, first)
        return objectives.generation_loss(-scores.log_probs, scores.mask).item()

    without = fit(tiny_bart, method="plain", epochs=30)
    with_first = fit(tiny_bart, method="plain", epochs=30, write_first=True)
    assert loss(with_first) < loss(without) - 0.1


def test_sentence_vector_of_a_row_of_two_texts(tiny_bart: Backbone) -> None:
    """(4) compares rows, not texts: two examples of one row are one vector."""
    from dawgen.generator.scoring import distinction

    shots = make_shots(CARD, ROWS, tiny_bart, prompt_length=3, max_length=99, write_first=True)
    batch = Batch(tuple(shots))
    rng = torch.Generator().manual_seed(0)
    hidden = torch.randn(12, 4, 8, generator=rng)
    weights = torch.rand(12, 4, generator=rng)
    mask = torch.ones(12, 4, dtype=torch.bool)
    vectors = (weights[..., None] * hidden).sum(1).view(6, 2, 8).sum(1)
    expected = objectives.distinction_loss(vectors, torch.tensor([0, 0, 1, 1, 2, 2]))
    torch.testing.assert_close(distinction(weights, hidden, mask, batch), expected)


def test_token_weights_of_the_shots(tiny_bart: Backbone) -> None:
    generator = fit(tiny_bart, method="fewgen")
    shots = make_shots(CARD, ROWS, tiny_bart, prompt_length=3, max_length=99, write_first=False)
    weights, ratios, mask = token_weights(generator, shots, tiny_bart)
    assert mask.sum(1).tolist() == [len(shot.examples[0].target) for shot in shots]
    assert weights[mask].mean().item() == pytest.approx(1, rel=1e-5)
    assert not weights[~mask].any()
    assert ((ratios > 0) & (ratios < 1)).all()
    plain = fit(tiny_bart, method="plain", epochs=1)
    assert torch.equal(token_weights(plain, shots, tiny_bart)[0], mask.float())


@pytest.mark.parametrize("method", ["plain", "dawgen"])
def test_a_loss_that_is_not_finite_stops_with_step_task_and_rows(
    tiny_bart: Backbone, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    whole, calls = tiny_bart.token_log_probs, []

    def spoilt(prompts, sources, targets) -> TokenScores:
        calls.append(1)
        scores = whole(prompts, sources, targets)
        wrong = scores.log_probs * (math.nan if len(calls) > limit else 1.0)
        return TokenScores(wrong, scores.mask, scores.hidden)

    # calls: 2 of plain's first step in an epoch, here all are, and 6 of dawgen's
    limit, step = (4, 2) if method == "plain" else (6, 1)
    monkeypatch.setattr(tiny_bart, "token_log_probs", spoilt)
    with pytest.raises(UserError, match=rf"sick: .* became nan at step {step} \(few shots \d, \d"):
        fit(tiny_bart, method=method, epochs=9)


# --- many labels ----------------------------------------------------------------------------

MANY = load_card("trec")
"""Six labels, of which three are compared at once in these tests."""
QUESTIONS = [
    Row(text, None, label)
    for label in MANY.labels
    for text in (f"the {label} is red", f"a man eats {label}")
]


@pytest.mark.parametrize("again", [True, False])
def test_a_step_on_some_labels_is_that_of_a_card_of_these(
    tiny_bart: Backbone, monkeypatch: pytest.MonkeyPatch, again: bool
) -> None:
    monkeypatch.setattr(examples, "MOST_COMPARED", 3)
    shots = make_shots(MANY, QUESTIONS, tiny_bart, prompt_length=3, max_length=99, write_first=True)
    batch = next(epoch_batches(shots, 2, Streams(3), 0))
    chosen = sorted(set(batch.shot_labels.tolist()))
    assert len(chosen) == 3
    small = MANY.model_copy(
        update={
            "labels": [MANY.labels[c] for c in chosen],
            "label_prompts": {MANY.labels[c]: MANY.label_prompts[MANY.labels[c]] for c in chosen},
        }
    )
    renamed = Batch(tuple(replace(shot, label=chosen.index(shot.label)) for shot in batch.shots))
    many, few = (Tuner(card, tiny_bart, settings(), Streams(0)) for card in (MANY, small))
    figures = [tuner.step(b, again=again) for tuner, b in ((many, batch), (few, renamed))]
    gradient, expected = many.prompts.grad, few.prompts.grad
    assert gradient is not None
    assert expected is not None
    others = [c for c in range(6) if c not in chosen]
    torch.testing.assert_close(gradient[chosen], expected, rtol=1e-4, atol=1e-7)
    assert not gradient[others].any()
    assert torch.equal(many.prompts[others], many.start[others])
    for name in ("gen_loss", "weighted_loss", "disc_loss", "dist_loss", "ratio"):
        assert figures[0][name] == pytest.approx(figures[1][name], rel=1e-4, abs=1e-7)


def test_tokens_of_many_labels_stand_in_the_order_of_the_shots(
    tiny_bart: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compared with its group, each row has what a generator of the group alone gives it."""
    mixed = [QUESTIONS[i] for i in (9, 0, 4, 11, 2, 7, 5)]
    made = fit(tiny_bart, rows=QUESTIONS, card=MANY, epochs=1)
    monkeypatch.setattr(examples, "MOST_COMPARED", 3)
    shots = make_shots(MANY, mixed, tiny_bart, prompt_length=3, max_length=99, write_first=True)
    weights, ratios, mask = token_weights(made, shots, tiny_bart)
    assert weights[mask].mean() == pytest.approx(1.0, abs=1e-4)
    for i, shot in enumerate(shots):
        first = 3 * (shot.label // 3)
        one = [replace(shot, label=shot.label - first)]
        group = replace(made, prompts=made.prompts[first : first + 3])
        _, expected, there = token_weights(group, one, tiny_bart)
        torch.testing.assert_close(ratios[i][mask[i]], expected[there], rtol=1e-4, atol=1e-6)
