"""The seam between synthesis and whoever decodes."""

from __future__ import annotations

from dawgen.synthesis.engines.base import Decoding, Engine, Generation, Request
from dawgen.synthesis.engines.choose import choose_engine
from dawgen.synthesis.engines.from_settings import decoding_of
from dawgen.synthesis.engines.transformers import TransformersEngine

__all__ = [
    "Decoding",
    "Engine",
    "Generation",
    "Request",
    "TransformersEngine",
    "choose_engine",
    "decoding_of",
]
