"""Choosing the next token: the one place where a distribution becomes a choice."""

from __future__ import annotations

import torch
from torch import Tensor

from dawgen.decoding.base import Decoding
from dawgen.decoding.noise import gumbel


class Sampler:
    """Chooses tokens as a :class:`Decoding` says; the reference that other engines must match."""

    def __init__(self, allowed: Tensor, end_id: int, decoding: Decoding) -> None:
        """
        Args:
            allowed: [V] bool, tokens that may be written (ordinary ones and the end mark).
            end_id: the end mark.
        """
        self.forbidden = (~allowed).nonzero()[:, 0]
        self.end_id = end_id
        self.decoding = decoding

    def choose(self, scores: Tensor, written: Tensor, labels: Tensor, seeds: Tensor) -> Tensor:
        """The next token of every row.

        Args:
            scores: [B,V] logits, fp32, changed in place.
            written: [B,t] token ids so far.
            labels: [B] each row's label.
            seeds: [B] int64, each row's own random numbers.

        Returns:
            [B] token ids.
        """
        decoding, step = self.decoding, written.shape[1]
        if step:
            scores = self._penalised(scores, written, labels)
        scores.index_fill_(-1, self.forbidden, -torch.inf)
        if step < decoding.min_new_tokens:
            scores[:, self.end_id] = -torch.inf
        if decoding.temperature == 0:
            return scores.argmax(dim=-1)
        scores, tokens = self._candidates(scores)
        best = (scores + gumbel(seeds, step, tokens)).argmax(dim=-1, keepdim=True)
        return tokens.gather(1, best)[:, 0] if tokens.ndim == 2 else best[:, 0]

    def _candidates(self, scores: Tensor) -> tuple[Tensor, Tensor]:
        """Tempered scores [B,K] of the tokens [B,K] or [K] that may be sampled."""
        decoding, size = self.decoding, scores.shape[1]
        if decoding.top_k:
            scores, tokens = scores.topk(min(decoding.top_k, size), dim=-1)
        elif decoding.top_p < 1:
            scores, tokens = scores.sort(dim=-1, descending=True)
        else:
            tokens = torch.arange(size, device=scores.device)
        scores = scores / decoding.temperature
        if decoding.top_p < 1:  # sorted: a token stays while those before it are not enough
            shares = scores.softmax(dim=-1)
            scores = scores.masked_fill(shares.cumsum(-1) - shares >= decoding.top_p, -torch.inf)
        return scores, tokens

    def _penalised(self, scores: Tensor, written: Tensor, labels: Tensor) -> Tensor:
        """Tokens already written become less likely (Keskar et al. 2019, equation of §4.1)."""
        if self.decoding.repetition_penalty == 1.0:
            return scores
        penalty = torch.tensor(self.decoding.repetition_penalty, device=scores.device)
        penalty = penalty[labels][:, None] if penalty.ndim else penalty
        held = scores.gather(1, written)
        held = torch.where(held < 0, held * penalty, held / penalty)
        return scores.scatter(1, written, held)
