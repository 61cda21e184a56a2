"""Sums over threads in a fixed order."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from dawgen.streams import repeatable


@pytest.fixture
def two_threads() -> Iterator[None]:
    """Two threads, whatever the test run is set to."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def gradients(times: int) -> int:
    """How many different gradients indexing gives in so many backward passes."""
    stream = torch.Generator().manual_seed(0)
    hidden = torch.randn(8, 32, 384, generator=stream)
    rows, columns = (torch.randint(0, n, (3000,), generator=stream) for n in (8, 32))
    weight = torch.randn(3000, 384, generator=stream)
    found = set()
    for _ in range(times):
        leaf = hidden.clone().requires_grad_()
        (leaf[rows, columns] * weight).sum().backward()
        assert leaf.grad is not None
        found.add(leaf.grad.numpy().tobytes())
    return len(found)


@pytest.mark.usefixtures("two_threads")
def test_indexing_has_one_gradient() -> None:
    with repeatable():
        assert gradients(20) == 1


def test_settings_of_the_process_come_back() -> None:
    assert not torch.are_deterministic_algorithms_enabled()

    @repeatable()
    def inside() -> bool:
        return torch.are_deterministic_algorithms_enabled()

    assert inside()
    assert inside()
    assert not torch.are_deterministic_algorithms_enabled()

    with pytest.raises(RuntimeError, match="broken"), repeatable():
        raise RuntimeError("broken")
    assert not torch.are_deterministic_algorithms_enabled()
