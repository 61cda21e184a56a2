"""What synthesis asks of an engine and gets back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from dawgen.backbone import Backbone
from dawgen.backbone.frame import Frame, Turn


@dataclass(frozen=True, slots=True)
class Request:
    """One text to write: continue ``source`` ("" for nothing) under the label's prompt.

    ``seed`` names the request's own random numbers; ``turns`` are rows of the label that a causal
    model reads first.
    """

    source: str
    label: int
    seed: int
    turns: tuple[Turn, ...] = ()


@dataclass(frozen=True, slots=True)
class Generation:
    """A written text, how many tokens it took (end mark included), and if it ended by itself."""

    text: str
    tokens: int
    finished: bool


@dataclass(frozen=True, slots=True)
class Decoding:
    """How the next token is chosen.

    In this order: the penalty divides (or, where negative, multiplies) the scores of tokens the
    text already has (Keskar et al. 2019); tokens that may not be written, and before
    ``min_new_tokens`` the end mark, are excluded; the temperature divides the rest; the
    ``top_k`` largest stay, of these the likeliest that make up ``top_p`` (Holtzman et al.
    2020); one is sampled.

    Attributes:
        temperature: 0 is greedy.
        top_k: 0 is the whole vocabulary.
        top_p: 1 is all of them.
        repetition_penalty: 1 is none; one for all labels, or C, one per label. Only the text
            being written counts, not its source.
        min_new_tokens: tokens a text has at least, end mark not counted.
        max_new_tokens: tokens a text has at most, end mark included.
        batch_size: rows decoded at once; changes speed and memory, with ctranslate2 the texts too.
        frame: what a causal model reads around a source, and the token that ends its texts.
    """

    temperature: float = 1.0
    top_k: int = 10
    top_p: float = 1.0
    repetition_penalty: float | tuple[float, ...] = 1.0
    min_new_tokens: int = 0
    max_new_tokens: int = 50
    batch_size: int = 64
    frame: Frame | None = None

    def penalty(self, label: int) -> float:
        """The repetition penalty of texts under this label."""
        penalty = self.repetition_penalty
        return penalty[label] if isinstance(penalty, tuple) else penalty


class Engine(Protocol):
    """Anything that samples texts under label prompts."""

    name: str

    def generate(self, requests: Sequence[Request]) -> list[Generation]:
        """One generation a request, in the requests' order. The same requests, the same texts."""
        ...


def allowed_tokens(backbone: Backbone, frame: Frame | None = None) -> Tensor:
    """[V] bool: tokens that may be written. Specials, unknown and padding rows may not, nor, where
    a text ends with its line, other tokens with a line break in them.
    """
    size = int(backbone.head.weight.shape[0])
    allowed = torch.zeros(size, dtype=torch.bool)
    allowed[[i for i in backbone.ordinary_token_ids() if i < size]] = True
    if frame is not None and frame.ends_line:
        allowed[[i for i in backbone.line_break_ids() if i < size]] = False
    allowed[backbone.end_of(frame)] = True
    return allowed.to(backbone.device)


def read_ids(backbone: Backbone, ids: Sequence[int], frame: Frame | None = None) -> Generation:
    """A row of written ids as a text, cut at its end mark."""
    end = backbone.end_of(frame)
    finished = end in ids
    text = ids[: list(ids).index(end)] if finished else ids
    return Generation(backbone.decode(text), len(text) + finished, finished)


def encode_sources(
    backbone: Backbone, requests: Sequence[Request], prompt_length: int, frame: Frame | None = None
) -> list[tuple[int, ...]]:
    """Each request's source as token ids, every text encoded once."""
    texts = dict.fromkeys((request.source, request.turns) for request in requests)
    with backbone.warning_of_cut_sources("writing", len(texts)):
        ids = {
            (text, turns): tuple(backbone.encode_source(text, prompt_length, frame, turns))
            for text, turns in texts
        }
    return [ids[request.source, request.turns] for request in requests]
