"""Jobs side by side: results and derivatives are those of one job after the other."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

from dawgen.backbone.packed import SharedPrompts
from dawgen.backbone.recompute import kept, recompute
from dawgen.backbone.threads import (
    differentiable,
    jobs_at_once,
    side_by_side,
    threads_for_jobs,
)
from tests.backbone.test_packed import LENGTH, packed


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    assert torch.get_num_threads() == 2
    torch.set_num_threads(before)


def jobs() -> list[Callable[[Tensor], tuple[Tensor, Tensor]]]:
    return [lambda at, n=n: ((at * n).sin(), at.pow(3).sum()) for n in (1, 2, 3)]  # type: ignore


def derivatives(results: list[tuple[Tensor, ...]], at: Tensor) -> list[Tensor]:
    """First and second derivatives, the second by ``at`` and by what the results weigh.

    The second result of each job has no part in it, nor has any of the third job.
    """
    weigh = torch.tensor([[0.3, -1.0], [2.0, 0.5]], requires_grad=True)
    outputs = [results[0][0], results[1][0]]
    (first,) = torch.autograd.grad(outputs, at, list(weigh), create_graph=True)
    second = torch.autograd.grad(first.square().sum(), (at, weigh), retain_graph=True)
    sums = torch.autograd.grad(sum(one.sum() for both in results for one in both), at)
    return [first.detach(), *second, *sums]


def test_derivatives_are_those_of_one_job_after_the_other() -> None:
    at = torch.tensor([0.4, -0.7], requires_grad=True)
    expected = [job(at) for job in jobs()]
    found = differentiable(jobs(), at)
    for ours, theirs in zip(found, expected, strict=True):
        assert all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))
    pairs = zip(derivatives(found, at), derivatives(expected, at), strict=True)
    for ours, theirs in pairs:
        torch.testing.assert_close(ours, theirs)


def test_without_a_gradient_there_is_no_graph() -> None:
    at = torch.tensor([0.4, -0.7], requires_grad=True)
    with torch.no_grad():
        assert not differentiable(jobs(), at)[0][0].requires_grad
    assert not differentiable(jobs(), at.detach())[0][0].requires_grad


def test_jobs_run_at_once_with_one_thread_each() -> None:
    both = threading.Barrier(2, timeout=60)

    def job() -> int:
        both.wait()  # breaks where the other comes only after it
        return torch.get_num_threads()

    assert side_by_side([job, job]) == [1, 1]


def test_between_jobs_there_is_one_thread_and_within_them_no_others() -> None:
    with threads_for_jobs():
        assert (torch.get_num_threads(), jobs_at_once()) == (1, 2)
        test_jobs_run_at_once_with_one_thread_each()
        assert side_by_side([jobs_at_once] * 2) == [1, 1]
    assert (torch.get_num_threads(), jobs_at_once()) == (2, 2)


def scored(threads: int, again: bool = False, tuned: bool = False) -> list[Tensor]:
    """Log-probabilities, hidden states and derivatives of ten rows that share three prompts."""
    backbone, stream = packed("Llama"), torch.Generator().manual_seed(2)
    if again:
        recompute(backbone.model, "Llama")
    rows = [torch.randint(4, 10, (20 + 9 * n,), generator=stream).tolist() for n in range(10)]
    targets = [[*row[::-1], 1] for row in rows]
    prompts = torch.randn(3, LENGTH, backbone.hidden_size, generator=stream) * 0.3
    weights = list(backbone.model.parameters()) if tuned else []
    for leaf in (prompts, *weights):
        leaf.requires_grad_()
    ran: set[int] = set()
    backbone.model.base_model.register_forward_pre_hook(lambda *_: ran.add(threading.get_ident()))
    torch.set_num_threads(threads)
    try:
        with kept(backbone.model):
            found = backbone.token_log_probs(
                SharedPrompts(prompts, [n % 3 for n in range(10)]), rows, targets
            )
        weigh = torch.rand(found.mask.shape, generator=stream, requires_grad=True)
        value = (weigh * found.log_probs).sum() + found.hidden.square().mean()
        leaves = (prompts, *weights)
        first = torch.autograd.grad(value, leaves, create_graph=not tuned, allow_unused=True)
        more = [] if tuned else torch.autograd.grad(first[0].square().sum(), (weigh, prompts))
    finally:
        torch.set_num_threads(2)
    some = [one.detach() for one in first if one is not None]
    assert (ran == {threading.get_ident()}) == (threads == 1 or tuned)
    mask = found.mask.float()
    return [found.log_probs.detach(), mask, found.hidden.detach(), *some, *more]


@pytest.mark.parametrize("how", [{}, {"again": True}, {"tuned": True}])
def test_texts_are_scored_on_two_threads_as_on_one(how: dict[str, bool]) -> None:
    together = scored(2, **how)
    for ours, theirs in zip(together, scored(1, **how), strict=True):
        scale = float(theirs.abs().max())
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5 * scale)
    if "tuned" not in how:
        assert all(torch.equal(a, b) for a, b in zip(scored(2, **how), together, strict=True))
