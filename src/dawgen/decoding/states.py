"""What a model remembers of the texts it is writing, for the two kinds of model."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import Cache, DynamicCache, EncoderDecoderCache

from dawgen.backbone import Backbone
from dawgen.decoding.cache import InPlaceCache, most_columns
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

    Columns are [prompt ; gap ; last prompt vector ; opening ; gap ; rest of the source ; text]:
    gaps make what has different lengths end in the same column, are masked, and take no position.
    An opening, such as few shots in context, is read once for all rows that share it.
    """

    def __init__(
        self, backbone: Backbone, prompts: PromptCache, rows: Sequence[Source], columns: int
    ) -> None:
        """
        Args:
            rows: B labels and sources.
            columns: most tokens of a text.
        """
        self.backbone = backbone
        self.model: Any = backbone.model.base_model
        distinct, place = _distinct(rows, backbone.device)
        cuts = openings(distinct)
        first, opening_of = _distinct(
            [(label, ids[:cut]) for (label, ids), cut in zip(distinct, cuts, strict=True)],
            backbone.device,
        )
        rests = [ids[cut:] for (_, ids), cut in zip(distinct, cuts, strict=True)]
        width = 1 + max(len(opening) for _, opening in first) + max(map(len, rests))
        labels = torch.tensor([label for label, _ in first], device=backbone.device)
        self.cache = prompts.start(labels, width + columns)
        self.mask = torch.ones(
            len(first), prompts.length + width + columns, dtype=torch.bool, device=backbone.device
        )
        self.gapless = True
        self.seen = prompts.length
        self.next = torch.full((len(first),), self.seen, device=backbone.device)
        hidden = self._read_all([opening for _, opening in first], prompts.last[labels])
        if any(rests):
            self.keep(opening_of)
            hidden = self._read_all(rests)
        else:
            place = opening_of[place]
        self.first = hidden[place]
        if len(rows) != len(self.next):
            self.keep(place)

    def read(self, ids: Tensor) -> Tensor:
        """Tokens just written [B] -> last hidden states [B,H]."""
        return self._read(self.next[:, None], input_ids=ids[:, None])

    def _read_all(self, rows: Sequence[Sequence[int]], before: Tensor | None = None) -> Tensor:
        """Tokens of rows of any lengths -> last hidden states [B,H].

        Args:
            before: [B,H], a vector that each row reads before its tokens.
        """
        device, extra = self.next.device, int(before is not None)
        width = extra + max(map(len, rows))
        gaps = torch.tensor([width - extra - len(ids) for ids in rows], device=device)
        padded = [[0] * (width - len(ids)) + list(ids) for ids in rows]
        vectors = self.backbone.embed(torch.tensor(padded, device=device))
        if before is not None:
            vectors[torch.arange(len(rows), device=device), gaps] = before.to(vectors.dtype)
        at = torch.arange(width, device=device)
        self.mask[:, self.seen : self.seen + width] = at >= gaps[:, None]
        self.gapless &= not bool(gaps.any())
        return self._read(self.next[:, None] + (at - gaps[:, None]).clamp(min=0), vectors=vectors)

    def _read(
        self, positions: Tensor, vectors: Tensor | None = None, input_ids: Tensor | None = None
    ) -> Tensor:
        self.seen += positions.shape[1]
        self.next = positions[:, -1] + 1
        inputs = {"input_ids": input_ids} if vectors is None else {"inputs_embeds": vectors}
        out = self.model(
            **inputs,
            position_ids=positions,
            attention_mask=None if self.gapless else self.mask[:, : self.seen],
            past_key_values=self.cache,
            use_cache=True,
        )
        hidden: Tensor = out.last_hidden_state[:, -1]
        return hidden

    def keep(self, rows: Tensor) -> None:
        """Rows [N] become rows 0 to N-1, the others are forgotten."""
        self.cache.batch_select_indices(rows)
        self.next, self.mask = self.next[rows], self.mask[rows]


def columns_of(rows: Sequence[Source]) -> int:
    """Columns of the rows' sources in a :class:`CausalState`, the last prompt vector included."""
    distinct = list(dict.fromkeys(rows))
    cuts = openings(distinct)
    return 1 + max(cuts) + max(len(ids) - cut for (_, ids), cut in zip(distinct, cuts, strict=True))


def openings(rows: Sequence[Source]) -> list[int]:
    """How many of each row's first tokens are worth reading apart, once for all rows that share
    them: all of its source where little is shared.

    Of rows in order, those are taken together that share at least half of their tokens.
    """
    whole = [len(ids) for _, ids in rows]
    if not all(whole):
        return whole
    cuts = [length - 1 for length in whole]  # of a row by itself: it has to go on from something
    order = sorted(range(len(rows)), key=rows.__getitem__)
    read, together = 0, order[:1]
    common = rows[order[0]][1]
    for i in order[1:]:
        label, ids = rows[i]
        length = _common(common, ids) if label == rows[together[0]][0] else 0
        if 2 * length < max(len(ids), len(common)):
            read += _close(together, len(common), cuts)
            together, common = [i], ids
        else:
            together.append(i)
            common = ids[:length]
    read += _close(together, len(common), cuts)
    return cuts if 4 * (sum(cuts) - read) >= sum(whole) else whole


def _close(together: Sequence[int], common: int, cuts: list[int]) -> int:
    """Set where the rows of a group are cut; the tokens that are read for them then."""
    cut = min(common, *(cuts[i] for i in together), cuts[together[0]])
    for i in together:
        cuts[i] = cut
    return cut


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    """How many first tokens both have."""
    pairs = zip(one, other, strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


class PlainCausalState:
    """Rows of a causal model whose cache is more than keys and values of all columns: those longer
    than its sliding window, or any where it keeps a state.

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


def columns_behind_prompts(backbone: Backbone) -> float:
    """Up to how many columns, the prompt's included, a causal model can go on from a cached prompt
    with gaps between the columns; 0 where it cannot."""
    accepted = inspect.signature(backbone.model.base_model.forward).parameters
    # GPT-Neo's local window counts columns, gaps included
    local = "local" in getattr(backbone.model.config, "attention_layers", ())
    if "position_ids" not in accepted or local:
        return 0
    return most_columns(backbone.model)


def _distinct(rows: Sequence[Source], device: torch.device) -> tuple[list[Source], Tensor]:
    """The different rows, and each row's place [B] among them."""
    places: dict[Source, int] = {}
    for row in rows:
        places.setdefault(row, len(places))
    return list(places), torch.tensor([places[row] for row in rows], device=device)
