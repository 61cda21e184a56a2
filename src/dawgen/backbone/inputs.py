"""Turning rows into token ids: templates filled, texts cut to fit, specials in place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from dawgen.backbone.text_tokenizer import TextTokenizer
    from dawgen.tasks import Row


@dataclass(frozen=True)
class Padded:
    """Token ids [B,T] padded on the right, with mask [B,T] (True where a token is)."""

    ids: Tensor
    mask: Tensor


def pad_right(rows: Sequence[Sequence[int]], device: torch.device, width: int = 0) -> Padded:
    """Rows of token ids as one rectangle, no wider than its longest row (or ``width``)."""
    width = max([width, *(len(row) for row in rows)])
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    mask = torch.zeros(len(rows), width, dtype=torch.bool)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = torch.tensor(row, dtype=torch.long)
        mask[i, : len(row)] = True
    return Padded(ids.to(device), mask.to(device))


def encode_rows(
    tokenizer: TextTokenizer,
    fill: Callable[[Row], str],
    rows: Sequence[Row],
    budget: int,
) -> tuple[list[list[int]], int]:
    """Each row, filled in by ``fill``, as ids of at most ``budget`` tokens, specials included.

    Where a row is too long its longer text is shortened first; the template's own words,
    which carry the task, are never cut.

    Returns:
        The rows' ids, and how many of the rows had to be shortened.

    Raises:
        ValueError: the template alone is longer.
    """
    if not rows:
        return [], 0
    texts = [fill(row) for row in rows]
    encoded = tokenizer.encode(texts)
    long = [i for i, ids in enumerate(encoded) if len(ids) > budget]
    for i in long:
        excess = len(encoded[i]) - budget
        encoded[i] = _encode_cut(tokenizer, fill, rows[i], budget, excess)
    return encoded, len(long)


def _encode_cut(
    tokenizer: TextTokenizer,
    fill: Callable[[Row], str],
    row: Row,
    budget: int,
    excess: int,
) -> list[int]:
    text1, text2 = row.text1, row.text2
    length1, length2 = (len(tokenizer.text_ids(text)) for text in (text1, text2 or ""))
    while True:
        for _ in range(excess):
            if length1 >= length2:
                length1 -= 1
            else:
                length2 -= 1
        short1 = tokenizer.cut(text1, length1)
        short2 = tokenizer.cut(text2, length2) if text2 else text2
        filled = fill(replace(row, text1=short1, text2=short2))
        (ids,) = tokenizer.encode([filled])
        excess = len(ids) - budget
        if excess <= 0:
            return ids
        if length1 <= 0 and length2 <= 0:
            raise ValueError("the template alone is longer")
