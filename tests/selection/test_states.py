"""States at the label's place are those that transformers gives, on every kind of model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from dawgen.backbone import Backbone
from dawgen.backbone.watch import layers_of
from dawgen.errors import UserError
from dawgen.selection.candidates import Made, candidates
from dawgen.selection.heads import Form, fit_head, label_numbers, softmax
from dawgen.selection.parts import Models, read_part
from dawgen.selection.pool import exponents, product
from dawgen.selection.select import wanted
from dawgen.selection.shown import Shown, prefix_ids, shown_sets
from dawgen.selection.states import AnswerStates, depths_of
from dawgen.tasks import Row, Shots
from tests.methods.small import pair_card, pair_rows, sentence_shots
from tests.selection.test_store import settings_with
from tests.tuning.toy import toy_card, toy_rows

BACKBONES = ["tiny_llama", "tiny_gemma", "tiny_gpt2", "tiny_t5", "tiny_bart"]


def theirs(backbone: Backbone, ids: list[int], depths: tuple[int, ...]) -> npt.NDArray[Any]:
    """By the model's own forward pass of one row, which is padded and packed with no other."""
    model: Any = backbone.model
    whole = torch.tensor([ids])
    if backbone.is_encoder_decoder:
        found = model(
            input_ids=whole,
            decoder_input_ids=torch.tensor([backbone.decoder_start]),
            output_hidden_states=True,
        ).decoder_hidden_states
    else:
        found = model(input_ids=whole, output_hidden_states=True).hidden_states
    return torch.cat([found[depth][0, -1] for depth in depths]).numpy()


@torch.no_grad()
@pytest.mark.parametrize("name", BACKBONES)
def test_states_are_the_models_own(name: str, request: pytest.FixtureRequest) -> None:
    backbone: Backbone = request.getfixturevalue(name)
    card, rows = pair_card(), pair_rows(4, 5)
    states = AnswerStates(backbone, card, 2048, depths_of(backbone))
    assert states.depths == (1, 2)
    assert len(layers_of(backbone.model)) == 2
    hooks = [len(layer._forward_hooks) for layer in layers_of(backbone.model)]
    found = states.of(rows)
    assert [len(layer._forward_hooks) for layer in layers_of(backbone.model)] == hooks
    _, inputs = states.inputs(rows)
    expected = [theirs(backbone, [*states.prefixes[0], *ids], states.depths) for ids in inputs]
    assert len({len(ids) for ids in inputs}) > 1  # some are padded
    np.testing.assert_allclose(found, expected, atol=2e-4, rtol=2e-3)
    np.testing.assert_array_equal(states.of(rows[::-1]), found[::-1])


def test_the_instruction_stands_in_front_and_has_bounds(tiny_llama: Backbone) -> None:
    long = pair_card().model_copy(update={"instruction": "word " * 500})
    states = AnswerStates(tiny_llama, long, 2048, (2,))
    assert len(states.prefixes[0]) == tiny_llama.max_length // 2
    assert states.of(pair_rows(1, 5)).shape == (len(pair_rows(1, 5)), tiny_llama.hidden_size)
    short = AnswerStates(tiny_llama, pair_card(), 2048, (2,))
    assert short.prefixes[0] == tiny_llama.text_ids(f"{pair_card().instruction}\n")


@torch.no_grad()
def test_a_causal_model_reads_examples_but_no_row_its_own_label(tiny_llama: Backbone) -> None:
    card = pair_card().model_copy(update={"instruction": "Which?"})
    rows = pair_rows(12, 5)
    shown, *others = shown_sets(tiny_llama, card, rows)
    assert others
    assert all([row.label for row in each.first] == card.labels[::-1] for each in others)
    assert [row.label for row in shown.first] == card.labels
    assert [row.label for row in shown.second] == card.labels
    texts = [{(row.text1, row.text2) for row in part} for part in (shown.first, shown.second)]
    assert not texts[0] & texts[1]
    states = AnswerStates(tiny_llama, card, 2048, (1, 2), shown)
    of, inputs = states.inputs(rows)
    assert [n for n, which in enumerate(of) if which] == [
        n for n, row in enumerate(rows) if (row.text1, row.text2) in texts[0]
    ]
    expected = [
        theirs(tiny_llama, [*states.prefixes[which], *ids], (1, 2))
        for which, ids in zip(of, inputs, strict=True)
    ]
    np.testing.assert_allclose(states.of(rows), expected, atol=2e-4, rtol=2e-3)
    words = json.loads(json.dumps(shown.words()))
    again = AnswerStates(tiny_llama, card, 2048, (1, 2), Shown.of_words(words))
    np.testing.assert_array_equal(again.of(rows), states.of(rows))


def test_examples_in_words(tiny_llama: Backbone) -> None:
    card = pair_card().model_copy(
        update={"instruction": "Which?", "causal_template": "{text1} {text2} Answer:"}
    )
    rows = [Row("a", "b", card.labels[0]), Row("c", "d", card.labels[1])]
    one, other = (card.label_words[label] for label in card.labels[:2])
    expected = f"Which?\na b Answer: {one}\n\nc d Answer: {other}\n\n"
    assert prefix_ids(tiny_llama, card, rows) == tiny_llama.text_ids(expected)


def test_no_examples_where_they_do_not_fit_or_are_too_few(
    tiny_llama: Backbone, tiny_t5: Backbone
) -> None:
    card, rows = pair_card(), pair_rows(12, 5)
    assert shown_sets(tiny_t5, card, rows) == [Shown()]
    assert shown_sets(tiny_llama, card, rows[:1]) == [Shown()]
    long = card.model_copy(update={"instruction": "word " * 500})
    assert shown_sets(tiny_llama, long, rows) == [Shown()]


def test_calls_side_by_side_give_the_same(tiny_llama: Backbone) -> None:
    rows, threads = pair_rows(12, 5), torch.get_num_threads()
    one = AnswerStates(tiny_llama, pair_card(), 4096, (1, 2)).of(rows)
    try:
        torch.set_num_threads(2)
        two = AnswerStates(tiny_llama, pair_card(), 64, (1, 2)).of(rows)
    finally:
        torch.set_num_threads(threads)
    np.testing.assert_allclose(one, two, atol=1e-5)


@pytest.mark.parametrize("labels", [2, 3])
def test_a_head_on_blocks_averages_logits(labels: int) -> None:
    random = np.random.default_rng(1)
    features, gold = random.normal(size=(30, 8)), np.arange(30) % labels
    whole = fit_head(features, gold, labels, 1.0, form=Form(scaled=True, blocks=2))
    logits = [
        part @ head.weight + head.bias
        for part in np.hsplit(features, 2)
        for head in [fit_head(part, gold, labels, 1.0, form=Form(scaled=True))]
    ]
    np.testing.assert_allclose(
        whole.probabilities(features), softmax(np.mean(logits, axis=0)), atol=1e-5
    )


@pytest.mark.parametrize("labels", [2, 3])
def test_a_head_on_label_words_counts_for_two_blocks(labels: int) -> None:
    random = np.random.default_rng(2)
    features, gold = random.normal(size=(30, 8)), np.arange(30) % labels
    words = random.normal(size=(4, labels)).astype(np.float32)
    whole = fit_head(features, gold, labels, 1.0, form=Form(scaled=True, blocks=2, words=words))
    parts = [*np.hsplit(features, 2), *[features[:, 4:] @ words] * 2]
    logits = [
        part @ head.weight + head.bias
        for part in parts
        for head in [fit_head(part, gold, labels, 1.0, form=Form(scaled=True))]
    ]
    np.testing.assert_allclose(
        whole.probabilities(features), softmax(np.mean(logits, axis=0)), atol=1e-5
    )


@torch.no_grad()
@pytest.mark.parametrize("name", ["tiny_t5", "tiny_bart"])
def test_an_encoder_decoder_reads_as_zero_shot_and_knows_its_label_words(
    name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    backbone: Backbone = request.getfixturevalue(name)
    card, rows = pair_card(), pair_rows(4, 5)
    models = Models(card, settings_with(tmp_path), backbone)
    models.take_shots(Shots(rows, []))
    recipe = models.recipe("answers")
    states = recipe.make(rows)
    assert isinstance(states, AnswerStates)
    assert not states.is_instructed
    words = recipe.form.words
    assert words is not None
    firsts = [ids[0] for ids in models.label_words]
    inputs = backbone.encode_rows(card, rows, 0)
    logits = backbone.head.logits(backbone.label_hidden(None, inputs))[:, firsts].numpy()
    found = states.of(rows)[:, -len(words) :] @ words
    centred = logits - logits.mean(axis=1, keepdims=True)
    ratio = float((found * centred).sum() / (centred**2).sum())  # T5 scales its states
    np.testing.assert_allclose(found, ratio * centred, atol=1e-4)


def test_a_head_on_instructed_states_is_not_read_back_bare(
    tiny_t5: Backbone, tmp_path: Path
) -> None:
    models = Models(pair_card(), settings_with(tmp_path), tiny_t5)
    words = {"depths": [1, 2], "shown": {"first": [], "second": []}}  # as before
    numbers = {"weight": np.zeros((2, 3), np.float32), "bias": np.zeros(3, np.float32)}
    with pytest.raises(UserError, match="another version"):
        read_part("states", "answers", numbers, words, models)


@pytest.mark.parametrize("kind", ["text", "pair"])
def test_both_heads_together_are_their_product(
    kind: str, tiny_t5: Backbone, encoder_folder: Path
) -> None:
    card = toy_card() if kind == "text" else pair_card()
    shots = sentence_shots() if kind == "text" else Shots(pair_rows(8, 1), pair_rows(8, 2))
    rows = toy_rows(5, 7) if kind == "text" else pair_rows(5, 7)
    models = Models(card, settings_with(encoder_folder), tiny_t5)
    names = ["embeddings", "states", "embeddings+states", "embeddings+states+written"]
    names[:0] = ["alignment"] if kind == "pair" else []
    found = candidates(names, shots, Made(rows), models, seed=13)
    assert [each.name for each in found] == names
    *alone, both, written = found
    experts = [each.held_out for each in alone]
    gold = label_numbers(card, [*shots.train, *shots.dev])
    powers = exponents(experts, gold, card.metric).tolist()
    np.testing.assert_allclose(both.held_out, product(experts, powers), atol=1e-6)
    assert not both.rival
    assert written.rival
    kinds = ["alignment", "embeddings", "answers"][-len(alone) :]
    assert [part.kind for part in both.ship().parts] == kinds
    chances = [each.ship().probabilities(rows) for each in alone]
    np.testing.assert_allclose(both.ship().probabilities(rows), product(chances, powers), atol=1e-5)


def test_a_head_on_mean_states_of_an_earlier_version_is_refused(tiny_t5: Backbone) -> None:
    models = Models(toy_card(), settings_with(Path("nowhere")), tiny_t5)
    with pytest.raises(UserError, match="make the run again with this version"):
        read_part("states", "states", {}, {}, models)  # type: ignore[arg-type]


def test_features_of_many_rows_are_in_memory_piece_by_piece(
    tiny_llama: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = Models(pair_card(), settings_with(Path("nowhere")), tiny_llama)
    shots, rows = Shots(pair_rows(8, 1), pair_rows(8, 2)), pair_rows(7, 5)
    (found,) = candidates(["states"], shots, Made(), models, seed=13)
    (part,) = found.ship().parts
    again = read_part("states", "answers", part.numbers(), part.words(), models)
    whole = again.probabilities(rows)
    sizes: list[int] = []
    own = AnswerStates._read

    def read(self: AnswerStates, some: Any) -> Any:
        sizes.append(len(some))
        return own(self, some)

    monkeypatch.setattr(AnswerStates, "_read", read)
    monkeypatch.setattr("dawgen.selection.parts.ROWS_AT_ONCE", 5)
    np.testing.assert_allclose(again.probabilities(rows), whole, atol=1e-5)
    assert sizes == [min(5, len(rows) - n) for n in range(0, len(rows), 5)]
    assert again.probabilities([]).shape == (0, 2)


def test_other_rows_give_other_examples(tiny_llama: Backbone) -> None:
    card = pair_card().model_copy(update={"instruction": "Which?"})
    models = Models(card, settings_with(Path("nowhere")), tiny_llama)
    seen = []
    for seed in (1, 2):
        models.take_shots(Shots(pair_rows(12, seed), []))
        features = models.recipe("answers").make([])
        assert isinstance(features, AnswerStates)
        seen.append(features.shown)
    assert seen[0].first
    assert seen[0] != seen[1]


def test_quick_has_no_states_of_many_labels(encoder_folder: Path) -> None:
    settings = settings_with(encoder_folder).selection
    few, words = pair_card(), {f"label{n}": f"word{n}" for n in range(31)}
    many = few.model_copy(update={"labels": list(words), "label_words": words})
    assert {"states", "embeddings+states"} <= set(wanted(settings, few))
    assert not [name for name in wanted(settings, many) if "states" in name or "tuned" in name]
    named = settings.model_copy(update={"candidates": ["states", "tfidf"]})
    assert wanted(named, many) == ["tfidf", "states"]
