"""Same seed, same bytes: sums over parallel threads are taken in a fixed order."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def repeatable() -> Iterator[None]:
    """PyTorch's deterministic algorithms for a while; usable as a decorator.

    Without them the backward pass of indexing adds with atomics from several threads, also on a
    CPU, and the last bits differ from run to run. What has no deterministic form on a GPU warns.
    """
    on = torch.are_deterministic_algorithms_enabled()
    warning = torch.is_deterministic_algorithms_warn_only_enabled()
    fill = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(on, warn_only=warning)
        torch.utils.deterministic.fill_uninitialized_memory = fill  # type: ignore[attr-defined]
