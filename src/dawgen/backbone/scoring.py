"""Label scores of many rows behind soft prompts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from dawgen.backbone.memory import run_rows
from dawgen.backbone.packed import SharedPrompts

if TYPE_CHECKING:
    from dawgen.backbone import Backbone


@torch.no_grad()
def score_rows(
    backbone: Backbone,
    prompts: SharedPrompts | None,
    rows: Sequence[Sequence[int]],
    label_words: Sequence[Sequence[int]],
    tokens_per_batch: int,
    advance: Callable[[int], object] = lambda _: None,
) -> Tensor:
    """Scores [N,C] in fp32 on the CPU of N rows of token ids, as the backbone's label_scores.

    Args:
        prompts: of the N rows, or None.
        tokens_per_batch: most tokens of a call, prompts and padding included (a row longer than
            that goes alone). Changes speed and memory; never which rows are cut.
        advance: receives every call's number of rows.

    Raises:
        UserError: memory does not hold one row.
    """
    scores = torch.zeros(len(rows), len(label_words))

    def work(call: list[int]) -> None:
        soft = None if prompts is None else prompts.some(call)
        found = backbone.label_scores(soft, [rows[row] for row in call], label_words)
        scores[torch.tensor(call)] = found.float().cpu()
        advance(len(call))

    length = 0 if prompts is None else prompts.length
    run_rows(backbone, [len(row) for row in rows], length, tokens_per_batch, work)
    return scores
