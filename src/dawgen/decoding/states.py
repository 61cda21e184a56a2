"""What a model remembers of the texts it is writing, for the two kinds of model."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import Cache, DynamicCache, EncoderDecoderCache

from dawgen.backbone import Backbone
from dawgen.decoding.cache import InPlaceCache, can_decode_in_place
from dawgen.errors import UserError

Source = tuple[int, tuple[int, ...]]
"""A label, and the token ids that its prompt is followed by."""


class EncoderDecoderState:
    """Rows of a sequence-to-sequence model.

    The prompt goes through the bidirectional encoder together with the source, so nothing of
    it can be computed ahead; but rows that share label and source share their encoding and
    their cross-attention's keys and values, which are computed once.
    """

    def __init__(
        self, backbone: Backbone, prompts: Tensor, rows: Sequence[Source], columns: int
    ) -> None:
        """
        Args:
            prompts: [C,P,H].
            rows: B labels and sources.
            columns: most tokens of a text.
        """
        self.model: Any = backbone.model.get_decoder()
        distinct, place = _distinct(rows, backbone.device)
        labels = [label for label, _ in distinct]
        inputs = backbone.generation_inputs(prompts[labels], [ids for _, ids in distinct])
        self.states: Tensor = inputs["encoder_outputs"].last_hidden_state
        self.mask: Tensor = inputs["attention_mask"]
        start: Tensor = inputs["decoder_input_ids"]
        self.cache: Cache = EncoderDecoderCache(
            InPlaceCache(start.shape[1] + columns), InPlaceCache(self.states.shape[1])
        )
        self.first = self._read(start)[place]
        if len(distinct) < len(rows):
            self.keep(place)

    def read(self, ids: Tensor) -> Tensor:
        """Tokens just written [B] -> last hidden states [B,H]."""
        return self._read(ids[:, None])

    def _read(self, ids: Tensor) -> Tensor:
        out = self.model(
            input_ids=ids,
            encoder_hidden_states=self.states,
            encoder_attention_mask=self.mask,
            past_key_values=self.cache,
            use_cache=True,
        )
        return out.last_hidden_state[:, -1]

    def keep(self, rows: Tensor) -> None:
        """Rows [N] become rows 0 to N-1, the others are forgotten."""
        self.cache.batch_select_indices(rows)
        self.states, self.mask = self.states[rows], self.mask[rows]


class PromptCache:
    """Every label prompt's keys and values, computed once, for a causal model.

    The last prompt vector is left out: it is read with the source, so that each row has
    something to read even where there is no source.
    """

    def __init__(self, backbone: Backbone, prompts: Tensor) -> None:
        """prompts: [C,P,H]."""
        self.length = prompts.shape[1] - 1
        self.last = prompts[:, -1]
        self.layers: list[tuple[Tensor, Tensor]] = []
        if self.length:
            cache = DynamicCache(config=backbone.model.config)
            backbone.model.base_model(
                inputs_embeds=prompts[:, :-1].to(backbone.dtype, copy=True),  # CTRL writes into it
                past_key_values=cache,
                use_cache=True,
            )
            layers: Any = cache.layers
            self.layers = [(layer.keys, layer.values) for layer in layers]

    def start(self, labels: Tensor, columns: int) -> Cache:
        """A cache that holds the prompts of labels [B], with room for ``columns`` more."""
        cache = InPlaceCache(self.length + columns)
        for i, (keys, values) in enumerate(self.layers):
            cache.update(keys[labels], values[labels], i)
        return cache


class CausalState:
    """Rows of a causal model behind their label prompts' cache: only sources are read.

    Columns are [prompt ; gap ; last prompt vector ; source ; text]: the gap makes sources of
    different lengths end in the same column, is masked, and takes no position.
    """

    def __init__(
        self, backbone: Backbone, prompts: PromptCache, rows: Sequence[Source], columns: int
    ) -> None:
        """
        Args:
            rows: B labels and sources.
            columns: most tokens of a text.
        """
        device = backbone.device
        self.model: Any = backbone.model.base_model
        distinct, place = _distinct(rows, device)
        width = 1 + max(len(source) for _, source in distinct)
        labels = torch.tensor([label for label, _ in distinct], device=device)
        gaps = torch.tensor([width - 1 - len(source) for _, source in distinct], device=device)
        ids = torch.tensor(
            [[0] * (width - len(source)) + list(source) for _, source in distinct], device=device
        )
        vectors = backbone.embed(ids)
        vectors[torch.arange(len(distinct), device=device), gaps] = prompts.last[labels].to(
            vectors.dtype
        )
        at = torch.arange(width, device=device)
        self.cache = prompts.start(labels, width + columns)
        self.mask: Tensor | None = None
        if bool(gaps.any()):
            self.mask = torch.ones(
                len(distinct), prompts.length + width + columns, dtype=torch.bool, device=device
            )
            self.mask[:, prompts.length : prompts.length + width] = at >= gaps[:, None]
        self.seen = prompts.length + width
        positions = (prompts.length + at - gaps[:, None]).clamp(min=0)
        hidden = self._read(positions, inputs_embeds=vectors)
        self.first = hidden[place]
        self.next = positions[:, -1] + 1
        if len(distinct) < len(rows):
            self.keep(place)

    def read(self, ids: Tensor) -> Tensor:
        """Tokens just written [B] -> last hidden states [B,H]."""
        self.seen += 1
        hidden = self._read(self.next[:, None], input_ids=ids[:, None])
        self.next = self.next + 1
        return hidden

    def _read(self, positions: Tensor, **inputs: Tensor) -> Tensor:
        out = self.model(
            **inputs,
            position_ids=positions,
            attention_mask=None if self.mask is None else self.mask[:, : self.seen],
            past_key_values=self.cache,
            use_cache=True,
        )
        return out.last_hidden_state[:, -1]

    def keep(self, rows: Tensor) -> None:
        """Rows [N] become rows 0 to N-1, the others are forgotten."""
        self.cache.batch_select_indices(rows)
        self.next = self.next[rows]
        self.mask = None if self.mask is None else self.mask[rows]


class PlainCausalState:
    """Rows of a causal model whose cache is more than keys and values (sliding windows...).

    Prompt and source are read for every row, sources all have one length, and finished rows
    stay: such a cache is left to transformers.
    """

    def __init__(self, backbone: Backbone, prompts: Tensor, rows: Sequence[Source]) -> None:
        """prompts: [C,P,H]; rows: B labels and sources of one length."""
        self.model: Any = backbone.model.base_model
        accepted = inspect.signature(self.model.forward).parameters
        if "past_key_values" not in accepted:
            raise UserError(
                f"{backbone.name} keeps what it has read in a way that dawgen does not know "
                f"(a {backbone.model.config.model_type}); take another backbone."
            )
        self.takes_positions = "position_ids" in accepted
        self.seen = 0
        self.cache = DynamicCache(config=backbone.model.config)
        inputs = backbone.generation_inputs(
            prompts[[label for label, _ in rows]], [source for _, source in rows]
        )
        self.first = self._read(inputs_embeds=inputs["inputs_embeds"])

    def read(self, ids: Tensor) -> Tensor:
        """Tokens just written [B] -> last hidden states [B,H]."""
        return self._read(input_ids=ids[:, None])

    def _read(self, **inputs: Tensor) -> Tensor:
        (new,) = inputs.values()
        rows, columns = new.shape[:2]
        if self.takes_positions:  # some models otherwise count from 0 at every call
            at = torch.arange(self.seen, self.seen + columns, device=new.device)
            inputs["position_ids"] = at.expand(rows, -1)
        self.seen += columns
        out = self.model(**inputs, past_key_values=self.cache, use_cache=True)
        return out.last_hidden_state[:, -1]


State = EncoderDecoderState | CausalState | PlainCausalState


def reads_behind_prompts(backbone: Backbone) -> bool:
    """Whether a causal model can go on from a cached prompt with gaps between the columns."""
    accepted = inspect.signature(backbone.model.base_model.forward).parameters
    # GPT-Neo's local window counts columns, gaps included
    local = "local" in getattr(backbone.model.config, "attention_layers", ())
    return "position_ids" in accepted and not local and can_decode_in_place(backbone.model)


def _distinct(rows: Sequence[Source], device: torch.device) -> tuple[list[Source], Tensor]:
    """The different rows, and each row's place [B] among them."""
    places: dict[Source, int] = {}
    for row in rows:
        places.setdefault(row, len(places))
    return list(places), torch.tensor([places[row] for row in rows], device=device)
