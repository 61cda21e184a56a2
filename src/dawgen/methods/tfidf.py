"""TF-IDF and logistic regression: what counting words can learn from the few shots.

Not in the paper. It needs no language model, so it shows how much of a task depends on the words
alone. Each text's words and pairs of words are features of their own; a pair task has the share
of words that the two texts have in common, and the ratio of their lengths, beside them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from dawgen.backbone import Backbone
from dawgen.errors import UserError
from dawgen.methods.base import Prediction, Task
from dawgen.selection.words import WordCounts
from dawgen.settings import Settings
from dawgen.streams import Streams
from dawgen.tasks import Row, Shots, TaskCard

REGULARISATION = (0.1, 1.0, 10.0, 100.0)  # logistic regression's C, strong to weak

Probabilities = npt.NDArray[np.float32]


def tfidf(
    task: Task, shots: Shots, backbone: Backbone, settings: Settings, streams: Streams
) -> Prediction:
    """The rows by a logistic regression whose C is best on the development shots.

    The better has the higher accuracy there, then the lower loss, then the smaller C. Nothing is
    drawn, so the seed enters by the shots alone.
    """
    from sklearn.linear_model import LogisticRegression

    card = task.card
    if not shots.train or not shots.dev:
        raise UserError(f"{card.name}: TF-IDF needs rows to learn and to choose from.")
    features = WordCounts.learn(card, shots.train)
    train, dev = features.of(shots.train), features.of(shots.dev)
    gold, dev_gold = _label_numbers(card, shots.train), _label_numbers(card, shots.dev)
    candidates = []
    for strength in REGULARISATION:
        model = LogisticRegression(C=strength, max_iter=1000).fit(train, gold)
        found = _probabilities(model, dev, len(card.labels))
        accuracy = float((found.argmax(axis=1) == dev_gold).mean())
        right = found[np.arange(len(dev_gold)), dev_gold]
        loss = float(-np.log(right.clip(min=1e-12)).mean())
        candidates.append((accuracy, loss, strength, model))
    accuracy, loss, strength, model = min(candidates, key=lambda each: (-each[0], each[1]))
    details = {
        "C": strength,
        "dev_accuracy": accuracy,
        "dev_loss": loss,
        "features": int(train.shape[1]),
    }
    if not task.rows:
        return Prediction(np.zeros((0, len(card.labels)), np.float32), details)
    found = _probabilities(model, features.of(task.rows), len(card.labels))
    return Prediction(found, details)


def _label_numbers(card: TaskCard, rows: Sequence[Row]) -> npt.NDArray[np.int64]:
    return np.array([card.label_index(str(row.label)) for row in rows])


def _probabilities(model: Any, features: Any, labels: int) -> Probabilities:
    """[N,C], zero for a label that no training row has."""
    found = np.zeros((features.shape[0], labels), dtype=np.float32)
    found[:, model.classes_] = model.predict_proba(features)
    return found
