"""The backbone as it comes: the card's template, its label words, and nothing learnt.

The paper's "zero-shot" row. The few shots are not looked at, so only the templates can differ
from theirs, which are not published in full.
"""

from __future__ import annotations

from dawgen.backbone import Backbone
from dawgen.methods.base import Prediction, Task, label_by_prompt
from dawgen.settings import Settings
from dawgen.streams import Streams
from dawgen.tasks import Shots


def zero_shot(
    task: Task, shots: Shots, backbone: Backbone, settings: Settings, streams: Streams
) -> Prediction:
    """p(label word | template) of every row."""
    return label_by_prompt(task, None, backbone, settings)
