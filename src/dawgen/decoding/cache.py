"""Keys and values that stay where they are while texts grow and finished rows leave."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import torch
from torch import Tensor
from transformers import Cache, DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer


class InPlaceLayer(DynamicLayer):
    """One layer's keys and values [B,heads,T,D], in room made once for all columns.

    ``DynamicLayer`` joins old and new columns at every token, which copies all of them each
    time. Here a new column is written behind the last, and a row that leaves is overwritten by
    one from the end: what is copied is what changes.
    """

    keys: Tensor
    values: Tensor

    def __init__(self, columns: int) -> None:
        """columns: most that will ever be held."""
        super().__init__()
        self.columns = columns

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: object, **kwargs: object
    ) -> tuple[Tensor, Tensor]:
        """Write new columns [B,heads,t,D]; all columns so far come back."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            self._key_room = self._room(key_states)
            self._value_room = self._room(value_states)
            self.keys, self.values = self._key_room[:, :, :0], self._value_room[:, :, :0]
        start = self.keys.shape[2]
        stop = start + key_states.shape[2]
        rows = len(key_states)
        self._key_room[:rows, :, start:stop] = key_states
        self._value_room[:rows, :, start:stop] = value_states
        self._show(rows, stop)
        return self.keys, self.values

    def batch_select_indices(self, indices: Tensor) -> None:
        """Rows ``indices`` [N] become rows 0 to N-1; more rows than before get new room."""
        columns = self.keys.shape[2]
        if len(indices) > len(self.keys):
            keys, values = self.keys[indices], self.values[indices]
            self._key_room, self._value_room = self._room(keys), self._room(values)
            self._key_room[:, :, :columns] = keys
            self._value_room[:, :, :columns] = values
        else:
            places = torch.arange(len(indices), device=indices.device)
            moved = (indices != places).nonzero()[:, 0]
            self.keys[moved] = self.keys[indices[moved]]
            self.values[moved] = self.values[indices[moved]]
        self._show(len(indices), columns)

    def _room(self, states: Tensor) -> Tensor:
        rows, heads, _, size = states.shape
        return states.new_empty(rows, heads, self.columns, size)

    def _show(self, rows: int, columns: int) -> None:
        self.keys = self._key_room[:rows, :, :columns]
        self.values = self._value_room[:rows, :, :columns]


def most_columns(model: PreTrainedModel) -> float:
    """How many columns a cache that stays in place may hold, so that the model sees what it would.

    Keys and values of all columns are such a cache. A layer with a sliding window forgets what is
    behind it, so up to the narrowest window it is one too, and 0 columns are where a layer keeps
    something else.
    """
    columns = math.inf
    for layer in DynamicCache(config=model.config).layers:
        if type(layer) is DynamicSlidingWindowLayer:
            columns = min(columns, layer.sliding_window)
        elif type(layer) is not DynamicLayer:
            return 0
    return columns


class InPlaceCache(DynamicCache):
    """A cache of :class:`InPlaceLayer`, made layer by layer as the model asks for them."""

    def __init__(self, columns: int) -> None:
        """columns: most that each layer will ever hold."""
        make: Any = partial(InPlaceLayer, columns)  # called like the class it is taken for
        Cache.__init__(self, layer_class_to_replicate=make)
