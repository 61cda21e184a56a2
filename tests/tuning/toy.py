"""A toy sentiment task that a prompt on a small random model can learn."""

from __future__ import annotations

import random

from dawgen.settings import TuningSettings
from dawgen.tasks import Row, TaskCard, load_card

CUES = {"positive": ["good", "funny"], "negative": ["bad", "boring"]}
FILLERS = ["the", "a", "man", "dog", "cat", "film", "movie", "park", "house", "it", "was", "very"]


def toy_card() -> TaskCard:
    """SST-2 with label words that are one token for every test backbone, and one template."""
    words = {"positive": "yes", "negative": "no"}
    changes = {"label_words": words, "causal_template": None}
    return load_card("sst2").model_copy(update=changes)


def toy_rows(count: int, seed: int, *, flipped: bool = False) -> list[Row]:
    """Sentences of 4 to 9 words, one of which tells the label (or its opposite)."""
    stream = random.Random(seed)
    labels = ["positive", "negative"]
    rows = []
    for place in range(count):
        label = labels[place % 2]
        words = stream.choices(FILLERS, k=stream.randint(3, 8))
        words.insert(stream.randrange(len(words) + 1), stream.choice(CUES[label]))
        rows.append(Row(" ".join(words), None, labels[1 - place % 2] if flipped else label))
    return rows


def toy_settings(**changes: object) -> TuningSettings:
    """A handful of steps, small enough for a test."""
    small = {
        "prompt_length": 4,
        "optimizer": "adamw",
        "learning_rate": 0.05,
        "batch_size": 4,
        "synthetic_batch_size": 6,
        "steps": 6,
        "eval_every": 3,
    }
    return TuningSettings.model_validate({**small, **changes})
