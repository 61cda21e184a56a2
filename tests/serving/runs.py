"""Finished runs made of other ones: with another prompt, or another shipped choice."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dawgen.backbone import load_backbone
from dawgen.prompts import random_normal, save_prompt
from dawgen.selection.heads import LinearHead, Recipe, Training
from dawgen.selection.parts import HeadPart, Kind, Models, Part, PromptPart
from dawgen.selection.store import Choice
from dawgen.settings.layers import build_settings
from dawgen.tasks import Row, load_card
from tests.invariants.jobs import rows

PAIRS = [(row["premise"], row["hypothesis"]) for row in rows(0, 40)]
TRAIN = [Row(row["premise"], row["hypothesis"], row["verdict"]) for row in rows(60, 16)]


def other_prompt(run: Path, name: str, seed: int) -> Path:
    """A copy of a run, with another prompt."""
    copied = shutil.copytree(run, run.parent / name)
    settings, _ = build_settings(file=copied / "config.yaml")
    backbone = load_backbone(settings.backbone)
    prompt = random_normal(backbone.table().detach(), 5, np.random.default_rng(seed))
    shutil.rmtree(copied / "prompt")
    save_prompt(4 * prompt, copied / "prompt", backbone)
    return copied


def choosing(run: Path, name: str, *kinds: Kind, groups: Sequence[int] = ()) -> Path:
    """A copy of a run that ships the mean of these, those of one group multiplied."""
    copied = shutil.copytree(run, run.parent / name)
    settings, _ = build_settings(file=copied / "config.yaml")
    models = Models(load_card(str(copied / "task.yaml")), settings)
    choice = Choice(name, [_part(kind, models) for kind in kinds], groups)
    choice.save(copied / "choice", models, {})
    return copied


def _part(kind: Kind, models: Models) -> Part:
    if kind == "prompt":
        return PromptPart("zero-shot", None, models)
    recipe: Recipe = models.recipe(kind)
    training = Training.of(recipe, models.card, TRAIN)
    head: LinearHead = training.head(1.0)
    return HeadPart(kind, kind, training.features, head)
