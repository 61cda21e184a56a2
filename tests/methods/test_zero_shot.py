"""Zero-shot scores are the model's own."""

from __future__ import annotations

import numpy as np
import pytest

from dawgen.backbone import Backbone
from dawgen.methods import Task
from dawgen.methods.zero_shot import zero_shot
from dawgen.streams import Streams
from tests.methods.small import (
    MODELS,
    pair_shots,
    pair_task,
    reference,
    sentence_shots,
    sentence_task,
    small_settings,
    words_behind,
)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("long_words", [False, True])
def test_scores_are_those_of_plain_transformers(
    name: str, long_words: bool, request: pytest.FixtureRequest
) -> None:
    backbone: Backbone = request.getfixturevalue(name)
    task = sentence_task()
    if long_words:
        words = {"positive": "yes great", "negative": "no bad"}
        task = Task(task.card.model_copy(update={"label_words": words}), task.rows, task.folder)
    found = zero_shot(task, sentence_shots(), backbone, small_settings(), Streams(13))
    expected = [
        reference(backbone, task.card.fill(row), words_behind(backbone, task.card)).numpy()
        for row in task.rows
    ]
    logs = np.log(found.probabilities)  # a random T5 is sure of all it says
    np.testing.assert_allclose(logs, np.log(expected), atol=1e-4)
    assert np.ptp(logs) > 0.1


def test_pairs_are_scored_and_shots_change_nothing(tiny_bart: Backbone) -> None:
    task = pair_task()
    one = zero_shot(task, pair_shots(4), tiny_bart, small_settings(), Streams(13)).probabilities
    other = zero_shot(task, pair_shots(8), tiny_bart, small_settings(), Streams(42)).probabilities
    assert one.shape == (6, 2)
    assert one.tobytes() == other.tobytes()
