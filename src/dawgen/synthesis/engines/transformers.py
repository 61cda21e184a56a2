"""Decoding by ``model.generate`` in batches, for whatever model transformers can run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessorList, PreTrainedModel

from dawgen.backbone import Backbone
from dawgen.synthesis.engines.base import Decoding, Generation, Request
from dawgen.synthesis.engines.sampling import Sampler


class TransformersEngine:
    """The reference engine: batches of like source length through ``model.generate``."""

    def __init__(self, backbone: Backbone, prompts: Tensor, decoding: Decoding) -> None:
        """prompts: [C,P,H], one soft prompt a label."""
        self.backbone = backbone
        self.prompts = prompts.detach().to(backbone.device)
        self.decoding = decoding
        self.allowed = allowed_tokens(backbone)
        self.config = GenerationConfig(
            max_new_tokens=decoding.max_new_tokens,
            do_sample=False,
            num_beams=1,
            eos_token_id=backbone.end_id,
            pad_token_id=backbone.end_id,
            decoder_start_token_id=backbone.decoder_start[0]
            if backbone.is_encoder_decoder
            else None,
        )

    @torch.no_grad()
    def generate(self, requests: Sequence[Request]) -> list[Generation]:
        """One generation a request, in the requests' order."""
        length = self.prompts.shape[1]
        sources = [self.backbone.encode_source(r.source, length) for r in requests]
        order = sorted(range(len(requests)), key=lambda i: (len(sources[i]), i))
        written: dict[int, Generation] = {}
        with _own_generation_config(self.backbone.model, self.config):
            for start in range(0, len(order), self.decoding.batch_size):
                batch = order[start : start + self.decoding.batch_size]
                texts = self._batch([requests[i] for i in batch], [sources[i] for i in batch])
                written.update(zip(batch, texts, strict=True))
        return [written[i] for i in range(len(requests))]

    def _batch(
        self, requests: Sequence[Request], sources: Sequence[Sequence[int]]
    ) -> Iterator[Generation]:
        device = self.backbone.device
        labels = torch.tensor([r.label for r in requests], device=device)
        seeds = torch.tensor([r.seed for r in requests], dtype=torch.int64, device=device)
        inputs = self.backbone.generation_inputs(self.prompts[labels], sources)
        start = len(self.backbone.decoder_start) if self.backbone.is_encoder_decoder else 0
        sampler = Sampler(self.allowed, seeds, self.decoding, start)
        model: Any = self.backbone.model
        ids = model.generate(
            **inputs,
            generation_config=self.config,
            logits_processor=LogitsProcessorList([sampler]),
        )
        return map(self._read, ids[:, start:].tolist())

    def _read(self, ids: list[int]) -> Generation:
        """A row of written ids, cut at its end mark."""
        end = self.backbone.end_id
        finished = end in ids
        text = ids[: ids.index(end)] if finished else ids
        return Generation(self.backbone.decode(text), len(text) + finished, finished)


def allowed_tokens(backbone: Backbone) -> Tensor:
    """[V] bool: tokens that may be written. Specials, unknown and padding rows may not."""
    size = int(backbone.head.weight.shape[0])
    allowed = torch.zeros(size, dtype=torch.bool)
    allowed[[i for i in backbone.ordinary_token_ids() if i < size]] = True
    allowed[backbone.end_id] = True
    return allowed.to(backbone.device)


@contextmanager
def _own_generation_config(model: PreTrainedModel, config: GenerationConfig) -> Iterator[None]:
    """Keep a checkpoint's own decoding settings (beams, forced or banned tokens) out of ours.

    ``generate`` fills what a passed config leaves open from the model's, so that has to go.
    """
    before = model.generation_config
    model.generation_config = config
    try:
        yield
    finally:
        model.generation_config = before
