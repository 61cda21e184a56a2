"""Pair tasks of two and three labels for the methods' tests."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import torch

from dawgen.backbone import Backbone
from dawgen.methods import Source, Task
from dawgen.settings import Settings
from dawgen.tasks import Row, Shots, TaskCard, load_card

WORDS = ["the", "a", "man", "dog", "cat", "film", "park", "house", "it", "was", "very", "old"]


def three_way() -> TaskCard:
    """Entailment, neutral, contradiction: yes, maybe, no."""
    return load_card("snli")


def two_way(name: str = "mrpc") -> TaskCard:
    """Equivalent or not: yes, no."""
    return load_card(name)


def pair_rows(card: TaskCard, count: int, seed: int, words: Sequence[str] = WORDS) -> list[Row]:
    """Rows of random words, labels in turn."""
    stream = random.Random(seed)

    def text() -> str:
        return " ".join(stream.choices(words, k=stream.randint(2, 6)))

    return [Row(text(), text(), card.labels[i % len(card.labels)]) for i in range(count)]


def bare(rows: Sequence[Row]) -> list[Row]:
    """The rows without their labels."""
    return [Row(row.text1, row.text2, None) for row in rows]


def toy_shots(card: TaskCard) -> Shots:
    """A few rows to train on and a few others to choose by."""
    return Shots(pair_rows(card, 6, 1), pair_rows(card, 6, 2))


def toy_task(folder: Path, card: TaskCard, source: TaskCard | None = None) -> Task:
    """Ten rows to label, twelve unlabelled ones and, where a card is given, a source."""
    return Task(
        card,
        bare(pair_rows(card, 10, 3)),
        folder,
        unlabelled=bare(pair_rows(card, 12, 4)),
        source=Source(source, pair_rows(source, 20, 5)) if source else None,
    )


def small(**methods: dict[str, object]) -> Settings:
    """Settings of a few steps; the methods' own sections on top."""
    sections: dict[str, dict[str, object]] = {
        "ppt": {
            "steps": 3,
            "batch_size": 6,
            "warmup_steps": 2,
            "tuning_epochs": 2,
            "tuning_batch_size": 4,
        },
        "spot": {"steps": 3, "batch_size": 4, "learning_rate": 0.05},
        "optima": {"steps": 4, "batch_size": 4, "eval_every": 2, "learning_rate": 0.05},
    }
    for name, changes in methods.items():
        sections[name] = {**sections[name], **changes}
    tuning = {
        "prompt_length": 4,
        "optimizer": "adamw",
        "learning_rate": 0.05,
        "batch_size": 4,
        "steps": 2,
        "eval_every": 1,
    }
    return Settings.model_validate({"tuning": tuning, "methods": sections})


def weights_of(backbone: Backbone) -> dict[str, torch.Tensor]:
    """A copy of all the backbone's weights."""
    return {name: weight.clone() for name, weight in backbone.model.state_dict().items()}


def assert_unchanged(backbone: Backbone, before: dict[str, torch.Tensor]) -> None:
    """The backbone is bit for bit what it was."""
    after = backbone.model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not any(weight.requires_grad for weight in backbone.model.parameters())
