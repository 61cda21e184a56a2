"""Label prompts as tokens: a checkpoint that engines without soft prompts can run."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from dawgen.backbone import Backbone


def bake(backbone: Backbone, prompts: Tensor, first: int | None = None) -> PreTrainedModel:
    """The model with C·P more tokens, whose embeddings are the label prompts' vectors.

    Label c's prompt is the tokens :func:`prompt_ids` gives; behind them the model does what it
    does behind the vectors. The new tokens' output logits mean nothing: they must be kept from
    being written. A copy; the backbone stays as it was.

    Args:
        prompts: [C,P,H].
        first: id of the first new token, where it is to lie in the table's unused last rows;
            the table's end without.
    """
    model = backbone.model
    baked: PreTrainedModel = copy.deepcopy(model)  # a converter may write into its weights
    size, rows = len(backbone.table()), prompts.flatten(0, 1)
    start = size if first is None else first
    end = max(size, start + len(rows))
    baked.resize_token_embeddings(end, mean_resizing=False)
    embedding: Any = baked.get_input_embeddings()
    scale = getattr(embedding, "embed_scale", 1.0)  # BART's own multiplies what it looks up
    with torch.no_grad():
        embedding.weight[start : start + len(rows)] = (rows / scale).to(embedding.weight)
        if model.get_output_embeddings().weight is not model.get_input_embeddings().weight:
            _set_output_table(baked, model.get_output_embeddings(), end - size)
    return baked.requires_grad_(False)


def _set_output_table(baked: PreTrainedModel, before: nn.Linear, more: int) -> None:
    """The output layer as it was, and ``more`` rows of zeros.

    Resizing ties it to the input's where the configuration says so, which it does even of
    T5 1.1, whose two tables differ.
    """
    layer = copy.deepcopy(before)
    layer.weight = nn.Parameter(
        torch.cat([before.weight, before.weight.new_zeros(more, before.in_features)])
    )
    if before.bias is not None:
        layer.bias = nn.Parameter(torch.cat([before.bias, before.bias.new_zeros(more)]))
    layer.out_features = len(layer.weight)
    baked.set_output_embeddings(layer)


def prompt_ids(backbone: Backbone, prompts: Tensor, label: int) -> list[int]:
    """Token ids [P] of a label's prompt in the baked model."""
    length = prompts.shape[1]
    start = len(backbone.table()) + label * length
    return list(range(start, start + length))
