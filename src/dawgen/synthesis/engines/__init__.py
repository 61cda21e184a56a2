"""The seam between synthesis and whoever decodes."""

from __future__ import annotations

from dawgen.synthesis.engines.base import Decoding, Engine, Generation, Request
from dawgen.synthesis.engines.transformers import TransformersEngine

__all__ = ["Decoding", "Engine", "Generation", "Request", "TransformersEngine"]
