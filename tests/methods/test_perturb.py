"""OPTIMA's perturbations: their bounds, what they climb, and what they do to the domain."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import torch

from dawgen.backbone import Backbone
from dawgen.methods.perturb import (
    Discriminator,
    adversarial,
    ascend,
    divergence,
    entropy,
    random_start,
    reversal_strength,
)
from dawgen.tasks import Row
from tests.methods.toy_pairs import pair_rows, three_way

LENGTHS = [3, 7, 1]
WIDTH = 32
SHAPES = ("tiny_bart", "tiny_t5", "tiny_gpt2")


def norms(rows: torch.Tensor) -> torch.Tensor:
    return rows.flatten(1).norm(dim=1)


def stream(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_reversals_strength_by_hand():
    """t = 0: 2/2 - 1; t = T/2: 2/(1 + e^-5) - 1; t = T: 2/(1 + e^-10) - 1."""
    assert reversal_strength(0, 40) == 0.0
    assert reversal_strength(20, 40) == pytest.approx(0.9866143, abs=1e-7)
    assert reversal_strength(40, 40) == pytest.approx(0.9999092, abs=1e-7)


def test_the_start_is_within_its_bound_and_zero_at_padding():
    start = random_start(LENGTHS, WIDTH, stream())
    assert start.shape == (3, 7, WIDTH)
    for row, length in zip(start, LENGTHS, strict=True):
        bound = 1 / math.sqrt(length * WIDTH)
        assert 0.9 * bound < row.abs().max() <= bound  # of 32 draws or more one comes near
        assert row.min() < -0.5 * bound
        assert bool((row[length:] == 0).all())
        assert bool((row[:length] != 0).all())
    assert bool((norms(start) <= 1).all())
    assert torch.equal(start, random_start(LENGTHS, WIDTH, stream()))
    assert not torch.equal(start, random_start(LENGTHS, WIDTH, stream(1)))


def test_a_step_has_its_size_in_every_row_whatever_the_gradients():
    gradient = torch.randn(3, 7, WIDTH, generator=stream())
    gradient = gradient * torch.tensor([1e-6, 1.0, 1e6])[:, None, None]
    start = random_start([7, 7, 7], WIDTH, stream(1))
    moved = ascend(start, gradient, 0.1, None)
    assert norms(moved - start) == pytest.approx(torch.full((3,), 0.1), rel=1e-3)
    directions = torch.cosine_similarity((moved - start).flatten(1), gradient.flatten(1))
    assert directions == pytest.approx(torch.ones(3), abs=1e-3)
    assert torch.equal(ascend(start, torch.zeros_like(start), 0.1, None), start)


def test_the_longest_perturbation_is_cut_and_shorter_ones_are_left():
    start = random_start([7, 7, 7], WIDTH, stream()) * torch.tensor([0.0, 0.3, 1.0])[:, None, None]
    gradient = start + 1e-3
    free, cut = ascend(start, gradient, 0.05, None), ascend(start, gradient, 0.05, 0.25)
    assert norms(free)[0] < 0.25 < norms(free)[2]
    assert bool((norms(cut) <= 0.25 + 1e-6).all())
    assert torch.equal(cut[0], free[0])
    assert norms(cut)[2] == pytest.approx(0.25, abs=1e-6)
    directions = torch.cosine_similarity(cut.flatten(1), free.flatten(1))
    assert directions == pytest.approx(torch.ones(3), abs=1e-5)


def test_divergence_and_entropy_by_hand():
    """p = (3/4, 1/4) and q = (1/2, 1/2): KL(p‖q) = 3/4 log 3/2 + 1/4 log 1/2."""
    p, q = torch.tensor([[0.75, 0.25]]).log() + 3.0, torch.zeros(1, 2)
    by_hand = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert divergence(p, q).item() == pytest.approx(by_hand, abs=1e-6)
    assert divergence(q, p).item() == pytest.approx(0.5 * math.log(4 / 3), abs=1e-6)
    assert entropy(q).item() == pytest.approx(math.log(2))
    assert entropy(p).item() == pytest.approx(-0.75 * math.log(0.75) - 0.25 * math.log(0.25))
    scores = torch.randn(2, 100, 3, generator=stream())
    assert bool((divergence(scores[0], scores[1]) >= 0).all())
    assert divergence(scores[0], scores[0]).abs().max() < 1e-6


def test_the_divergence_pulls_back_a_prediction_that_was_turned():
    """Its gradient is q - p, clean prediction p: here nearly (-1, 1), and 0 the other way round."""
    clean = torch.tensor([[20.0, 0.0]])
    perturbed = torch.tensor([[0.0, 20.0]], requires_grad=True)
    (gradient,) = torch.autograd.grad(divergence(clean, perturbed).sum(), perturbed)
    assert gradient.tolist()[0] == pytest.approx([-1.0, 1.0], abs=1e-6)
    (other,) = torch.autograd.grad(divergence(perturbed, clean).sum(), perturbed)
    assert other.abs().max() < 1e-5


class Toy:
    """A backbone, a prompt and rows of three lengths, read under a perturbation."""

    def __init__(self, backbone: Backbone, rows: Sequence[Row] | None = None) -> None:
        card = three_way()
        self.backbone = backbone
        self.rows = backbone.encode_rows(card, rows or pair_rows(card, 8, 0), 4)
        self.words = torch.tensor([word[0] for word in backbone.label_word_ids(card)])
        self.prompt = torch.randn(4, WIDTH, generator=stream(7))
        self.lengths = [len(row) for row in self.rows]

    def read(self, perturbation: torch.Tensor | None = None):
        prompts = self.prompt.expand(len(self.rows), -1, -1)
        hidden = self.backbone.label_hidden(prompts, self.rows, perturbation)
        return hidden, self.backbone.head.logits(hidden, self.words)

    def adversarial(self, discriminator: Discriminator, **changes):
        with torch.no_grad():
            _, clean = self.read()
        start = random_start(self.lengths, WIDTH, stream(2))
        options = {"domain_weight": 0.0, "step_size": 0.1, "max_norm": None, **changes}
        found = adversarial(start, clean, self.read, discriminator, **options)
        return start, found, clean


@pytest.mark.parametrize("name", SHAPES)
class TestOnBackbones:
    def test_no_perturbation_is_the_plain_reading(self, name, request):
        toy = Toy(request.getfixturevalue(name))
        nothing = torch.zeros(len(toy.rows), max(toy.lengths), WIDTH)
        assert torch.equal(toy.read(nothing)[1], toy.read()[1])
        words = [[int(word)] for word in toy.words]
        prompts = toy.prompt.expand(len(toy.rows), -1, -1)
        scores = toy.backbone.label_scores(prompts, toy.rows, words)
        assert torch.equal(scores, toy.read()[1])

    def test_it_moves_a_row_by_its_tokens_and_not_by_its_padding(self, name, request):
        """Only the tokens' part is read: what lies at padding changes nothing, and a token's
        is what a changed embedding would be."""
        toy = Toy(request.getfixturevalue(name))
        shortest = toy.lengths.index(min(toy.lengths))
        beyond = torch.zeros(len(toy.rows), max(toy.lengths), WIDTH)
        beyond[shortest, toy.lengths[shortest] :] = 5.0
        assert toy.lengths[shortest] < max(toy.lengths)
        assert torch.equal(toy.read(beyond)[0], toy.read()[0])

        for row, length in enumerate(toy.lengths):
            one = torch.zeros_like(beyond)
            one[row, length - 1] = toy.prompt[0]
            moved = (toy.read(one)[0] - toy.read()[0]).abs().amax(dim=1)
            assert moved[row] > 1e-4
            others = [i for i in range(len(toy.rows)) if i != row]
            assert bool((moved[others] < 1e-5).all())

    def test_another_words_embedding_is_that_word(self, name, request):
        """The tokens' difference as perturbation reads as the other token: the prompt before
        it is untouched."""
        toy = Toy(request.getfixturevalue(name))
        other = [list(row) for row in toy.rows]
        swapped = toy.rows[0][1], toy.rows[0][2]
        other[0][1], other[0][2] = swapped[1], swapped[0]
        assert other[0] != toy.rows[0]
        difference = torch.zeros(len(toy.rows), max(toy.lengths), WIDTH)
        vectors = toy.backbone.embed(torch.tensor([other[0], toy.rows[0]]))
        difference[0, : toy.lengths[0]] = vectors[0] - vectors[1]
        found = toy.read(difference)[0]
        toy.rows = other
        torch.testing.assert_close(found, toy.read()[0], atol=1e-4, rtol=1e-4)

    def test_the_found_one_is_bounded_zero_at_padding_and_climbs_the_divergence(
        self, name, request
    ):
        toy = Toy(request.getfixturevalue(name))
        discriminator = Discriminator(WIDTH, 1e-3, torch.device("cpu"))
        start, found, clean = toy.adversarial(discriminator)
        assert norms(found - start) == pytest.approx(torch.full((8,), 0.1), rel=1e-3)
        for row, length in zip(found, toy.lengths, strict=True):
            assert bool((row[length:] == 0).all())
        with torch.no_grad():
            before = divergence(clean, toy.read(start)[1])
            after = divergence(clean, toy.read(found)[1])
        assert bool((before >= -1e-6).all())
        assert bool((after > before).all())
        _, cut, _ = toy.adversarial(discriminator, max_norm=0.3)
        assert bool((norms(cut) <= 0.3 + 1e-6).all())
        assert norms(found).max() > 0.3
        assert not found.requires_grad


def domain_rows(word: str, count: int = 12) -> list[Row]:
    """Rows that one word tells from the other domain's."""
    filler = pair_rows(three_way(), count, 11)
    return [Row(f"{word} {row.text1}", f"{word} {row.text2}", row.label) for row in filler]


def told_apart(backbone: Backbone) -> tuple[Toy, Discriminator, torch.Tensor]:
    """Source rows, a discriminator that has learned them, and the target's hidden states."""
    source, target = Toy(backbone, domain_rows("red")), Toy(backbone, domain_rows("blue"))
    discriminator = Discriminator(WIDTH, 5e-2, torch.device("cpu"))
    with torch.no_grad():
        here, there = source.read()[0], target.read()[0]
    for _ in range(150):
        discriminator.learn(here, there)
    return source, discriminator, there


def right(discriminator: Discriminator, hidden: torch.Tensor) -> float:
    """Share of source rows that the discriminator takes for source."""
    return float((discriminator.logit(hidden) > 0).float().mean())


def test_the_discriminator_learns_domains_that_a_word_tells(tiny_bart):
    source, discriminator, there = told_apart(tiny_bart)
    assert right(discriminator, source.read()[0]) > 0.9
    assert right(discriminator, there) < 0.1
    here = source.read()[0]
    losses = discriminator.loss(here, source=True), discriminator.loss(here, source=False)
    chance = torch.sigmoid(discriminator.logit(here))
    torch.testing.assert_close(losses[0], -chance.log(), atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(losses[1], -(1 - chance).log(), atol=1e-4, rtol=1e-3)


def test_perturbed_source_rows_are_taken_for_target_rows(tiny_bart):
    """With the domain's loss in the aim the discriminator is misled, without it less."""
    source, discriminator, _ = told_apart(tiny_bart)
    steered = source.adversarial(discriminator, domain_weight=100.0, step_size=1.5)[1]
    blind = source.adversarial(discriminator, domain_weight=0.0, step_size=1.5)[1]
    misled = right(discriminator, source.read(steered)[0])
    assert right(discriminator, source.read()[0]) > 0.9
    assert misled < 0.5
    assert misled < right(discriminator, source.read(blind)[0])

    start, near, _ = source.adversarial(discriminator, domain_weight=100.0, step_size=0.05)
    losses = [discriminator.loss(source.read(d)[0], source=True) for d in (start, near)]
    assert bool((losses[1] > losses[0]).all())
