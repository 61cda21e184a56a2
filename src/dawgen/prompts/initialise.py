"""Where a soft prompt starts: pure functions from a table of vectors to a prompt.

Shapes: V vocabulary rows, H hidden size, P prompt tokens. A prompt started from vectors
that the model knows trains faster than a random one (Lester et al. 2021, section 3.2),
so words are the rule here and random numbers are opt-in.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def cycle_tokens(ids: Sequence[int], length: int) -> list[int]:
    """The ids from the start, over again, until there are ``length`` of them.

    Raises:
        ValueError: there is no id to repeat.
    """
    if not ids:
        raise ValueError("cannot fill a prompt from no tokens at all")
    return [int(ids[place % len(ids)]) for place in range(length)]


def sample_tokens(candidates: Sequence[int], length: int, rng: np.random.Generator) -> list[int]:
    """Draw ``length`` ids: every candidate at most once, unless there are too few of them.

    Raises:
        ValueError: there is no candidate to draw.
    """
    if not candidates:
        raise ValueError("cannot draw a prompt from no candidate tokens at all")
    order = rng.permutation(len(candidates))
    return cycle_tokens([candidates[int(place)] for place in order], length)


def random_normal(table: Tensor, length: int, rng: np.random.Generator) -> Tensor:
    """Normal numbers with the mean and standard deviation of all the table's entries.

    Args:
        table: embedding vectors [V, H]; only their scale is used.
        length: P.
        rng: the stream to draw from.

    Returns:
        A prompt [P, H] in fp32.
    """
    entries = table.detach().to(torch.float32)
    drawn = rng.standard_normal((length, table.shape[1]), dtype=np.float32)
    noise = torch.from_numpy(drawn).to(table.device)
    return noise * entries.std(correction=0) + entries.mean()
