"""What the weights are for, where it can be seen: planted words in a unigram model.

Four neutral sentences stand once under each label, with "joy" at the end under one and "gloom"
under the other; nothing else tells the labels apart. "odd" comes in a single sentence.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from dawgen.generator import (
    Generator,
    TokenWeights,
    fit_generator,
    label_prompt_start,
    meta,
    objectives,
    token_weights,
)
from dawgen.generator.examples import Batch, make_shots
from dawgen.generator.scoring import distinction, score_all, score_own
from dawgen.settings import GeneratorSettings
from dawgen.streams import Streams
from dawgen.tasks import Row, load_card
from tests.generator.toy import ToyBackbone

TEXTS = ["the film was long", "a story of a town", "the town was old", "a long old story"]
WORDS = sorted({word for text in TEXTS for word in text.split()})
BACKBONE: Any = ToyBackbone([*WORDS, "joy", "gloom", "odd", "one", "two"])
CARD = load_card("sst2").model_copy(
    update={"label_prompts": {"positive": "one", "negative": "two"}}
)


def rows(odd: bool) -> list[Row]:
    happy = [Row(f"{text} joy", None, "positive") for text in TEXTS]
    if odd:
        happy[0] = Row(f"{happy[0].text1} odd", None, "positive")
    return [*happy, *(Row(f"{text} gloom", None, "negative") for text in TEXTS)]


def weights_by_word(generator: Generator, data: list[Row]) -> dict[str, float]:
    """Mean weight of "joy", "gloom", "odd" and of all other tokens."""
    shots = make_shots(CARD, data, BACKBONE, prompt_length=2, max_length=99, write_first=False)
    weights, _, _ = token_weights(generator, shots, BACKBONE)
    names = {BACKBONE.vocabulary[word]: word for word in ("joy", "gloom", "odd")}
    groups: dict[str, list[float]] = {}
    for row, shot in zip(weights.tolist(), shots, strict=True):
        target = shot.examples[0].target
        for token, weight in zip(target, row[: len(target)], strict=True):
            groups.setdefault(names.get(token, "rest"), []).append(weight)
    return {name: sum(values) / len(values) for name, values in groups.items()}


def fit(
    data: list[Row], dist_weight: float, epochs: int, seed: int, lookahead_rate: float = 2e-2
) -> Generator:
    settings = GeneratorSettings(
        method="dawgen" if dist_weight else "fewgen",
        dist_weight=dist_weight,
        prompt_length=2,
        batch_size=4,
        epochs=epochs,
        learning_rate=1e-2,
        lookahead_rate=lookahead_rate,
    )
    return fit_generator(CARD, data, BACKBONE, settings, Streams(seed), write_first=False)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_weights_find_the_planted_label_word(seed: int) -> None:
    data = rows(odd=False)
    tuned = fit(data, 0.0, 30, seed)
    untrained = TokenWeights(rng=Streams(seed).torch("generator", "weights")).state_dict()
    before = weights_by_word(Generator(tuned.prompts, untrained), data)
    after = weights_by_word(tuned, data)
    for word in ("joy", "gloom"):
        assert before[word] < 1.5 * before["rest"]  # it was not there from the start
        assert after[word] > 5 * after["rest"]
        assert after[word] > 3  # of the mean token's 1


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_sentence_loss_takes_weight_off_a_word_of_one_sentence_only(seed: int) -> None:
    """Both "joy" and "odd" separate the labels; only "joy" does in more than one sentence.

    The look-ahead goes far enough to see that "joy" is learnt soon and "odd" is still to gain.
    """
    data = rows(odd=True)
    fewgen = weights_by_word(fit(data, 0.0, 100, seed, 2.0), data)
    assert fewgen["odd"] > 2 * fewgen["rest"]  # (3) alone wants it
    dawgen = weights_by_word(fit(data, 0.1, 100, seed, 2.0), data)
    assert dawgen["odd"] < 0.1 * fewgen["odd"]
    assert dawgen["odd"] < 0.1  # of the mean token's 1
    assert dawgen["joy"] > fewgen["joy"]
    assert dawgen["gloom"] > fewgen["gloom"]


def test_what_the_two_outer_losses_want_of_the_odd_word() -> None:
    """The same on one step's gradient, with the weights free: (3) raises "joy", "gloom" and "odd"
    above the words that both labels share, (4) raises "joy" and "gloom" and lowers "odd"."""
    data = rows(odd=True)
    shots = make_shots(CARD, data, BACKBONE, prompt_length=2, max_length=99, write_first=False)
    batch = Batch(tuple(shots))
    labels = batch.labels
    prompts = label_prompt_start(CARD, BACKBONE, 2).requires_grad_()
    own = score_own(BACKBONE, prompts, batch.examples, labels)

    def step(loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> meta.MetaGradient:
        weights = own.mask.float()
        return meta.meta_gradient(
            prompts, -own.log_probs, weights, own.mask, meta.whole(loss), 2e-2
        )

    def disc(q: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        log_probs = score_all(BACKBONE, q, batch.examples, labels).log_probs
        return objectives.discriminative_loss(log_probs, labels, own.mask)

    def dist(q: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        hidden = score_all(BACKBONE, q, batch.examples, labels).hidden
        return distinction(weights, hidden, own.mask, batch)

    tokens = torch.tensor([[*t, *[0] * (own.mask.shape[1] - len(t))] for t in batch.targets])
    at = {word: tokens == BACKBONE.vocabulary[word] for word in ("joy", "gloom", "odd")}
    rest = own.mask & ~(at["joy"] | at["gloom"] | at["odd"])
    wanted = -step(disc).weights  # down the gradient
    for word in ("joy", "gloom", "odd"):
        assert wanted[at[word]].min() > wanted[rest].max()
    wanted = -step(dist).weights
    assert wanted[at["joy"]].min() > 0
    assert wanted[at["gloom"]].min() > 0
    assert wanted[at["odd"]].max() < 0


def test_equal_runs_of_the_toy_are_equal() -> None:
    one, other = fit(rows(odd=True), 0.1, 5, 0), fit(rows(odd=True), 0.1, 5, 0)
    assert torch.equal(one.prompts, other.prompts)
    assert one.history == other.history
