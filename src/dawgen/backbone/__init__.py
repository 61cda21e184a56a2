"""The frozen language model: loading, tokens, scores, models with a short name, their cache."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dawgen.backbone.load import load_backbone
    from dawgen.backbone.model import Backbone, TokenScores

__all__ = ["Backbone", "TokenScores", "load_backbone"]


def __getattr__(name: str) -> Any:
    """Names are loaded when first used: the list of known backbones must not wait for torch."""
    if name not in __all__:
        raise AttributeError(f"module 'dawgen.backbone' has no attribute {name!r}")
    home = "load" if name == "load_backbone" else "model"
    return getattr(import_module(f"dawgen.backbone.{home}"), name)
