"""One random stream per purpose, all from one seed; nothing is seeded globally."""

from __future__ import annotations

from zlib import crc32

import numpy as np
import torch


class Streams:
    """Independent random streams, each named by its purpose.

    The same seed and purpose always give the same stream, whatever other streams
    were asked for before, so adding a consumer never shifts the numbers of another.
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
