"""What layers of a model make of a text, while the model reads it as ever."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from threading import local
from typing import Any

from torch import Tensor, nn
from transformers import PreTrainedModel


def layers_of(model: PreTrainedModel) -> Sequence[nn.Module]:
    """The layers that a label's place passes through: a decoder's, or a causal model's; empty where
    they cannot be told."""
    config: Any = model.config
    count = config.num_hidden_layers
    root: Any = model.base_model
    if config.is_encoder_decoder:
        root = model.get_decoder()
        count = getattr(config, "num_decoder_layers", None) or getattr(
            config, "decoder_layers", count
        )
    for module in root.modules():
        if isinstance(module, nn.ModuleList) and len(module) == count:
            return list(module)
    return []


class Watch:
    """Outputs of some layers, kept for the thread that reads."""

    def __init__(self) -> None:
        self._kept = local()

    def take(self, place: int, module: nn.Module, inputs: object, output: Any) -> None:
        """Keep a layer's output, as a hook of it."""
        outputs: dict[int, Tensor] = self._kept.__dict__.setdefault("outputs", {})
        outputs[place] = output[0] if isinstance(output, tuple) else output

    def outputs(self) -> list[Tensor]:
        """Of the last reading of this thread, by layer."""
        found: dict[int, Tensor] = self._kept.__dict__.pop("outputs", {})
        return [found[place] for place in sorted(found)]


@contextmanager
def watching(model: PreTrainedModel, depths: Sequence[int]) -> Iterator[Watch]:
    """Keep what the layers of these depths, counted from 1, put out meanwhile."""
    watch, layers = Watch(), layers_of(model)
    hooks = [
        layers[depth - 1].register_forward_hook(partial(watch.take, place))
        for place, depth in enumerate(sorted(depths))
    ]
    try:
        yield watch
    finally:
        for hook in hooks:
            hook.remove()
