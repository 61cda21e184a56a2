"""Label words of several tokens: each row is read once, and the words behind what was read."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from dawgen.backbone.recompute import is_recomputed

if TYPE_CHECKING:
    from dawgen.backbone.head import Head
    from dawgen.backbone.model import Backbone

Beginning = tuple[int, ...]
"""The first tokens of a word; none is one too."""
Read = Callable[[Beginning], Tensor]
"""N tokens behind B rows -> hidden states [B,1+N,H]: before the first token, then after each."""


def beginnings_to_read(words: Sequence[Sequence[int]]) -> list[Beginning]:
    """What must be read so that every token of every word is predicted; none begins another.

    A word's last token is predicted, never read.
    """
    chosen: list[Beginning] = []
    for beginning in sorted({tuple(word[:-1]) for word in words}, key=len, reverse=True):
        if not any(longer[: len(beginning)] == beginning for longer in chosen):
            chosen.append(beginning)
    return chosen


def word_log_probs(words: Sequence[Sequence[int]], read: Read, head: Head) -> Tensor:
    """log p(word | row) [B,C]; beginnings that words share are read, and read out, once."""
    states: dict[Beginning, Tensor] = {}  # [B,H] after each beginning
    for beginning in beginnings_to_read(words):
        hidden = read(beginning)
        states |= {beginning[:n]: hidden[:, n] for n in range(hidden.shape[1])}
    following: dict[Beginning, list[int]] = {}
    for word in words:
        for n, token in enumerate(word):
            tokens = following.setdefault(tuple(word[:n]), [])
            tokens += [token] if token not in tokens else []
    # One readout of the vocabulary for each state: log p of its other tokens is as far from the
    # first one's as their logits are.
    hidden = torch.stack([states[beginning] for beginning in following])  # [S,B,H]
    firsts = torch.tensor([tokens[0] for tokens in following.values()], device=hidden.device)
    rows = hidden.shape[1]
    log_probs = head.log_probs(hidden.flatten(0, 1), firsts.repeat_interleave(rows)).view(-1, rows)
    steps: dict[Beginning, Tensor] = {}  # log p [B] of each beginning's last token
    for place, (beginning, tokens) in enumerate(following.items()):
        logits = head.logits(hidden[place], torch.tensor(tokens, device=hidden.device))
        found = logits - logits[:, :1] + log_probs[place][:, None]
        steps |= {(*beginning, token): found[:, i] for i, token in enumerate(tokens)}
    sums = [
        torch.stack([steps[tuple(word[: n + 1])] for n in range(len(word))]).sum(0)
        for word in words
    ]
    return torch.stack(sums, dim=1)


def behind_rows(
    backbone: Backbone, prompts: Tensor | None, inputs: Sequence[Sequence[int]]
) -> Read | None:
    """Reads behind a causal model's rows, whose keys and values are computed here, once.

    None where the model keeps something else than keys and values, or where layers are computed
    again for the backward pass, which would add to the keys and values a second time.
    """
    model = backbone.model.base_model
    if torch.is_grad_enabled() and is_recomputed(model):
        return None
    if prompts is None:
        prompts = torch.zeros(len(inputs), 0, backbone.hidden_size)
    rows = backbone.generation_inputs(prompts, inputs)  # padded on the left: no gap in between
    mask: Tensor = rows["attention_mask"]
    takes_positions = "position_ids" in inspect.signature(model.forward).parameters

    def run(vectors: Tensor, mask: Tensor, cache: DynamicCache | None) -> Any:
        positions = (mask.cumsum(1) - 1).clamp(min=0)[:, -vectors.shape[1] :]
        return model(
            inputs_embeds=vectors,
            attention_mask=mask,
            past_key_values=cache,
            use_cache=True,
            return_dict=True,
            **({"position_ids": positions} if takes_positions else {}),
        )

    out = run(rows["inputs_embeds"], mask, None)
    cache = getattr(out, "past_key_values", None)
    plain = (DynamicLayer, DynamicSlidingWindowLayer)
    if not isinstance(cache, DynamicCache) or any(type(kept) not in plain for kept in cache.layers):
        return None
    last: Tensor = out.last_hidden_state[:, -1:]

    def read(beginning: Beginning) -> Tensor:
        if not beginning:
            return last
        ids = torch.tensor([beginning], device=backbone.device).expand(len(inputs), -1)
        seen = torch.cat([mask, torch.ones_like(ids)], dim=1)
        behind = run(backbone.embed(ids), seen, _branch(cache))
        return torch.cat([last, behind.last_hidden_state], dim=1)

    return read


def _branch(cache: DynamicCache) -> DynamicCache:
    """A cache that goes on from this one, which stays as it is: layers put new tensors in place."""
    branch = copy.copy(cache)
    branch.layers = [copy.copy(layer) for layer in cache.layers]
    return branch
