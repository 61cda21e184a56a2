"""The shape of a backbone's work: tokens, FLOPs and bytes of a row, counted and not measured.

A multiply-add is two FLOPs. Only what is useful counts: padding does not, nor what is computed
twice. Letters: S source tokens with the soft prompt, T target tokens, H hidden size, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from dawgen.backbone.calls import CACHED_TOKENS
from dawgen.backbone.text import plain_config

if TYPE_CHECKING:
    from dawgen.backbone.model import Backbone

_SOURCE, _TARGET = 5, 3  # tokens of the pass that is watched; different, to tell them apart


@dataclass(frozen=True)
class Work:
    """What was computed.

    Attributes:
        tokens: read or written, soft prompts among them; each forward pass counts them anew.
        flops: of matrix products.
        bytes: moved at least: inputs and outputs of every product, and the weights once a call.
    """

    tokens: float = 0.0
    flops: float = 0.0
    bytes: float = 0.0

    def __add__(self, other: Work) -> Work:
        return Work(self.tokens + other.tokens, self.flops + other.flops, self.bytes + other.bytes)

    def __mul__(self, times: float) -> Work:
        return Work(self.tokens * times, self.flops * times, self.bytes * times)

    def record(self, seconds: float, peak: float) -> dict[str, float]:
        """As ``run.json`` has it: with rates, and the share of ``peak`` FLOP/s."""
        rate = 1.0 / seconds if seconds > 0 else 0.0
        return {
            "tokens": round(self.tokens),
            "flops": round(self.flops),
            "bytes": round(self.bytes),
            "tokens_per_second": round(self.tokens * rate, 1),
            "flops_per_second": round(self.flops * rate),
            "share_of_peak": round(self.flops * rate / peak, 4),
        }


@dataclass(frozen=True)
class Shape:
    """What one token costs in a model, in multiply-adds.

    Attributes:
        source: of a source token in products with weights, those that the decoder's cross
            attention applies to it among them; 0 in a causal model.
        target: of a target token, the head apart.
        head: H·V.
        hidden: H.
        source_width: layers times attention width where source tokens attend to each other.
        target_width: the same where target tokens do; it is also that of cross attention.
        features: numbers that go in and out of products for a source and for a target token.
        weights: bytes of all weights; ``itemsize`` those of a number.
        layers: that hold ``features`` in turn: the encoder's, or a causal model's.
    """

    source: int
    target: int
    head: int
    hidden: int
    source_width: int
    target_width: int
    features: tuple[int, int]
    weights: int
    itemsize: int
    layers: int

    def forward(self, source: float, target: float, scored: float = 0.0) -> Work:
        """One row: S source and T target tokens, ``scored`` of them over the whole vocabulary."""
        return self._row(source, target, scored, products=1, attention=1)

    def backward(self, source: float, target: float, scored: float = 0.0) -> Work:
        """Gradients of one row's activations; those of frozen weights are not computed."""
        work = self._row(source, target, scored, products=1, attention=2)
        return Work(0.0, work.flops, work.bytes)

    def held_bytes(self, graph: bool, recomputed: bool = False) -> float:
        """What a token takes in memory during a call; for a ``graph`` all layers, else one.

        Where layers are ``recomputed`` the graph holds the input of each and the whole of one.

        On the shipped backbone 184,320 and 30,720; measured were 115,700 to 138,800 and 28,900
        to 29,300 (rows of 64 to 512 tokens). Attention as plain products takes more the longer
        the row is, which is not counted.
        """
        every = max(self.features) * self.itemsize
        if graph and recomputed:
            return every / self.layers + self.hidden * self.itemsize * self.layers
        return every if graph else every / self.layers

    def _row(self, s: float, t: float, scored: float, products: int, attention: int) -> Work:
        if not self.source:  # causal: one sequence
            s, t = 0.0, s + t
        pairs = self.source_width * s * s + self.target_width * (t * t + s * t)
        matrices = self.source * s + self.target * t + self.head * scored
        moved = self.features[0] * s + self.features[1] * t
        moved += (self.hidden + self.head / self.hidden) * scored
        share = (s + t) / CACHED_TOKENS  # of a call
        return Work(
            s + t,
            2.0 * products * matrices + 4.0 * attention * pairs,
            moved * self.itemsize + share * self.weights,
        )


def shape_of(backbone: Backbone) -> Shape:
    """Count by watching one short pass: which layer multiplies how many tokens."""
    model, config = backbone.model, plain_config(backbone.model.config)
    source, target, features = 0, 0, [0, 0]

    def count(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        nonlocal source, target
        rows = inputs[0].numel() // inputs[0].shape[-1]
        size = sum(p.numel() for name, p in module.named_parameters() if name == "weight")
        moved = inputs[0].shape[-1] + output.shape[-1]
        if rows == _SOURCE:
            source, features[0] = source + size, features[0] + moved
        else:
            target, features[1] = target + size, features[1] + moved

    with _watching(model, count), torch.no_grad():
        if backbone.is_encoder_decoder:
            states, mask = backbone._encode(None, [[0] * _SOURCE])
            ids = torch.zeros(1, _TARGET, dtype=torch.long, device=backbone.device)
            backbone._decode(states, mask, ids, torch.ones_like(ids))
        else:
            backbone._read(None, [[0] * _TARGET])
    heads = getattr(config, "d_kv", 0) * getattr(config, "num_heads", 0)
    width = heads or int(config.hidden_size)
    below = int(config.num_hidden_layers) if backbone.is_encoder_decoder else 0
    above = getattr(config, "num_decoder_layers", None) or getattr(config, "decoder_layers", None)
    parameters = list(model.parameters())
    return Shape(
        source=source,
        target=target,
        head=backbone.head.weight.numel(),
        hidden=backbone.hidden_size,
        source_width=below * width,
        target_width=int(above or config.num_hidden_layers) * width,
        features=(features[0], features[1]),
        weights=sum(p.numel() * p.element_size() for p in parameters),
        itemsize=parameters[0].element_size(),
        layers=below or int(config.num_hidden_layers),
    )


@contextmanager
def _watching(model: PreTrainedModel, hook: Any) -> Iterator[None]:
    head = model.get_output_embeddings()
    handles = [
        module.register_forward_hook(hook)
        for module in model.modules()
        if isinstance(module, nn.Linear | Conv1D) and module is not head
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
