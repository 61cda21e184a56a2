"""A frozen language model behind one small interface."""

from dawgen.backbone.load import load_backbone
from dawgen.backbone.model import Backbone, TokenScores

__all__ = ["Backbone", "TokenScores", "load_backbone"]
