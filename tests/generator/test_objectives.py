"""Equations (1) to (4) against numbers worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from dawgen.generator import objectives

HOLE = float("nan")  # what stands under the mask must not matter


def test_plain_and_weighted_loss() -> None:
    losses = torch.tensor([[1.0, 2.0, HOLE], [3.0, 6.0, 8.0]])
    mask = torch.tensor([[True, True, False], [True, True, True]])
    assert objectives.generation_loss(losses, mask).item() == pytest.approx(20 / 5)
    weights = torch.tensor([[0.0, 2.0, 9.0], [1.0, 1.5, 0.5]])  # 5 tokens, mean 1
    expected = (0 * 1 + 2 * 2 + 1 * 3 + 1.5 * 6 + 0.5 * 8) / 5
    found = objectives.weighted_generation_loss(losses, weights, mask)
    assert found.item() == pytest.approx(expected)
    ones = objectives.weighted_generation_loss(losses, torch.ones(2, 3), mask)
    assert torch.equal(ones, objectives.generation_loss(losses, mask))


def three_labels() -> torch.Tensor:
    """p [C=3,B=2,T=2] of each token under each label's prompt."""
    return torch.tensor(
        [
            [[0.2, 0.1], [0.5, 0.1]],
            [[0.1, 0.1], [0.3, 0.6]],
            [[0.1, 0.2], [0.2, 0.3]],
        ]
    )


def test_label_ratio_and_discriminative_losses() -> None:
    log_probs, labels = three_labels().log(), torch.tensor([0, 1])
    ratio = torch.tensor([[0.2 / 0.4, 0.1 / 0.4], [0.3 / 1.0, 0.6 / 1.0]])
    torch.testing.assert_close(objectives.label_ratio(log_probs, labels), ratio)
    torch.testing.assert_close(
        objectives.discriminative_token_loss(log_probs, labels), -ratio.log()
    )
    mask = torch.tensor([[True, False], [True, True]])
    found = objectives.discriminative_loss(log_probs, labels, mask)
    assert found.item() == pytest.approx(-(0.5 + 0.3 + 0.6) / 3)


def test_sentence_vectors_weigh_valid_tokens() -> None:
    hidden = torch.tensor([[[1.0, 0.0], [0.0, 2.0], [5.0, 5.0]]])
    weights = torch.tensor([[3.0, 0.5, 7.0]])
    mask = torch.tensor([[True, True, False]])
    found = objectives.sentence_vectors(weights, hidden, mask)
    assert found.tolist() == [[3.0, 1.0]]


def test_distinction_loss_by_hand() -> None:
    """Unit vectors at 0°, 60° (label 0) and 90°, of length 5 (label 1)."""
    vectors = torch.tensor([[2.0, 0.0], [0.5, math.sqrt(3) / 2], [0.0, 5.0]])
    labels = torch.tensor([0, 0, 1])
    # (0,1,2): 1 - cos 60° + cos 90° = 0.5;  (1,0,2): 1 - cos 60° + cos 30° = 0.5 + √3/2
    expected = (0.5 + 0.5 + math.sqrt(3) / 2) / 2
    assert objectives.distinction_loss(vectors, labels).item() == pytest.approx(expected)


def test_distinction_loss_is_the_mean_over_all_triples() -> None:
    rng = torch.Generator().manual_seed(0)
    vectors, labels = torch.randn(6, 4, generator=rng), torch.tensor([0, 1, 0, 2, 1, 0])
    hinges = []
    for i in range(6):
        for j in range(6):
            for k in range(6):
                if i != j and labels[i] == labels[j] != labels[k]:
                    same = torch.cosine_similarity(vectors[i], vectors[j], dim=0)
                    other = torch.cosine_similarity(vectors[i], vectors[k], dim=0)
                    hinges.append(max(0.0, 1 - same.item() + other.item()))
    assert len(hinges) == 3 * 2 * 3 + 2 * 1 * 4
    found = objectives.distinction_loss(vectors, labels)
    assert found.item() == pytest.approx(sum(hinges) / len(hinges), rel=1e-5)


def test_distinction_loss_stops_at_the_margin() -> None:
    """Opposite labels in opposite directions: 1 - 1 + (-1) < 0, so nothing is left to gain."""
    vectors = torch.tensor([[1.0, 0.0], [2.0, 0.0], [-1.0, 0.0]], requires_grad=True)
    loss = objectives.distinction_loss(vectors, torch.tensor([0, 0, 1]))
    loss.backward()
    assert loss.item() == 0
    assert vectors.grad is not None
    assert torch.equal(vectors.grad, torch.zeros(3, 2))


@pytest.mark.parametrize("labels", [[0, 1, 2], [1, 1, 1]])
def test_distinction_loss_without_a_triple_is_zero_with_gradient(labels: list[int]) -> None:
    vectors = torch.randn(3, 4, requires_grad=True)
    loss = objectives.distinction_loss(vectors, torch.tensor(labels))
    loss.backward()
    assert loss.item() == 0
    assert vectors.grad is not None
    assert torch.equal(vectors.grad, torch.zeros(3, 4))


def test_weight_entropy() -> None:
    mask = torch.tensor([[True, True], [True, False]])
    even = torch.tensor([[1.0, 1.0], [1.0, 9.0]])
    assert objectives.weight_entropy(even, mask).item() == pytest.approx(1)
    single = torch.tensor([[3.0, 0.0], [0.0, 9.0]])
    assert objectives.weight_entropy(single, mask).item() == 0
    uneven = torch.tensor([[1.5, 0.75], [0.75, 9.0]])  # shares 1/2, 1/4, 1/4
    expected = 1.5 * math.log(2) / math.log(3)
    assert objectives.weight_entropy(uneven, mask).item() == pytest.approx(expected)
    alone = torch.tensor([[True, False], [False, False]])
    assert objectives.weight_entropy(even, alone).item() == 1
