"""Label probabilities of many rows, in batches of rows that are about equally long."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from torch import Tensor

from dawgen.backbone.packed import SharedPrompts
from dawgen.backbone.scoring import score_rows
from dawgen.errors import UserError
from dawgen.streams import repeatable
from dawgen.terminal.progress import progress

if TYPE_CHECKING:
    from dawgen.backbone import Backbone
    from dawgen.tasks import Row, TaskCard


def predict(
    backbone: Backbone,
    card: TaskCard,
    prompt: Tensor | None,
    rows: Sequence[Row],
    tokens_per_batch: int = 8192,
) -> npt.NDArray[np.float32]:
    """p(label) of every row, [N,C] in fp32, rows in the order given.

    Labels of the rows are not looked at, so unlabelled rows are fine.

    Args:
        prompt: the task prompt [P,H], or None for zero-shot.
        tokens_per_batch: most tokens, prompt and padding included, scored at once (a row
            longer than that goes alone). Changes speed and memory; never which rows are cut.

    Raises:
        UserError: a label word begins another one, the template does not fit the
            model, or a score is not finite (named by its row).
    """
    length = 0 if prompt is None else int(prompt.shape[0])
    label_words = backbone.label_word_ids(card)
    inputs = backbone.encode_rows(card, rows, length)
    return label_probabilities(backbone, inputs, label_words, prompt, tokens_per_batch)


@repeatable()
def label_probabilities(
    backbone: Backbone,
    inputs: Sequence[Sequence[int]],
    label_words: Sequence[Sequence[int]],
    prompt: Tensor | None = None,
    tokens_per_batch: int = 8192,
) -> npt.NDArray[np.float32]:
    """As :func:`predict`, [N,C], for N rows that are token ids already.

    Raises:
        UserError: a score is not finite (named by its row), or memory does not hold one row.
    """
    soft = None if prompt is None else SharedPrompts.one(prompt, len(inputs))
    with progress("scoring rows", len(inputs), "rows") as advance:
        found = score_rows(backbone, soft, inputs, label_words, tokens_per_batch, advance)
    scores: npt.NDArray[np.float32] = found.softmax(dim=-1).numpy()
    broken = np.flatnonzero(~np.isfinite(scores).all(axis=1))
    if len(broken):
        raise UserError(
            f"{len(broken)} of {len(inputs)} rows have scores that are not finite, the first is "
            f"row {broken[0] + 1}; the prompt or the model's number format is broken."
        )
    return scores
