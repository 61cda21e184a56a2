"""Sampling text under label prompts: engines, sampling rules, caches."""

from __future__ import annotations

from dawgen.decoding.base import Decoding, Engine, Generation, Request
from dawgen.decoding.choose import choose_engine, decoding_of
from dawgen.decoding.transformers import TransformersEngine

__all__ = [
    "Decoding",
    "Engine",
    "Generation",
    "Request",
    "TransformersEngine",
    "choose_engine",
    "decoding_of",
]
