"""Tuning a stack of prompts."""

from __future__ import annotations

import math

import pytest
import torch
from peft import PromptTuningConfig, get_peft_model

from dawgen.backbone import Backbone
from dawgen.errors import UserError
from dawgen.streams import Streams
from dawgen.tuning import Arm, TunedPrompt, fit_prompts
from dawgen.tuning.combine import Passes
from dawgen.tuning.develop import DevScore
from dawgen.tuning.fit import fit_stack
from dawgen.tuning.gradients import both_gradients
from dawgen.tuning.rows import encode
from dawgen.tuning.state import ArmData, ArmState
from tests.tuning.toy import toy_card, toy_rows, toy_settings

ARMS = [
    Arm("surgery", 13, "surgery", 0.7, 0.05),
    Arm("mixed", 21, "mixed", 1.0, 0.03, 0.1),
    Arm("real", 13, "real", 1.0, 0.05),
    Arm("turns", 42, "synthetic-then-real", 1.0, 0.1),
    Arm("synthetic", 87, "synthetic", 1.0, 0.02, 0.15),
]


def fit(backbone: Backbone, arms, on_step=None, starts=None, **changes) -> list[TunedPrompt]:
    return fit_prompts(
        toy_card(),
        arms,
        toy_rows(10, 0),
        toy_rows(8, 1),
        toy_rows(20, 2),
        backbone,
        toy_settings(**changes),
        on_step,
        starts=starts,
    )


@pytest.fixture(params=["tiny_t5", "tiny_gpt2", "tiny_bart"])
def backbone(request) -> Backbone:
    return request.getfixturevalue(request.param)


@pytest.mark.parametrize("optimizer", ["adamw", "adafactor"])
def test_an_arm_in_a_stack_of_five_ends_where_it_ends_alone(backbone, optimizer):
    stacked = fit(backbone, ARMS, optimizer=optimizer)
    for arm, together in zip(ARMS, stacked, strict=True):
        (alone,) = fit(backbone, [arm], optimizer=optimizer)
        assert together.arm == arm
        assert together.best_step == alone.best_step
        assert together.dev_accuracy == alone.dev_accuracy
        torch.testing.assert_close(together.prompt, alone.prompt, atol=1e-5, rtol=0)
        losses = [(h.get("real_loss"), h.get("synthetic_loss")) for h in alone.history]
        for record, pair in zip(together.history, losses, strict=True):
            for key, value in zip(("real_loss", "synthetic_loss"), pair, strict=True):
                assert record.get(key) == (value if value is None else pytest.approx(value, 1e-4))


def test_an_arm_with_rows_of_its_own_ends_where_it_ends_alone(tiny_bart):
    """The seeds of a grid: each arm brings its own draw of real and development rows."""
    card, settings = toy_card(), toy_settings()
    data = [
        ArmData(*(encode(card, toy_rows(n, 10 * k + n), tiny_bart, 4) for n in (10, 8, 20)))
        for k in range(3)
    ]
    arms = [Arm(str(k), 13 + k, "surgery", 0.5, 0.05) for k in range(3)]
    ordered: list[bool] = []

    def on_step(record: object) -> None:
        ordered.append(torch.are_deterministic_algorithms_enabled())

    stacked = fit_stack(card, arms, data, tiny_bart, settings, on_step)
    assert ordered
    assert all(ordered)
    for arm, part, together in zip(arms, data, stacked, strict=True):
        (alone,) = fit_stack(card, [arm], [part], tiny_bart, settings)
        torch.testing.assert_close(together.prompt, alone.prompt, atol=1e-5, rtol=0)


def test_a_prompt_on_synthetic_rows_has_steps_and_checkpoint_of_its_own(tiny_bart):
    """The rate falls over all its steps; the shots alone have the others."""
    own = {"synthetic_steps": 11, "synthetic_checkpoint": "last", "schedule": "linear"}
    (real,) = fit(tiny_bart, [ARMS[2]], **own)
    assert real.history[-1]["step"] == 6
    (tuned,) = fit(tiny_bart, ARMS[:1], **own)
    (plain,) = fit(tiny_bart, ARMS[:1], steps=11, checkpoint="last", schedule="linear")
    assert tuned.history == plain.history
    assert tuned.best_step == tuned.history[-1]["step"] == 11


def test_the_backbone_is_bit_for_bit_what_it_was(backbone):
    before = {name: weight.clone() for name, weight in backbone.model.state_dict().items()}
    results = fit(backbone, ARMS[:2])
    after = backbone.model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert all(record["distance"] > 0 for r in results for record in r.history[1:])


def test_the_same_seed_gives_the_same_bytes(tiny_bart):
    one, two = fit(tiny_bart, ARMS[:2]), fit(tiny_bart, ARMS[:2])
    for first, second in zip(one, two, strict=True):
        assert torch.equal(first.prompt, second.prompt)
        assert first.history == second.history
    (other,) = fit(tiny_bart, [Arm("surgery", 14, "surgery", 0.7, 0.05)])
    assert not torch.equal(other.prompt, one[0].prompt)


@pytest.mark.parametrize("name", ["tiny_t5", "tiny_bart"])
def test_a_prompt_learns_the_toy_task(name, request):
    """Chance is 0.5. The rows that count are in no training or development set."""
    backbone, card = request.getfixturevalue(name), toy_card()
    settings = toy_settings(steps=90, eval_every=30, batch_size=16, synthetic_batch_size=32)
    (tuned,) = fit_prompts(
        card,
        [Arm("p", 13, "surgery", 1.0, 0.1)],
        toy_rows(32, 0),
        toy_rows(32, 1),
        toy_rows(200, 2),
        backbone,
        settings,
    )
    unseen = toy_rows(100, 3)
    with torch.no_grad():
        scores = backbone.label_scores(
            tuned.prompt.expand(100, -1, -1),
            backbone.encode_rows(card, unseen, 4),
            backbone.label_word_ids(card),
        )
    right = [card.labels[k] == row.label for k, row in zip(scores.argmax(1), unseen, strict=True)]
    assert sum(right) / 100 > 0.7
    assert tuned.dev_accuracy > 0.7
    first, last = tuned.history[1]["real_loss"], tuned.history[-1]["real_loss"]
    assert last < 0.6 * first


@pytest.mark.parametrize("optimizer", ["adamw", "adafactor"])
def test_prompt_tuning_follows_pefts_own_training_loop(tiny_t5, optimizer):
    """Same start, batches and optimiser: PEFT's losses over the label words, step by step."""
    from dawgen.tuning.schedule import make_optimizer

    card, rows, steps, length = toy_card(), toy_rows(10, 0), 15, 4
    start = torch.randn(length, 32, generator=torch.Generator().manual_seed(3))
    (ours,) = fit(
        tiny_t5, [Arm("p", 13, "real", learning_rate=0.05)], starts=[start], steps=steps,
        optimizer=optimizer, weight_decay=0.01,
    )  # fmt: skip

    config = PromptTuningConfig(
        task_type="SEQ_2_SEQ_LM", num_virtual_tokens=length, num_transformer_submodules=1
    )
    peft = get_peft_model(tiny_t5.model, config)
    parameter = peft.prompt_encoder["default"].embedding.weight
    assert [p for p in peft.parameters() if p.requires_grad] == [parameter]
    parameter.data.copy_(start)
    if optimizer == "adamw":
        steps_of_peft = torch.optim.AdamW([parameter], lr=0.05, weight_decay=0.01)
    else:
        steps_of_peft = make_optimizer("adafactor", parameter, 0.01)
        steps_of_peft.param_groups[0]["lr"] = 0.05
    words = [word[0] for word in tiny_t5.label_word_ids(card)]
    passes = Passes(len(rows), Streams(13).numpy("tuning", "real"))
    for step in range(1, steps + 1):
        batch = [rows[place] for place in passes.take(4)]
        inputs = tiny_t5.tokenizer.pad(
            {"input_ids": tiny_t5.encode_rows(card, batch, length)}, return_tensors="pt"
        )
        decoder = torch.tensor([tiny_t5.decoder_start]).expand(4, -1)
        logits = peft(**inputs, decoder_input_ids=decoder).logits
        labels = torch.tensor([card.label_index(row.label) for row in batch])
        loss = torch.nn.functional.cross_entropy(logits[:, -1, words], labels)
        assert ours.history[step]["real_loss"] == pytest.approx(loss.item(), abs=1e-4)
        steps_of_peft.zero_grad()
        loss.backward()
        steps_of_peft.step()
    assert ours.history[steps]["prompt_norm"] == pytest.approx(parameter.norm().item(), abs=1e-4)
    moved = (parameter - start).norm().item()
    assert moved > 0.1
    assert ours.history[steps]["distance"] == pytest.approx(moved, abs=1e-4)


class TestCheckpoint:
    def test_the_chosen_prompt_is_the_best_look_and_scores_what_it_says(self, tiny_bart):
        card, dev = toy_card(), toy_rows(8, 1)
        for tuned in fit(tiny_bart, ARMS[:3], steps=12, eval_every=2):
            looks = [record for record in tuned.history if "dev_accuracy" in record]
            assert [record["step"] for record in looks] == [0, 2, 4, 6, 8, 10, 12]
            best = max(looks, key=lambda r: (r["dev_accuracy"], -r["dev_loss"]))
            assert (tuned.best_step, tuned.dev_accuracy) == (best["step"], best["dev_accuracy"])
            rows = tiny_bart.encode_rows(card, dev, 4)
            scores = tiny_bart.label_scores(
                tuned.prompt.expand(len(rows), -1, -1), rows, tiny_bart.label_word_ids(card)
            )
            labels = torch.tensor([card.label_index(row.label) for row in dev])
            assert (scores.argmax(1) == labels).float().mean() == tuned.dev_accuracy
            loss = torch.nn.functional.cross_entropy(scores, labels).item()
            assert loss == pytest.approx(tuned.dev_loss, abs=1e-5)

    def test_the_untouched_start_is_a_candidate(self, tiny_bart):
        start = torch.randn(4, 32, generator=torch.Generator().manual_seed(0))
        arm = Arm("p", 13, "real", learning_rate=1e-12)
        wild = Arm("q", 13, "synthetic", learning_rate=30.0)
        still, thrown = fit(tiny_bart, [arm, wild], starts=[start, start], steps=3, eval_every=3)
        torch.testing.assert_close(still.prompt, start)
        first, last = (r for r in thrown.history if "dev_accuracy" in r)
        assert (last["dev_accuracy"], -last["dev_loss"]) < (
            first["dev_accuracy"],
            -first["dev_loss"],
        )
        assert thrown.best_step == 0
        assert torch.equal(thrown.prompt, start)

    def test_ties_are_broken_by_loss(self):
        score = DevScore(0.5, 0.7, [1, 1])
        assert score.better_than(None)
        assert DevScore(0.5, 0.6, [1, 1]).better_than(score)
        assert not DevScore(0.5, 0.7, [1, 1]).better_than(score)
        assert not DevScore(0.4, 0.1, [1, 1]).better_than(score)

    def test_a_card_may_go_by_macro_f1(self, tiny_bart):
        accurate, fair = DevScore(0.9, 0.5, [9, 1], 0.5), DevScore(0.8, 0.5, [7, 3], 0.7)
        assert fair.better_than(accurate)
        card = toy_card().model_copy(update={"metric": "macro-f1"})
        rows = toy_rows(8, 1)[:5] + toy_rows(8, 1)[6::2]
        (tuned,) = fit_prompts(
            card, [Arm("p", 13, "real")], rows, rows, [], tiny_bart, toy_settings(steps=3)
        )
        looked = [record for record in tuned.history if "dev_accuracy" in record]
        assert all(0 <= record["dev_macro_f1"] <= 1 for record in looked)

    @pytest.mark.parametrize("combine", ["real-then-synthetic", "synthetic-then-real"])
    @pytest.mark.parametrize("steps", [1, 2, 5, 6])
    def test_a_chosen_prompt_has_seen_rows_of_the_second_phase(self, tiny_bart, combine, steps):
        # Only the second phase's rows differ. At so high a rate every step makes the prompt
        # worse, so the earliest candidate is chosen.
        arm = Arm("p", 13, combine, learning_rate=5.0)
        place = 1 if combine.endswith("real") else 3
        prompts = []
        for rows_seed in (0, 7):
            rows = [toy_card(), [arm], toy_rows(10, 0), toy_rows(8, 1), toy_rows(20, 2), tiny_bart]
            rows[1 + place] = toy_rows(len(rows[1 + place]), 100 + rows_seed)
            (tuned,) = fit_prompts(*rows, toy_settings(steps=steps, eval_every=1))
            assert tuned.best_step > steps // 2
            prompts.append(tuned.prompt)
        assert not torch.equal(*prompts)

    def test_the_average_of_the_steps_is_scored_and_kept(self, tiny_bart):
        """Weights 0.7^(3-i) over their sum for the prompts after steps 1 to 3; not the start."""
        settings = toy_settings(average_decay=0.7)
        encoded = encode(toy_card(), toy_rows(8, 1), tiny_bart, 4)
        data = ArmData(encoded, encoded, encoded)
        state = ArmState(Arm("p", 13, "real"), data, torch.ones(4, 32), settings)
        seen, rng = [], torch.Generator().manual_seed(0)
        for _ in range(3):
            state.step(torch.randn(4, 32, generator=rng), 0.1)
            seen.append(state.prompt.detach().clone())
        by_hand = (0.49 * seen[0] + 0.7 * seen[1] + seen[2]) / (0.49 + 0.7 + 1)
        torch.testing.assert_close(state.candidate, by_hand)
        state.look(3, DevScore(0.5, 0.7, [1, 1]), toy_card())
        torch.testing.assert_close(state.result().prompt, by_hand)

    @pytest.mark.parametrize(("rule", "kept"), [("accuracy", 2), ("loss", 1), ("last", 4)])
    def test_which_prompt_is_kept(self, tiny_bart, rule, kept):
        """The second is the most accurate, the first the likeliest, and the last is neither."""
        encoded = encode(toy_card(), toy_rows(8, 1), tiny_bart, 4)
        data = ArmData(encoded, encoded, encoded)
        state = ArmState(
            Arm("p", 1, "real"), data, torch.ones(4, 32), toy_settings(checkpoint=rule)
        )
        looks = [DevScore(0.5, 0.6, [1, 1]), DevScore(0.8, 0.9, [1, 1])]
        looks += [DevScore(0.7, 0.7, [1, 1]), DevScore(0.6, 0.8, [1, 1])]
        prompts = []
        for step, score in enumerate(looks, 1):
            state.step(torch.randn(4, 32), 0.1)
            state.look(step, score, toy_card())
            prompts.append(state.candidate.clone())
        assert state.result().best_step == kept
        assert state.result().dev_loss == looks[kept - 1].loss
        torch.testing.assert_close(state.result().prompt, prompts[kept - 1])

    def test_a_stack_scores_the_averages(self, tiny_bart):
        """At a high rate the last prompt and the average differ, and so do their scores."""
        arm = [Arm("p", 13, "real", learning_rate=1.0)]
        (plain,) = fit(tiny_bart, arm, eval_every=6)
        (smooth,) = fit(tiny_bart, arm, eval_every=6, average_decay=0.9)
        assert plain.history[-1]["real_loss"] == smooth.history[-1]["real_loss"]
        assert plain.history[-1]["dev_loss"] != smooth.history[-1]["dev_loss"]

    def test_rates_in_units_of_the_embedding(self, tiny_gpt2):
        """A rate of 1 / scale in these units is a rate of 1."""
        words = tiny_gpt2.embed(torch.arange(len(tiny_gpt2.table()))).float()
        scale = words.square().mean().sqrt().item()
        assert tiny_gpt2.embedding_scale == pytest.approx(scale, rel=1e-5)
        (absolute,) = fit(tiny_gpt2, [Arm("p", 13, "real", learning_rate=0.03)])
        arm = [Arm("p", 13, "real", learning_rate=0.03 / scale)]
        (relative,) = fit(tiny_gpt2, arm, learning_rate_unit="embedding")
        torch.testing.assert_close(relative.prompt, absolute.prompt)
        assert relative.history[-1]["learning_rate"] == pytest.approx(0.03)

    def test_an_odd_number_of_steps_is_looked_at_to_its_end(self, tiny_bart):
        (tuned,) = fit(tiny_bart, [ARMS[0]], steps=5, eval_every=3)
        assert [r["step"] for r in tuned.history if "dev_accuracy" in r] == [0, 3, 5]


class TestEarlyStop:
    def test_an_arm_out_of_patience_leaves_and_the_others_go_on_as_before(self, tiny_bart):
        still = Arm("still", 13, "surgery", learning_rate=1e-30)  # so small that nothing moves
        gone, other = fit(tiny_bart, [still, ARMS[0]], steps=9, eval_every=1, patience=3)
        (alone,) = fit(tiny_bart, [ARMS[0]], steps=9, eval_every=1, patience=3)
        assert gone.history[-1]["step"] == 3
        assert gone.best_step == 0
        assert len(other.history) == len(alone.history) > 4
        torch.testing.assert_close(other.prompt, alone.prompt, atol=1e-5, rtol=0)

    def test_no_patience_set_runs_to_the_end(self, tiny_bart):
        (wild,) = fit(tiny_bart, [Arm("w", 13, "real", learning_rate=50.0)], steps=12, eval_every=1)
        assert wild.history[-1]["step"] == 12


class TestHistory:
    def test_every_step_tells_what_the_issue_asks(self, tiny_bart):
        seen = []
        (tuned,) = fit(tiny_bart, [ARMS[0]], on_step=seen.append, schedule="linear")
        assert seen == tuned.history
        assert [record["step"] for record in seen] == list(range(7))
        assert [r["learning_rate"] for r in seen[1:]] == pytest.approx(
            [0.05 * left / 6 for left in (6, 5, 4, 3, 2, 1)]
        )
        conflicts = 0
        for record in seen[1:]:
            assert record["conflict"] == (record["cosine"] < 0)
            assert -1 <= record["cosine"] <= 1
            conflicts += record["conflict"]
            assert record["conflict_share"] == pytest.approx(conflicts / record["step"])
            assert record["prompt_norm"] > 0
        for record in (seen[0], seen[3], seen[6]):
            assert sum(record["dev_predictions"].values()) == 8
            assert set(record["dev_predictions"]) == {"positive", "negative"}
            assert record["dev_loss"] > 0

    def test_an_arm_without_one_kind_says_none(self, tiny_bart):
        real, synthetic = fit(tiny_bart, [ARMS[2], ARMS[4]])
        assert real.history[1]["synthetic_loss"] is None
        assert real.history[1]["cosine"] is None
        assert synthetic.history[1]["real_loss"] is None
        assert synthetic.history[1]["conflict_share"] is None

    def test_synthetic_rows_that_are_the_real_ones_never_conflict(self, tiny_bart):
        rows, settings = toy_rows(8, 0), toy_settings(batch_size=8, synthetic_batch_size=8)
        (tuned,) = fit_prompts(
            toy_card(), ARMS[:1], rows, toy_rows(4, 1), rows, tiny_bart, settings
        )
        for record in tuned.history[1:]:
            assert record["cosine"] == pytest.approx(1.0, abs=1e-4)
            assert record["conflict_share"] == 0.0


def test_surgery_leaves_what_adding_cancels(tiny_bart):
    """The synthetic rows are the real ones with the opposite labels. Added, the gradients
    leave nothing to learn but even chances, log 2; after surgery the real rows are learned."""
    arms = [Arm(combine, 13, combine, 1.0, 0.1) for combine in ("paired", "surgery")]
    settings = toy_settings(batch_size=16, synthetic_batch_size=16, steps=30, eval_every=30)
    tuned = fit_prompts(
        toy_card(),
        arms,
        toy_rows(16, 0),
        toy_rows(4, 1),
        toy_rows(16, 0, flipped=True),
        tiny_bart,
        settings,
    )
    paired, surgery = (arm.history[-1] for arm in tuned)
    assert surgery["conflict_share"] > 0.7
    assert paired["real_loss"] == pytest.approx(math.log(2), abs=0.05)
    assert surgery["real_loss"] < 0.62


class TestCollapse:
    def test_two_looks_with_one_class_are_warned_of_once(self, tiny_bart, monkeypatch):
        said = []
        monkeypatch.setattr("dawgen.tuning.state.warn", said.append)
        card, settings = toy_card(), toy_settings()
        rows = encode(card, toy_rows(4, 0), tiny_bart, 4)
        state = ArmState(ARMS[2], ArmData(rows, rows, rows), torch.zeros(4, 32), settings)
        one, both = DevScore(0.5, 0.7, [0, 4]), DevScore(0.5, 0.7, [1, 3])
        state.look(0, one, card)  # before any tuning
        state.look(3, one, card)
        assert said == []
        state.look(6, both, card)
        state.look(9, one, card)
        assert said == []
        state.look(12, one, card)
        state.look(15, one, card)
        assert len(said) == 1
        assert "sst2, prompt 'real': at steps 9 and 12" in said[0]
        assert "'negative'" in said[0]


class TestWhatCannotBeTuned:
    def test_a_loss_that_is_not_finite_names_step_task_arm_and_rows(self, tiny_bart, monkeypatch):
        inner, card = tiny_bart.label_scores, toy_card()
        poisoned = tiny_bart.encode_rows(card, toy_rows(10, 0), 4)[3]

        def scores(prompts, inputs, words):
            values = inner(prompts, inputs, words)
            bad = torch.tensor([list(ids) == poisoned for ids in inputs])
            return torch.where(bad[:, None], math.nan, values)

        monkeypatch.setattr(tiny_bart, "label_scores", scores)
        arms = [Arm("s", 13, "synthetic"), Arm("r", 13, "real")]
        passes = Passes(10, Streams(13).numpy("tuning", "real"))
        step = next(step for step in range(1, 7) if 3 in passes.take(4))
        with pytest.raises(UserError) as caught:
            fit(tiny_bart, arms)
        message = str(caught.value)
        assert message.startswith(f"sst2, step {step} of tuning: the loss is not finite for ")
        assert "real rows 3 of 'r' (rows counted from 0)" in message
        assert "'s'" not in message

    def test_a_gradient_that_is_not_finite_names_step_arm_and_rows(self, tiny_bart, monkeypatch):
        calls = 0

        def broken(*arguments):
            nonlocal calls
            calls += 1
            found = both_gradients(*arguments)
            if calls == 2:
                found.synthetic[0, 1, 2] = math.inf
            return found

        monkeypatch.setattr("dawgen.tuning.fit.both_gradients", broken)
        arms = [Arm("s", 13, "paired"), Arm("r", 13, "real")]
        with pytest.raises(UserError) as caught:
            fit(tiny_bart, arms)
        message = str(caught.value)
        assert message.startswith(
            "sst2, step 2 of tuning: the gradient is not finite for real rows"
        )
        assert "of 's'; synthetic rows" in message
        assert "'r'" not in message

    def test_a_development_loss_that_is_not_finite(self, tiny_bart):
        card, rows = toy_card(), encode(toy_card(), toy_rows(4, 0), tiny_bart, 4)
        state = ArmState(ARMS[2], ArmData(rows, rows, rows), torch.zeros(4, 32), toy_settings())
        with pytest.raises(UserError, match=r"prompt 'real': after step 6 .* is nan"):
            state.look(6, DevScore(0.5, math.nan, [4, 0]), card)

    def test_no_development_rows(self, tiny_bart):
        with pytest.raises(UserError, match="sst2: there are no development rows"):
            fit_prompts(toy_card(), ARMS[2:3], toy_rows(4, 0), [], [], tiny_bart, toy_settings())

    def test_no_synthetic_rows_for_an_arm_that_needs_them(self, tiny_bart):
        with pytest.raises(UserError, match=r"'surgery' \(surgery\) needs synthetic rows"):
            fit_prompts(
                toy_card(), ARMS[:1], toy_rows(4, 0), toy_rows(4, 1), [], tiny_bart, toy_settings()
            )

    def test_two_arms_of_one_name(self, tiny_bart):
        with pytest.raises(ValueError, match="not unique"):
            fit(tiny_bart, [ARMS[0], ARMS[0]])
