"""Activation checkpointing: a layer's activations are computed again for the backward pass.

transformers checkpoints layers in training only, where dropout is on too; a frozen backbone is
never in training. So the layers it marks for checkpointing are given a ``forward`` that does it
whenever a graph is built. Names of parameters, saving and copying stay the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint
from transformers.modeling_layers import GradientCheckpointingLayer

from dawgen.errors import UserError


class _Recomputed:
    """A layer whose graph keeps its inputs only (Chen et al. 2016)."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        forward = super().forward  # type: ignore[misc]
        if not torch.is_grad_enabled():
            return forward(*args, **kwargs)
        return checkpoint(forward, *args, use_reentrant=False, **kwargs)


_KINDS: dict[Any, Any] = {}


def _recomputed(kind: Any) -> Any:
    """The class of a layer that is recomputed, made once."""
    if kind not in _KINDS:
        _KINDS[kind] = type(kind.__name__, (_Recomputed, kind), {})
    return _KINDS[kind]


def is_recomputed(model: nn.Module) -> bool:
    """Whether some layers of the model are checkpointed."""
    return any(isinstance(module, _Recomputed) for module in model.modules())


def recompute(model: nn.Module, name: str) -> None:
    """Have the model's layers keep their inputs only where a graph is built.

    Raises:
        UserError: the model's code marks no layers for that.
    """
    layers: list[Any] = [m for m in model.modules() if isinstance(m, GradientCheckpointingLayer)]
    if not layers:
        raise UserError(
            f"The layers of {name!r} cannot be computed again; leave backbone.checkpointing false."
        )
    for layer in layers:
        layer.__class__ = _recomputed(type(layer))


@contextmanager
def kept(model: nn.Module) -> Iterator[None]:
    """Keep activations for a while: a graph through a gradient keeps them in any case."""
    layers: list[Any] = [module for module in model.modules() if isinstance(module, _Recomputed)]
    for layer in layers:
        layer.__class__ = type(layer).__mro__[2]
    try:
        yield
    finally:
        for layer in layers:
            layer.__class__ = _recomputed(type(layer))
