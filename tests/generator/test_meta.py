"""The meta-step's gradient against double backward and against finite differences."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor

from dawgen.generator import meta, objectives
from dawgen.generator.weights import TokenWeights
from tests.generator.conftest import Problem, smooth_problem

RATE = 0.5
ProblemOf = Callable[[torch.dtype], Problem]


def outer_loss(problem: Problem, dist_weight: float) -> Callable[[Tensor, Tensor], Tensor]:
    def outer(prompts: Tensor, weights: Tensor) -> Tensor:
        log_probs, hidden = problem.every_label(prompts)
        loss = objectives.discriminative_loss(log_probs, problem.labels, problem.mask)
        vectors = objectives.sentence_vectors(weights, hidden, problem.mask)
        return loss + dist_weight * objectives.distinction_loss(vectors, problem.labels)

    return outer


def by_meta_step(
    problem: Problem, dist_weight: float, derivative: meta.Derivative | None = None
) -> meta.MetaGradient:
    prompts = problem.prompts.clone().requires_grad_()
    return meta.meta_gradient(
        prompts,
        problem.token_losses(prompts),
        problem.weights,
        problem.mask,
        meta.whole(outer_loss(problem, dist_weight)),
        RATE,
        derivative,
    )


def composed(problem: Problem, weights: Tensor, dist_weight: float, graph: bool) -> Tensor:
    """F(Q(W), W), written out: the objective whose gradient by W the meta-step claims to give."""
    prompts = problem.prompts.clone().requires_grad_()
    inner = (weights * problem.token_losses(prompts))[problem.mask].mean()
    (gradient,) = torch.autograd.grad(inner, prompts, create_graph=graph)
    return outer_loss(problem, dist_weight)(prompts - RATE * gradient, weights)


def by_double_backward(problem: Problem, dist_weight: float) -> Tensor:
    weights = problem.weights.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(composed(problem, weights, dist_weight, True), weights)
    return gradient


def error(found: Tensor, reference: Tensor) -> float:
    """Largest difference, as a share of the largest entry."""
    return float((found - reference).abs().max() / reference.abs().max())


@pytest.mark.parametrize("dist_weight", [0.0, 0.7])
def test_meta_step_is_double_backward_in_fp32(fp32_problem: Problem, dist_weight: float) -> None:
    found = by_meta_step(fp32_problem, dist_weight).weights
    assert error(found, by_double_backward(fp32_problem, dist_weight)) < 1e-5


@pytest.mark.parametrize("dist_weight", [0.0, 0.7])
def test_meta_step_is_double_backward_in_fp64(problem_of: ProblemOf, dist_weight: float) -> None:
    problem = problem_of(torch.float64)
    found = by_meta_step(problem, dist_weight).weights
    assert error(found, by_double_backward(problem, dist_weight)) < 1e-11


def central(problem: Problem, **options: float) -> meta.Derivative:
    return partial(meta.central_difference, problem.token_losses, labels=problem.labels, **options)


@pytest.mark.parametrize("dist_weight", [0.0, 0.7])
def test_central_equals_double_backward_in_fp32(problem_of: ProblemOf, dist_weight: float) -> None:
    """fp32 rounds a transformer's losses to 3e-7; so many points average that out."""
    problem = problem_of(torch.float32)
    derivative = central(problem, points=128, order=10, step=0.12)
    found = by_meta_step(problem, dist_weight, derivative).weights
    assert error(found, by_double_backward(problem, dist_weight)) < 1e-5


@pytest.mark.parametrize("dist_weight", [0.0, 0.7])
def test_few_points_come_near_it(fp32_problem: Problem, dist_weight: float) -> None:
    """What fitting takes: four forward passes, which rounding keeps from 1e-5."""
    derivative = central(fp32_problem, points=4, step=0.025)
    found = by_meta_step(fp32_problem, dist_weight, derivative).weights
    assert error(found, by_double_backward(fp32_problem, dist_weight)) < 1e-3


@pytest.mark.parametrize(
    ("points", "classical"),
    [(2, [1 / 2]), (4, [2 / 3, -1 / 12]), (6, [3 / 4, -3 / 20, 1 / 60])],
)
def test_as_many_points_as_the_order_are_the_classical_stencils(
    points: int, classical: list[float]
) -> None:
    places, coefficients = meta.stencil(points, points)
    steps = [x * points / 2 for x in places]
    assert steps == pytest.approx(range(1, points // 2 + 1))
    assert coefficients == pytest.approx([c * points / 2 for c in classical])


@pytest.mark.parametrize("dist_weight", [0.0, 0.7])
def test_central_equals_double_backward_in_fp64(problem_of: ProblemOf, dist_weight: float) -> None:
    """With rounding out of the way only the formula is left."""
    problem = problem_of(torch.float64)
    found = by_meta_step(problem, dist_weight, central(problem, points=6, step=0.002)).weights
    assert error(found, by_double_backward(problem, dist_weight)) < 1e-8


@pytest.mark.parametrize("dist_weight", [0.0, 0.7])
def test_both_ways_equal_finite_differences_of_the_whole_step(
    problem_of: ProblemOf, dist_weight: float
) -> None:
    """Each weight is moved, the look-ahead is taken anew, the outer loss is read off (fp64)."""
    problem = problem_of(torch.float64)
    reference = torch.zeros_like(problem.weights)
    h = 1e-4
    for row, column in problem.mask.nonzero().tolist():
        values = []
        for sign in (1, -1):
            weights = problem.weights.clone()
            weights[row, column] += sign * h
            values.append(composed(problem, weights, dist_weight, False).item())
        reference[row, column] = (values[0] - values[1]) / (2 * h)
    assert error(by_meta_step(problem, dist_weight).weights, reference) < 1e-5
    found = by_meta_step(problem, dist_weight, central(problem, points=4, step=0.002)).weights
    assert error(found, reference) < 1e-5


@pytest.mark.parametrize(("points", "order"), [(2, 2), (4, 4), (6, 6)])
def test_order_of_the_central_differences(points: int, order: int) -> None:
    """Half the step, 2^-order of the error."""
    problem = smooth_problem(torch.float64)
    direction = torch.randn(
        problem.prompts.shape, generator=torch.Generator().manual_seed(1)
    ).double()

    def losses(prompts: Tensor) -> Tensor:
        return problem.token_losses(prompts)

    exact = torch.func.jvp(losses, (problem.prompts,), (direction,))[1]

    def off(step: float) -> float:
        derivative = central(problem, points=points, step=step)
        return error(derivative(problem.prompts, direction), exact)

    assert off(0.1) / off(0.05) == pytest.approx(2**order, rel=0.15)


def test_a_label_that_the_direction_leaves_alone_gets_a_derivative_of_zero() -> None:
    problem = smooth_problem(torch.float32)
    direction = torch.ones_like(problem.prompts)
    direction[1] = 0
    found = central(problem, points=2, step=0.1)(problem.prompts, direction)
    assert torch.equal(found[problem.labels == 1], torch.zeros(2, 5))
    assert (found[problem.labels == 0] != 0).any()


def test_the_parts_of_the_gradient() -> None:
    """Without (4) nothing is direct; a rate of 0 leaves only what is; padding gets none."""
    problem = smooth_problem(torch.float32)
    plain = by_meta_step(problem, 0.0)
    assert torch.equal(plain.direct, torch.zeros_like(plain.direct))
    assert torch.equal(plain.weights[~problem.mask], torch.zeros(3))
    prompts = problem.prompts.clone().requires_grad_()
    outer = meta.whole(outer_loss(problem, 0.7))
    still = meta.meta_gradient(
        prompts, problem.token_losses(prompts), problem.weights, problem.mask, outer, 0.0
    )
    assert torch.equal(still.weights, still.direct)
    assert torch.equal(still.lookahead, problem.prompts)
    assert (still.direct[problem.mask] != 0).all()


def test_lookahead_is_one_step_down_the_weighted_loss() -> None:
    problem = smooth_problem(torch.float64)
    prompts = problem.prompts.clone().requires_grad_()
    losses = problem.token_losses(prompts)
    outer = meta.whole(outer_loss(problem, 0.7))
    found = meta.meta_gradient(prompts, losses, problem.weights, problem.mask, outer, 0.1)
    loss = objectives.weighted_generation_loss(losses, problem.weights, problem.mask)
    loss.backward()  # the graph of the losses was kept
    assert prompts.grad is not None
    torch.testing.assert_close(found.lookahead, problem.prompts - 0.1 * prompts.grad)


def test_chain_into_the_weight_network() -> None:
    """W.backward(dF/dW) gives the network what double backward through everything gives it."""
    problem = smooth_problem(torch.float64)
    network = TokenWeights(8, torch.Generator().manual_seed(2)).double()
    log_probs, _ = problem.every_label(problem.prompts)
    inputs = objectives.discriminative_token_loss(log_probs, problem.labels)
    weights = network(inputs, problem.mask)
    problem.weights = weights.detach()
    weights.backward(by_meta_step(problem, 0.7).weights)
    found = [parameter.grad.clone() for parameter in network.parameters()]
    whole = composed(problem, network(inputs, problem.mask), 0.7, True)
    for ours, reference in zip(
        found, torch.autograd.grad(whole, [*network.parameters()]), strict=True
    ):
        torch.testing.assert_close(ours, reference, rtol=1e-9, atol=1e-14)


def test_the_share_of_the_two_parts_by_hand() -> None:
    """Weights of three tokens; a gradient alike for all tokens moves no softmax."""
    weights = torch.tensor([[0.5, 1.0, 1.5]])
    through, direct = torch.tensor([[1.0, 0.0, 0.0]]), torch.tensor([[0.0, 0.0, 3.0]])
    # by the scores: through 0.5 (1 - 1/6), -1/6, -1.5/6; direct -0.75, -1.5, 2.25
    one, other = (0.1736111 + 0.0277778 + 0.0625) ** 0.5, (0.5625 + 2.25 + 5.0625) ** 0.5
    found = meta.MetaGradient(through + direct + 7, direct + 7, weights, weights)
    assert found.lookahead_share(weights).item() == pytest.approx(one / (one + other), rel=1e-5)
    nothing = meta.MetaGradient(through, direct * 0, weights, weights)
    assert nothing.lookahead_share(weights) == 1
    torch.testing.assert_close(meta.by_scores(weights, direct), torch.tensor([[-0.75, -1.5, 2.25]]))


def test_a_gradient_by_the_scores_is_autograds() -> None:
    scores = torch.randn(2, 5, generator=torch.Generator().manual_seed(3)).requires_grad_()
    weights = 10 * scores.flatten().softmax(0).view_as(scores)
    gradient = torch.randn(2, 5, generator=torch.Generator().manual_seed(4))
    (expected,) = torch.autograd.grad(weights, scores, gradient)
    torch.testing.assert_close(meta.by_scores(weights.detach(), gradient), expected)
