"""Cutting rows into calls of a model: of like length, and not too many tokens at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from dawgen.terminal.progress import warn

# What a forward and backward call costs beside its tokens, in tokens: measured on the shipped
# backbone on two cores; on a GPU a call is hundreds of kernel launches, whatever it computes.
CALL_COST = {"cpu": 48, "cuda": 8192}

# Beyond, activations leave a processor's cache: 300 rows are scored in 2.8 s at 2,048 tokens a
# call, in 3.7 s at 8,192 (dawgen/tiny, one core of an AMD EPYC with 32 MiB).
CACHED_TOKENS = 2048

_WORTHWHILE = 192
"""Tokens of a call of its own, where it runs beside others: fewer take as long as its prompt."""


@dataclass
class CallLimits:
    """Most tokens of one call of a backbone, as far as memory has shown it.

    Attributes:
        tokens: with the graph of a backward pass (True) and without (False).
        told: the user knows that calls are smaller than asked for.
    """

    tokens: dict[bool, int] = field(default_factory=dict)
    told: bool = False

    def tell(self, why: str) -> None:
        """Say once that calls are smaller than asked for."""
        if not self.told:
            warn(
                f"{why}; calls are made smaller, which takes longer and moves results by rounding."
            )
            self.told = True


def call_cost(device: torch.device) -> int:
    """What one more call costs on the device, in tokens."""
    return CALL_COST.get(device.type, CALL_COST["cuda"])


def tokens_at_once(device: torch.device, most: int) -> int:
    """Tokens of one call: ``most``, or on a processor what its cache holds if that is less."""
    return min(most, CACHED_TOKENS) if device.type == "cpu" else most


def runs(
    lengths: Sequence[int],
    most: int,
    side_by_side: int = 1,
    prompts: Sequence[int] | None = None,
) -> list[list[int]]:
    """Cut rows that are read end to end, so without padding, into calls of about equal size.

    Args:
        lengths: tokens of each row; a prompt that rows share is not counted.
        most: about the most tokens of a call; a longer row is a call of its own.
        side_by_side: calls that run at once: as many, or a multiple, unless that is not worth it.
        prompts: which prompt each row reads. Rows of a prompt then stay together, so that few
            calls read it.

    Returns:
        Row numbers, call by call, shortest rows first.
    """
    first = np.zeros(len(lengths)) if prompts is None else np.asarray(prompts, dtype=int)
    order = np.lexsort((np.asarray(lengths, dtype=int), first))
    ends = np.cumsum(np.asarray(lengths, dtype=int)[order])
    total = int(ends[-1]) if len(ends) else 0
    count = -(-total // most)
    if total >= side_by_side * _WORTHWHILE:
        count = -(-count // side_by_side) * side_by_side
    middles = ends - np.asarray(lengths, dtype=int)[order] / 2
    call = np.floor(middles * count / max(1, total)).astype(int)
    cut = [order[call == number].tolist() for number in range(max(1, count))]
    return [rows for rows in cut if rows]


def pieces(
    lengths: Sequence[int] | Sequence[tuple[int, int]], call_cost: int, most: int
) -> list[list[int]]:
    """Cut rows into pieces of like length, so that little is computed on padding.

    Each piece is padded to its longest row. Of all the ways to cut the rows in order of
    length, the cheapest is taken, a piece of n rows costing ``call_cost + n · longest``.

    Args:
        lengths: tokens of each row, soft prompt included; or of its source and its target,
            which are padded apart: longest is then the sum of the two, and so is the order.
        call_cost: what one more call costs, in tokens.
        most: tokens a piece may hold, padding included; a longer row is a piece of its own.

    Returns:
        Row numbers, piece by piece, shortest rows first.
    """
    if not lengths:
        return []
    table = np.asarray(lengths, dtype=int).reshape(len(lengths), -1)
    order = np.argsort(table.sum(axis=1), kind="stable")
    table = table[order]
    best = np.zeros(len(table) + 1)
    start = np.zeros(len(table) + 1, dtype=int)
    for end in range(1, len(table) + 1):
        # No piece that ends with this row can hold more rows, of which it is the longest.
        begin = end - min(end, max(1, most // max(1, int(table[end - 1].sum()))))
        first = np.arange(begin, end)
        longest = np.maximum.accumulate(table[begin:end][::-1])[::-1].sum(axis=1)
        tokens = (end - first) * longest
        cost = best[begin:end] + call_cost + tokens
        cost[(tokens > most) & (first < end - 1)] = np.inf
        start[end] = begin + int(cost.argmin())
        best[end] = cost[start[end] - begin]
    cut: list[list[int]] = []
    end = len(table)
    while end:
        cut.append([int(row) for row in order[start[end] : end]])
        end = int(start[end])
    return cut[::-1]
