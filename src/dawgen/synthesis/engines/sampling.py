"""Choosing the next token, as a logits processor."""

from __future__ import annotations

import torch
from torch import Tensor
from transformers import LogitsProcessor

from dawgen.synthesis.engines.base import Decoding
from dawgen.synthesis.engines.noise import gumbel


class Sampler(LogitsProcessor):
    """Leaves one token standing: what greedy search then takes was sampled here.

    Doing every step of the choice in one place keeps the model's own generation settings
    (forced tokens, penalties over the start mark...) out of it, and is the reference that
    another engine has to match.
    """

    def __init__(self, allowed: Tensor, seeds: Tensor, decoding: Decoding, start: int) -> None:
        """
        Args:
            allowed: [V] bool, tokens that may be written (ordinary ones and the end mark).
            seeds: [B] int64, one a row.
            start: columns of the ids that come before the text (the decoder's start mark).
        """
        self.allowed = allowed
        self.seeds = seeds
        self.decoding = decoding
        self.start = start

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """input_ids [B,T] so far, scores [B,V] raw logits -> 0 at the chosen token, else -inf."""
        chosen = self.choose(input_ids[:, self.start :], scores)
        out = torch.full_like(scores, -torch.inf)
        return out.scatter_(1, chosen[:, None], 0.0)

    def choose(self, written: Tensor, scores: Tensor) -> Tensor:
        """written [B,t] token ids, scores [B,V] raw logits -> chosen token ids [B]."""
        logits = scores.float()
        if self.decoding.repetition_penalty != 1.0 and written.shape[1]:
            logits = _penalise(logits, written, self.decoding.repetition_penalty)
        logits = logits.masked_fill(~self.allowed, -torch.inf)
        if self.decoding.temperature == 0:
            return logits.argmax(dim=-1)
        if self.decoding.top_k:
            logits, tokens = logits.topk(min(self.decoding.top_k, logits.shape[1]), dim=-1)
        else:
            tokens = torch.arange(logits.shape[1], device=logits.device).expand_as(logits)
        noise = gumbel(self.seeds, written.shape[1], tokens)
        best = (logits / self.decoding.temperature + noise).argmax(dim=-1, keepdim=True)
        return tokens.gather(1, best)[:, 0]


def _penalise(logits: Tensor, written: Tensor, penalty: float) -> Tensor:
    """Tokens already written become less likely (Keskar et al. 2019, equation of §4.1)."""
    held = logits.gather(1, written)
    held = torch.where(held < 0, held * penalty, held / penalty)
    return logits.scatter(1, written, held)
