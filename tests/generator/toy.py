"""A transparent stand-in for a backbone: a unigram model that a label's prompt tilts.

log p(x | Q_l) is a log-softmax over the vocabulary of GAIN times the mean of the prompt's
vectors; the hidden state after a token is that token's own axis, plus a little of the prompt.
So a prompt can raise words but not say where, and two texts are alike as far as they share words.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from dawgen.backbone.model import TokenScores
from dawgen.backbone.packed import SharedPrompts, shared

GAIN = 5.0
LEAK = 0.1


class ToyBackbone:
    """What :func:`dawgen.generator.fit_generator` asks of a backbone, for words of a list."""

    device = torch.device("cpu")
    dtype = torch.float32
    name = "tests/toy"
    is_encoder_decoder = True
    is_packed = False

    def __init__(self, words: Sequence[str]) -> None:
        self.vocabulary = {word: i for i, word in enumerate(["<end>", *words])}
        self.hidden_size = len(self.vocabulary)

    def text_ids(self, text: str) -> list[int]:
        return [self.vocabulary[word] for word in text.split()]

    def embed(self, ids: Tensor) -> Tensor:
        return 0.1 * torch.eye(self.hidden_size)[ids]

    def encode_source(self, text: str, prompt_length: int, frame: None = None) -> list[int]:
        return self.text_ids(text)

    def rate_unit(self, unit: str) -> float:
        return 1.0

    @contextmanager
    def warning_of_cut_sources(self, work: str, sources: int) -> Iterator[None]:
        yield

    def text_room(self, prompt_length: int, frame: None = None) -> None:
        return None

    def encode_target(self, text: str, source: str = "", frame: None = None) -> list[int]:
        return [*self.text_ids(text), 0]

    @contextmanager
    def eager_attention(self) -> Iterator[None]:
        yield

    def token_log_probs(
        self,
        prompts: Tensor | SharedPrompts,
        sources: Sequence[list[int]],
        targets: Sequence[list[int]],
    ) -> TokenScores:
        width = max(map(len, targets))
        ids = torch.tensor([[*t, *[0] * (width - len(t))] for t in targets])
        mask = torch.tensor([[True] * len(t) + [False] * (width - len(t)) for t in targets])
        tilt = shared(prompts).each().mean(1)
        log_probs = (GAIN * tilt).log_softmax(-1).gather(1, ids) * mask
        hidden = (torch.eye(self.hidden_size)[ids] + LEAK * tilt[:, None]) * mask[..., None]
        return TokenScores(log_probs, mask, hidden)
