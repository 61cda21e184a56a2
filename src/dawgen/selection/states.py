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
from dawgen.selection.shown import Shown, prefix_ids
from dawgen.streams import repeatable

if TYPE_CHECKING:
    from dawgen.backbone import Backbone
    from dawgen.tasks import Row, TaskCard

_DEPTHS = (0.6, 0.75, 0.9)
"""Of the layers, beside the last state. Which is best differs by task, and the mean of the four
is 2 points ahead of the best on held-out rows (docs/log.md)."""

States = npt.NDArray[np.float32]
_Key = tuple[str, str | None]


def depths_of(backbone: Backbone) -> tuple[int, ...]:
    """Layers whose states are read, counted from 1; the deepest is the model's last state."""
    count = len(layers_of(backbone.model)) or 1
    width = backbone.head.weight.shape[1]
    if getattr(backbone.model.config, "hidden_size", width) != width:
        return (count,)  # a model that projects its last state, such as OPT-350M
    inner = {max(1, round(share * count)) for share in _DEPTHS} - {count}
    return (*sorted(inner), count)


class AnswerStates:
    """Features [D·H]: states from which a label's word is predicted, after layers of D depths.

    A causal model reads [the card's instruction ; examples ; the row in the card's template], an
    encoder-decoder only the last of these, as it does zero-shot (docs/log.md).

    Attributes:
        depths: counted from 1, the deepest last.
        shown: the examples.
        prefixes: token ids of what stands before a row, and before one that is an example itself.
    """

    def __init__(
        self,
        backbone: Backbone,
        card: TaskCard,
        tokens_per_batch: int,
        depths: Sequence[int],
        shown: Shown | None = None,
        *,
        remember: bool = True,
    ) -> None:
        self.backbone, self.card, self.tokens_per_batch = backbone, card, tokens_per_batch
        self.depths, self.shown = tuple(depths), shown or Shown()
        sets = self.shown.first, self.shown.second
        self.prefixes = [prefix_ids(backbone, card, rows) for rows in sets]
        self._examples = {_key(row) for row in self.shown.first}
        self._found: dict[_Key, States] | None = {} if remember else None

    @property
    def is_instructed(self) -> bool:
        """Whether the model reads anything in front of a row."""
        return any(self.prefixes)

    def inputs(self, rows: Sequence[Row]) -> tuple[list[int], list[list[int]]]:
        """Which prefix each row reads, and its own token ids in the template."""
        of = [int(_key(row) in self._examples) for row in rows]
        longest = max(map(len, self.prefixes))
        return of, self.backbone.encode_rows(self.card, rows, longest)

    def of(self, rows: Sequence[Row]) -> States:
        """[N,D·H]; labels are not looked at, and a row that is remembered is not read again."""
        if self._found is None:
            return joined(self._read(rows))
        keys = list(map(_key, rows))
        new = {key: row for key, row in zip(keys, rows, strict=True) if key not in self._found}
        if new:
            found = joined(self._read(list(new.values())))
            self._found.update(zip(new, found, strict=True))
        return np.stack([self._found[key] for key in keys])

    def _read(self, rows: Sequence[Row]) -> States:
        """[D,N,H], rows of one prefix at a time."""
        of, inputs = self.inputs(rows)
        width = self.backbone.head.weight.shape[1]
        states = np.zeros((len(self.depths), len(rows), width), np.float32)
        for number, prefix in enumerate(self.prefixes):
            some = [row for row, which in enumerate(of) if which == number]
            if some:
                soft = SharedPrompts.one(self._prompt(prefix), len(some)) if prefix else None
                own = [inputs[row] for row in some]
                states[:, some] = read_states(
                    self.backbone, soft, own, self.depths, self.tokens_per_batch
                )
        return states

    def _prompt(self, prefix: Sequence[int]) -> torch.Tensor:
        """[P,H] as the model embeds the tokens."""
        return self.backbone.embed(torch.tensor(prefix, device=self.backbone.device))


def _key(row: Row) -> _Key:
    return row.text1, row.text2


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
