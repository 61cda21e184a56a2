"""A backbone and its label prompts as a CTranslate2 model on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from ctranslate2.converters import TransformersConverter
from torch import Tensor
from transformers import PreTrainedModel

from dawgen.backbone import Backbone
from dawgen.backbone.frame import Frame
from dawgen.decoding.baking import bake
from dawgen.decoding.base import allowed_tokens

NEVER = -3e4
"""Added to the logit of what may not be written: probability 0, and finite in half precision."""


class _Names:
    """CTranslate2 speaks in tokens; ours are ids, so each is called by its number."""

    def __init__(self, size: int, end: int) -> None:
        self.size = size
        self.eos_token = str(end)
        # Must be tokens of the vocabulary; nothing here is ever unknown, padded or begun by them.
        self.bos_token = self.unk_token = self.pad_token = "0"
        self.special_tokens_map: dict[str, str] = {}

    def get_vocab(self) -> dict[str, int]:
        return {str(i): i for i in range(self.size)}

    def convert_ids_to_tokens(self, token: int) -> str:
        return str(token)


class _Converter(TransformersConverter):
    """Takes a model from memory, and forbids tokens by the bias of its output layer."""

    def __init__(self, folder: Path, model: PreTrainedModel, allowed: Tensor, end: int) -> None:
        """folder: holds the model's config; allowed: [V] bool, tokens that may be written."""
        super().__init__(str(folder))
        self.model, self.allowed, self.end = model, allowed, end

    def load_model(self, *_: Any, **__: Any) -> PreTrainedModel:
        return self.model

    def load_tokenizer(self, *_: Any, **__: Any) -> _Names:
        embedding: Any = self.model.get_input_embeddings()
        return _Names(len(embedding.weight), self.end)

    def _load(self) -> Any:
        spec = super()._load()
        layer = spec.decoder.projection
        bias = torch.full((len(layer.weight),), NEVER)
        bias[: len(self.allowed)][self.allowed] = 0.0
        if isinstance(layer.bias, Tensor):
            bias += layer.bias.float()
        layer.bias = bias.to(layer.weight.dtype)
        return spec


def convert(
    backbone: Backbone,
    prompts: Tensor,
    folder: Path,
    quantization: str | None,
    frame: Frame | None = None,
) -> Path:
    """Write the model into ``folder`` and say where.

    Args:
        prompts: [C,P,H], baked in as tokens (see :func:`bake`).
        quantization: of the weights, in CTranslate2's words; None leaves them as they are.
        frame: says which token ends a text.

    Raises:
        ValueError: CTranslate2 has no converter for this kind of model.
    """
    model = bake(backbone, prompts.to(backbone.device))
    _speak_to_the_converter(model.config)
    model.config.save_pretrained(folder)
    allowed = allowed_tokens(backbone, frame).cpu()
    converter = _Converter(folder, model.cpu(), allowed, backbone.end_of(frame))
    return Path(converter.convert(str(folder / "converted"), quantization=quantization, force=True))


def _speak_to_the_converter(config: Any) -> None:
    """Entries that CTranslate2's converter reads and newer configurations say otherwise."""
    if not hasattr(config, "normalize_before"):
        config.normalize_before = False  # of BART
    if hasattr(config, "scale_decoder_outputs"):  # of T5; once this was how tied tables showed
        config.tie_word_embeddings = config.scale_decoder_outputs
    if config.model_type == "mt5":  # which never scales, whatever its tables
        config.tie_word_embeddings = False
