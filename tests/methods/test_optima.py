"""OPTIMA: what it learns from, what it refuses, and that it repeats."""

from __future__ import annotations

import math
from dataclasses import replace
from importlib import import_module

import pytest
import torch

from dawgen.errors import UserError
from dawgen.methods import Source, Task
from dawgen.methods.optima import _Adaptation, adapt, optima
from dawgen.methods.perturb import divergence, entropy
from dawgen.methods.transfer import as_target, match_labels
from dawgen.streams import Streams
from dawgen.tasks import Shots
from dawgen.tuning.rows import encode
from tests.methods.toy_pairs import (
    assert_unchanged,
    pair_rows,
    small,
    three_way,
    toy_shots,
    toy_task,
    two_way,
    weights_of,
)
from tests.tuning.toy import toy_card, toy_rows

SHAPES = ("tiny_bart", "tiny_t5", "tiny_gpt2")


@pytest.mark.parametrize("name", SHAPES)
def test_it_labels_the_rows_and_leaves_the_backbone_alone(name, request, tmp_path):
    backbone, card = request.getfixturevalue(name), two_way("qqp")
    task, before = toy_task(tmp_path, card, two_way("mrpc")), weights_of(backbone)
    found = optima(task, toy_shots(card), backbone, small(), Streams(13))
    assert found.probabilities.shape == (10, 2)
    assert found.probabilities.sum(axis=1) == pytest.approx([1.0] * 10, abs=1e-5)
    assert found.details["best_step"] in (0, 2, 4)
    assert (found.details["source_rows"], found.details["unlabelled_rows"]) == (20, 12)
    assert_unchanged(backbone, before)


def run(task: Task, backbone, seed: int = 13, shots: Shots | None = None, **changes):
    settings = small(optima=changes) if changes else small()
    source = as_target(task.needed_source("OPTIMA"), task.card, "OPTIMA")
    return adapt(task, source, shots or toy_shots(task.card), backbone, settings, Streams(seed))


def test_same_seed_same_bytes(tiny_bart, tmp_path):
    card = three_way()
    task = toy_task(tmp_path, card, three_way())
    prompts = []
    for seed in (13, 13, 14):
        adaptation = _Adaptation(card, card, tiny_bart, small(), Streams(seed))
        source = encode(card, pair_rows(card, 4, 0), tiny_bart, 4)
        for step in (1, 2, 3):
            adaptation.update(step, source, source.ids)
        prompts.append(adaptation.prompt.detach().clone())
    assert torch.equal(prompts[0], prompts[1])
    assert not torch.equal(prompts[0], prompts[2])
    first, second = run(task, tiny_bart), run(task, tiny_bart)
    assert torch.equal(first[0], second[0])
    assert first[1:] == second[1:]


def test_training_shots_are_not_learned_from(tiny_bart, tmp_path):
    card = two_way("qqp")
    task, shots = toy_task(tmp_path, card, two_way()), toy_shots(card)
    other = Shots(pair_rows(card, 6, 99), shots.dev)
    assert torch.equal(run(task, tiny_bart, shots=shots)[0], run(task, tiny_bart, shots=other)[0])


def test_the_best_step_on_the_development_shots_is_kept(tiny_bart, tmp_path, monkeypatch):
    """Scripted looks: steps 0, 2, 4 with the best at 2."""
    module = import_module("dawgen.methods.optima")
    from dawgen.tuning.develop import DevScore

    looks = iter(
        [DevScore(0.5, 1.0, [3, 3]), DevScore(0.8, 1.0, [3, 3]), DevScore(0.8, 1.5, [3, 3])]
    )
    seen = []

    def score(prompts, *rest):
        seen.append(prompts[0].clone())
        return [next(looks)]

    monkeypatch.setattr(module, "dev_scores", score)
    task = toy_task(tmp_path, two_way("qqp"), two_way())
    prompt, step, best = run(task, tiny_bart)
    assert (step, best.accuracy, best.loss, len(seen)) == (2, 0.8, 1.0, 3)
    assert torch.equal(prompt, seen[1])
    assert not torch.equal(seen[1], seen[2])


def test_the_source_is_learned_in_spite_of_the_perturbations(tiny_bart):
    """Six rows by heart: their loss falls from far above chance, log 2, to far below it."""
    card = toy_card()
    here, there = (
        encode(
            card,
            [replace(row, text1=f"{word} {row.text1}") for row in toy_rows(6, seed)],
            tiny_bart,
            4,
        )
        for word, seed in (("house", 5), ("park", 6))
    )
    settings = small(optima={"steps": 24, "learning_rate": 0.1})
    adaptation = _Adaptation(card, card, tiny_bart, settings, Streams(13))

    def loss() -> float:
        with torch.no_grad():
            scores = adaptation.read(here.ids)[1]
        return torch.nn.functional.cross_entropy(scores, here.targets.argmax(dim=1)).item()

    assert loss() > 1.0
    for step in range(1, 25):
        adaptation.update(step, here, there.ids)
    assert loss() < 0.5


def test_the_prompt_descends_all_four_terms(tiny_bart, monkeypatch):
    """The gradient that reaches the prompt is that of cross-entropy + KL + entropy minus the
    weighted domain loss, written out here from the same perturbation."""
    module = import_module("dawgen.methods.optima")

    card, kept = three_way(), []
    inner = module.adversarial

    def keep(*args, **kwargs):
        kept.append((inner(*args, **kwargs), kwargs["domain_weight"]))
        return kept[-1][0]

    monkeypatch.setattr(module, "adversarial", keep)
    settings = small(optima={"max_grad_norm": None, "discriminator_learning_rate": 0.5})
    adaptation = _Adaptation(card, card, tiny_bart, settings, Streams(13))
    rows = encode(card, pair_rows(card, 4, 0), tiny_bart, 4)
    target = tiny_bart.encode_rows(card, pair_rows(card, 4, 9), 4)
    start = adaptation.prompt.detach().clone()
    adaptation.update(2, rows, target)
    ((delta, weight),) = kept
    assert weight == pytest.approx(0.5 * (2 / (1 + math.exp(-5)) - 1))  # step 2 of 4

    prompt = start.clone().requires_grad_()
    words = torch.tensor([word[0] for word in tiny_bart.label_word_ids(card)])
    prompts = prompt.expand(4, -1, -1)
    clean = tiny_bart.head.logits(tiny_bart.label_hidden(prompts, rows.ids), words)
    hidden = tiny_bart.label_hidden(prompts, rows.ids, delta)
    scores = tiny_bart.head.logits(hidden, words)
    learned = adaptation.discriminator
    log_source = torch.nn.functional.logsigmoid(hidden @ learned.weight + learned.bias)
    loss = torch.nn.functional.cross_entropy(clean, rows.targets.argmax(dim=1))
    loss = loss + divergence(clean.detach(), scores).mean() + entropy(scores).mean()
    (without,) = torch.autograd.grad(loss, prompt, retain_graph=True)
    (wanted,) = torch.autograd.grad(loss + weight * log_source.mean(), prompt)
    assert adaptation.prompt.grad is not None
    torch.testing.assert_close(adaptation.prompt.grad, wanted, atol=1e-5, rtol=1e-4)
    assert (wanted - without).norm() > 1e-2 * wanted.norm()


class TestLabels:
    def test_equal_names_are_matched_whatever_their_order(self):
        card = three_way()
        turned = card.model_copy(update={"labels": card.labels[::-1]})
        assert match_labels(card, turned) == {label: label for label in card.labels}

    def test_other_names_are_matched_by_their_words(self):
        found = match_labels(two_way("mrpc"), two_way("rte"))
        assert found == {"equivalent": "entailment", "not_equivalent": "not_entailment"}

    def test_three_labels_do_not_match_two(self):
        with pytest.raises(UserError, match=r"^The labels of snli \(.*\) are not those of mrpc \("):
            match_labels(three_way(), two_way())
        with pytest.raises(UserError, match=r"labels of mrpc .* are not those of snli"):
            match_labels(two_way(), three_way())

    def test_other_words_of_two_labels_do_not_match(self):
        words = {"equivalent": "good", "not_equivalent": "bad"}
        other = two_way().model_copy(update={"label_words": words})
        with pytest.raises(UserError, match="by name or by label word"):
            match_labels(other, two_way("rte"))

    def test_the_source_keeps_its_template_and_takes_the_targets_labels(self):
        rows = pair_rows(two_way(), 3, 0)
        found = as_target(Source(two_way(), rows), two_way("rte"), "OPTIMA")
        assert found.card.template == two_way().template
        assert found.card.labels == two_way("rte").labels
        assert found.card.label_words == two_way("rte").label_words
        assert [row.label for row in found.rows] == ["entailment", "not_entailment", "entailment"]
        assert [row.text1 for row in found.rows] == [row.text1 for row in rows]


class TestWhatIsMissing:
    def test_no_source(self, tiny_bart, tmp_path):
        card = two_way()
        with pytest.raises(UserError, match=r"^OPTIMA learns from a large labelled source task"):
            optima(toy_task(tmp_path, card), toy_shots(card), tiny_bart, small(), Streams(13))

    def test_no_unlabelled_rows(self, tiny_bart, tmp_path):
        card = two_way("qqp")
        task = replace(toy_task(tmp_path, card, two_way()), unlabelled=[])
        with pytest.raises(UserError, match=r"^OPTIMA adapts to unlabelled rows of qqp, and there"):
            optima(task, toy_shots(card), tiny_bart, small(), Streams(13))

    def test_a_source_with_other_labels(self, tiny_bart, tmp_path):
        card = two_way("qqp")
        task = toy_task(tmp_path, card, three_way())
        with pytest.raises(UserError, match="labels of snli"):
            optima(task, toy_shots(card), tiny_bart, small(), Streams(13))

    def test_no_development_rows(self, tiny_bart, tmp_path):
        card = two_way("qqp")
        task = toy_task(tmp_path, card, two_way())
        with pytest.raises(UserError, match="qqp: there are no development rows"):
            optima(task, Shots(pair_rows(card, 2, 0), []), tiny_bart, small(), Streams(13))

    def test_a_loss_that_is_not_finite_names_step_and_task(self, tiny_bart, tmp_path, monkeypatch):
        inner, calls = tiny_bart.label_hidden, []

        def hidden(prompts, inputs, perturbation=None):
            calls.append(perturbation is None)
            found = inner(prompts, inputs, perturbation)
            return found * math.nan if calls.count(False) > 2 else found

        monkeypatch.setattr(tiny_bart, "label_hidden", hidden)
        card = two_way("qqp")
        task = toy_task(tmp_path, card, two_way())
        with pytest.raises(UserError, match=r"^qqp, step 2 of OPTIMA: the loss is not finite"):
            optima(task, toy_shots(card), tiny_bart, small(), Streams(13))


def test_label_words_must_start_with_different_tokens_here_alone(tiny_bart, tmp_path):
    """It reads one position; whoever scores words whole takes the same card."""
    card = three_way()
    words = dict(zip(card.labels, ("not true", "not false", "maybe"), strict=True))
    card = card.model_copy(update={"label_words": words})
    assert len(tiny_bart.label_word_ids(card)) == 3
    task = toy_task(tmp_path, card, card)
    with pytest.raises(UserError, match="two of 'not true', 'not false', 'maybe' start with"):
        optima(task, toy_shots(card), tiny_bart, small(), Streams(13))
