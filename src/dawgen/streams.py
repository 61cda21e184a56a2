"""Reproducible results: one random stream per purpose, and sums in a fixed order."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from zlib import crc32

import numpy as np
import torch

# Of attention on a GPU, at its first backward pass; docs/reliability.md says what it means.
warnings.filterwarnings("ignore", message=".* defaults to a non-deterministic algorithm")


class Streams:
    """Independent random streams, each named by its purpose.

    A stream depends on the seed and the purpose only, so a new one never changes another.
    """

    def __init__(self, seed: int) -> None:
        self.root = seed

    def _sequence(self, purpose: tuple[str, ...]) -> np.random.SeedSequence:
        return np.random.SeedSequence([self.root, *(crc32(word.encode()) for word in purpose)])

    def seed(self, *purpose: str) -> int:
        """A 63-bit seed for the purpose."""
        return int(self._sequence(purpose).generate_state(1, np.uint64)[0] >> np.uint64(1))

    def numpy(self, *purpose: str) -> np.random.Generator:
        """A numpy generator for the purpose."""
        return np.random.default_rng(self._sequence(purpose))

    def torch(self, *purpose: str) -> torch.Generator:
        """A torch CPU generator for the purpose."""
        return torch.Generator().manual_seed(self.seed(*purpose))


@contextmanager
def repeatable() -> Iterator[None]:
    """PyTorch's deterministic algorithms, as a context manager or decorator.

    Without them the backward pass of indexing adds from several threads, also on a CPU, and the
    last bits differ between runs. Operations without a deterministic form on a GPU warn.
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
