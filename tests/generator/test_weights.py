"""The token-weight network."""

from __future__ import annotations

import torch

from dawgen.generator import TokenWeights
from dawgen.generator.weights import equal_weights

MASK = torch.tensor([[True, True, False], [True, True, True]])
LOSSES = torch.tensor([[0.1, 1.0, 7.0], [2.0, 0.1, 0.7]])


def test_weights_are_n_times_a_softmax_over_the_valid_tokens() -> None:
    network = TokenWeights(hidden=4)
    with torch.no_grad():  # score = -2 · loss + 1, by one live unit
        for parameter in network.parameters():
            parameter.zero_()
        network.first.weight[0, 0] = 1.0
        network.second.weight[0, 0] = -2.0
        network.second.bias[0] = 1.0
    weights = network(LOSSES, MASK)
    expected = 5 * (1 - 2 * LOSSES[MASK]).softmax(0)
    torch.testing.assert_close(weights[MASK], expected)
    assert weights[0, 2] == 0
    torch.testing.assert_close(weights.sum(), torch.tensor(5.0))
    assert weights[0, 0] == weights[1, 1]


def test_shapes_are_fewgens_and_the_stream_decides_the_start() -> None:
    network = TokenWeights(rng=torch.Generator().manual_seed(1))
    assert [tuple(p.shape) for p in network.parameters()] == [(100, 1), (100,), (1, 100), (1,)]
    again = TokenWeights(rng=torch.Generator().manual_seed(1))
    other = TokenWeights(rng=torch.Generator().manual_seed(2))
    pairs = list(zip(network.parameters(), again.parameters(), other.parameters(), strict=True))
    assert all(torch.equal(a, b) and not torch.equal(a, c) for a, b, c in pairs)


def test_no_gradient_flows_into_the_input() -> None:
    losses = LOSSES.clone().requires_grad_()
    network = TokenWeights(8)
    network(losses, MASK).square().sum().backward()
    assert losses.grad is None
    assert all(p.grad is not None for p in network.parameters())


def test_equal_weights() -> None:
    assert torch.equal(equal_weights(MASK), torch.tensor([[1.0, 1, 0], [1, 1, 1]]))
