"""What synthesis asks of an engine and gets back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Request:
    """One text to write: continue ``source`` ("" for nothing) under the label's prompt.

    ``seed`` names the request's own random numbers: the text depends on it, not on which
    other requests share the batch.
    """

    source: str
    label: int
    seed: int


@dataclass(frozen=True, slots=True)
class Generation:
    """A written text, how many tokens it took (end mark included), and if it ended by itself."""

    text: str
    tokens: int
    finished: bool


@dataclass(frozen=True, slots=True)
class Decoding:
    """How the next token is chosen.

    In this order: the penalty divides (or, where negative, multiplies) the logits of tokens
    the text already holds (Keskar et al. 2019), the temperature divides all of them, the
    ``top_k`` largest stay, one of these is sampled.

    Attributes:
        temperature: 0 is greedy.
        top_k: 0 is the whole vocabulary.
        repetition_penalty: 1 is none. Only the text being written counts, not its source.
        max_new_tokens: longest text, end mark included.
        batch_size: rows decoded at once; changes speed and memory only.
    """

    temperature: float = 1.0
    top_k: int = 10
    repetition_penalty: float = 1.0
    max_new_tokens: int = 50
    batch_size: int = 64


class Engine(Protocol):
    """Anything that samples texts under label prompts."""

    def generate(self, requests: Sequence[Request]) -> list[Generation]:
        """One generation a request, in the requests' order."""
        ...
