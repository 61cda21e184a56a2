"""A row as the state of the language model at the place where it would say the label."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch

from dawgen.backbone.memory import run_rows
from dawgen.backbone.packed import SharedPrompts
from dawgen.backbone.watch import layers_of, watching
from dawgen.streams import repeatable

if TYPE_CHECKING:
    from dawgen.backbone import Backbone
    from dawgen.tasks import Row, TaskCard

_SHARE = 4
"""The instruction takes at most one token in so many of those that the model reads."""
_DEPTHS = (0.6, 0.75, 0.9)
"""Of the layers, beside the last state. Which is best differs by task, and the mean of the four
is 2 points ahead of the best on held-out rows (docs/log.md)."""

States = npt.NDArray[np.float32]


def depths_of(backbone: Backbone) -> tuple[int, ...]:
    """Layers whose states are read, counted from 1; the deepest is the model's last state."""
    count = len(layers_of(backbone.model)) or 1
    inner = {max(1, round(share * count)) for share in _DEPTHS} - {count}
    return (*sorted(inner & set(range(1, count))), count)


class AnswerStates:
    """Features [D·H]: states from which a label's word is predicted, after layers of D depths.

    The model reads [the card's instruction ; the row in the card's template].

    Attributes:
        prefix: token ids of the instruction.
        depths: counted from 1, the deepest last.
    """

    def __init__(
        self, backbone: Backbone, card: TaskCard, tokens_per_batch: int, depths: Sequence[int]
    ) -> None:
        self.backbone, self.card, self.tokens_per_batch = backbone, card, tokens_per_batch
        self.depths = tuple(depths)
        ids = backbone.text_ids(f"{card.instruction}\n")
        self.prefix = ids[: backbone.max_length // _SHARE]
        self._found: dict[tuple[str, str | None], States] = {}

    def inputs(self, rows: Sequence[Row]) -> list[list[int]]:
        """Token ids of the rows in the template, which stand behind the prefix."""
        return self.backbone.encode_rows(self.card, rows, len(self.prefix))

    def of(self, rows: Sequence[Row]) -> States:
        """[N,D·H]; a row is read once, and its label is not looked at."""
        texts = [(row.text1, row.text2) for row in rows]
        new = {key: row for key, row in zip(texts, rows, strict=True) if key not in self._found}
        if new:
            inputs = self.inputs(list(new.values()))
            soft = SharedPrompts.one(self._prompt(), len(inputs)) if self.prefix else None
            found = read_states(self.backbone, soft, inputs, self.depths, self.tokens_per_batch)
            self._found.update(zip(new, joined(found), strict=True))
        return np.stack([self._found[key] for key in texts])

    def _prompt(self) -> torch.Tensor:
        """The instruction [P,H] as the model embeds it."""
        return self.backbone.embed(torch.tensor(self.prefix, device=self.backbone.device))


def joined(states: States) -> States:
    """States [D,N,H] as features [N,D·H]."""
    return states.swapaxes(0, 1).reshape(states.shape[1], -1)


@repeatable()
@torch.no_grad()
def read_states(
    backbone: Backbone,
    prompts: SharedPrompts | None,
    inputs: Sequence[Sequence[int]],
    depths: Sequence[int],
    tokens_per_batch: int,
) -> States:
    """States [D,N,H] at the labels' places of N rows of token ids behind prompts."""
    inner = [depth for depth in depths if depth < max(1, len(layers_of(backbone.model)))]
    width = backbone.head.weight.shape[1]
    states = np.zeros((len(depths), len(inputs), width), np.float32)
    with watching(backbone.model, inner) as watch:

        def work(call: list[int]) -> None:
            soft = None if prompts is None else prompts.some(call)
            found = backbone.label_states(soft, [inputs[row] for row in call], watch)
            states[:, call] = found[: len(depths)].float().cpu().numpy()

        length = 0 if prompts is None else prompts.length
        run_rows(backbone, [len(ids) for ids in inputs], length, tokens_per_batch, work)
    return states
