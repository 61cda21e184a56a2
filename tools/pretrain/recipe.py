"""A recipe: everything that decides what a run learns, read from YAML."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import yaml


@dataclass(frozen=True)
class Group:
    """Rows of one kind of loss in every step."""

    rows: int
    kinds: dict[str, float]
    weight: float = 1.0
    freeze_encoder: bool = False
    end_weight: float = 1.0
    contrast: float = 0.0  # weight of the contrast between labels; 0 scores no rival
    rival_share: float = 1.0  # share of the steps in which rivals are scored
    smoothing: float = 0.0


@dataclass(frozen=True)
class Recipe:
    """One phase of training. ``steps`` counts from the run's very beginning."""

    groups: dict[str, Group]
    steps: int
    decay_from: int
    seed: int = 1
    encoder_rate: float = 1e-4
    embedding_rate: float = 1e-4
    decoder_rate: float = 4e-4
    warm_up: int = 100
    frozen_layers: int = 0  # encoder layers, from the bottom, that get no gradient
    weight_decay: float = 0.01
    clip: float = 1.0
    batch_tokens: int = 4096
    pool: int = 16  # steps whose rows are drawn together and sorted by length
    wikipedia_lines: int = 200_000
    floor: float = 0.02
    data: dict[str, str] = field(default_factory=dict)

    def rate(self, step: int) -> float:
        """The learning rates' factor: warm-up, constant, linear decay from ``decay_from``."""
        warm = min(1.0, (step + 1) / max(self.warm_up, 1))
        left = (self.steps - step) / max(self.steps - self.decay_from, 1)
        return max(self.floor, min(warm, left, 1.0))


def read_recipe(path: Path) -> Recipe:
    """Read a recipe; an unknown key is an error."""
    raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    raw["groups"] = {name: Group(**group) for name, group in raw["groups"].items()}
    return Recipe(**raw)
