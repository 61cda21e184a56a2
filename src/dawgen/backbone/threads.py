"""Work side by side, one piece on each of PyTorch's threads, and a derivative through it.

A single call of a small model does not fill several threads: its products are too small to share.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from functools import partial
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

T = TypeVar("T")
Grads = tuple[Tensor | None, ...]
_AT_ONCE: ContextVar[int] = ContextVar("jobs at once", default=0)


def jobs_at_once() -> int:
    """How many jobs run side by side here: PyTorch's threads; one within a job."""
    return _AT_ONCE.get() or torch.get_num_threads()


@contextmanager
def threads_for_jobs() -> Iterator[None]:
    """Only jobs take PyTorch's threads meanwhile: what is between them is too small to share, and
    threads that wait for a share of it keep a core busy."""
    before = _AT_ONCE.set(jobs_at_once())
    try:
        with _one_thread():
            yield
    finally:
        _AT_ONCE.reset(before)


def side_by_side(jobs: Sequence[Callable[[], T]]) -> list[T]:
    """The jobs' results in order; each runs on a thread of its own, with PyTorch on one thread."""
    graph, threads = torch.is_grad_enabled(), jobs_at_once()

    def run(job: Callable[[], T]) -> T:
        torch.set_num_threads(1)
        _AT_ONCE.set(1)
        with torch.set_grad_enabled(graph):
            return job()

    with _one_thread(), ThreadPoolExecutor(threads) as pool:
        futures = [pool.submit(copy_context().run, run, job) for job in jobs]
        return [future.result() for future in futures]


@contextmanager
def _one_thread() -> Iterator[None]:
    """PyTorch computes with one thread for a while."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def differentiable(
    jobs: Sequence[Callable[[Tensor], tuple[Tensor, ...]]], at: Tensor
) -> list[tuple[Tensor, ...]]:
    """The jobs' results at a tensor, side by side. So are their derivatives by it, twice too.

    Each job has a graph of its own, and gradients add up in the jobs' order, so that results
    repeat. Nothing but ``at`` has a gradient.
    """
    if not (torch.is_grad_enabled() and at.requires_grad):
        return side_by_side([partial(job, at) for job in jobs])
    results = _Jobs.apply(at, jobs)
    each = len(results) // len(jobs)
    return [results[start : start + each] for start in range(0, len(results), each)]


class _Branch(NamedTuple):
    """One job's graph: results from a copy of the tensor."""

    at: Tensor
    results: tuple[Tensor, ...]

    def gradient(self, by_results: Grads, create_graph: bool) -> _Gradient | None:
        """By ``at``, where some result has a gradient."""
        leaves = [
            None if g is None else g.detach().requires_grad_(create_graph) for g in by_results
        ]
        pairs = [(r, g) for r, g in zip(self.results, leaves, strict=True) if g is not None]
        if not pairs:
            return None
        results, weights = zip(*pairs, strict=True)
        (gradient,) = torch.autograd.grad(
            results, self.at, weights, retain_graph=True, create_graph=create_graph
        )
        return _Gradient(self.at, gradient, leaves)


class _Gradient(NamedTuple):
    """One job's gradient [shape of ``at``], with its graph from the results' gradients."""

    at: Tensor
    value: Tensor
    by_results: Sequence[Tensor | None]

    def along(self, direction: Tensor) -> list[Tensor | None]:
        """Derivative of ⟨value, direction⟩ by each of ``by_results``."""
        leaves = [leaf for leaf in self.by_results if leaf is not None]
        products = iter(torch.autograd.grad(self.value, leaves, direction, retain_graph=True))
        return [None if leaf is None else next(products) for leaf in self.by_results]

    def curvature(self, direction: Tensor) -> Tensor:
        """Derivative of ⟨value, direction⟩ by ``at``."""
        (product,) = torch.autograd.grad(self.value, self.at, direction, retain_graph=True)
        return product


def _total(parts: Sequence[Tensor]) -> Tensor:
    """Their sum, always in the same order."""
    total = parts[0].detach().clone()
    for part in parts[1:]:
        total += part.detach()
    return total


class _Jobs(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, at: Tensor, jobs: Sequence[Callable[[Tensor], tuple[Tensor, ...]]]
    ) -> tuple[Tensor, ...]:
        def branch(job: Callable[[Tensor], tuple[Tensor, ...]]) -> _Branch:
            leaf = at.detach().requires_grad_()
            return _Branch(leaf, job(leaf))

        with torch.enable_grad():
            ctx.branches = side_by_side([partial(branch, job) for job in jobs])
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(at)
        return tuple(result.detach() for one in ctx.branches for result in one.results)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, None]:
        twice = torch.is_grad_enabled()  # a graph through the gradient itself is asked for
        each = len(gradients) // len(ctx.branches)
        parts = side_by_side(
            [
                partial(branch.gradient, gradients[n * each : (n + 1) * each], twice)
                for n, branch in enumerate(ctx.branches)
            ]
        )
        known = [part for part in parts if part is not None]
        if not known:
            return None, None
        if not twice:
            return _total([part.value for part in known]), None
        (at,) = ctx.saved_tensors
        return _Total.apply(parts, *gradients) + _Curvature.apply(at, known), None


class _Total(torch.autograd.Function):
    """The sum of the jobs' gradients, whose way back leads to the gradients of their results."""

    @staticmethod
    def forward(ctx: Any, parts: Sequence[_Gradient | None], *gradients: Tensor | None) -> Tensor:
        ctx.parts, ctx.each = parts, len(gradients) // len(parts)
        return _total([part.value for part in parts if part is not None])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, direction: Tensor) -> Grads:
        jobs = [
            partial(part.along, direction) if part else (lambda: [None] * ctx.each)
            for part in ctx.parts
        ]
        return None, *(product for products in side_by_side(jobs) for product in products)


class _Curvature(torch.autograd.Function):
    """Zeros that know how the gradient changes with ``at``; apart, so that
    the meta-step, which goes back to the gradients of the results only, does not pay for it."""

    @staticmethod
    def forward(ctx: Any, at: Tensor, parts: Sequence[_Gradient]) -> Tensor:
        ctx.parts = parts
        return torch.zeros_like(at)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, direction: Tensor) -> Grads:
        jobs = [partial(part.curvature, direction) for part in ctx.parts]
        return _total(side_by_side(jobs)), None
