"""The backbone as it comes: the card's template, its label words, and nothing learnt.

The paper's "zero-shot" row. The few shots are not looked at, so only the templates can differ
from theirs, which are not published in full.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dawgen.evaluation import predict
from dawgen.methods.base import Prediction, Task

if TYPE_CHECKING:
    from dawgen.backbone import Backbone
    from dawgen.settings import Settings
    from dawgen.streams import Streams
    from dawgen.tasks import Shots


def zero_shot(
    task: Task, shots: Shots, backbone: Backbone, settings: Settings, streams: Streams
) -> Prediction:
    """p(label word | template) of every row."""
    tokens = settings.evaluation.tokens_per_batch
    return Prediction(predict(backbone, task.card, None, task.rows, tokens_per_batch=tokens))
