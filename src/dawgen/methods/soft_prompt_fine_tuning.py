"""Prompt-based fine-tuning with a soft prompt in front: all weights and the prompt are tuned.

The paper's own row; it publishes no settings for it. Ours: everything as in
:mod:`dawgen.methods.prompt_fine_tuning`, and a prompt of the length, start and weight decay that
``settings.tuning`` names, which moves at a rate of its own (Lester et al. 2021: 0.3).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dawgen.methods.base import Prediction, Task
from dawgen.methods.prompt_fine_tuning import template_job
from dawgen.methods.weights import label_rows, tune_weights
from dawgen.tuning.start import start_prompt

if TYPE_CHECKING:
    from dawgen.backbone import Backbone
    from dawgen.settings import Settings
    from dawgen.streams import Streams
    from dawgen.tasks import Shots


def soft_prompt_fine_tuning(
    task: Task, shots: Shots, backbone: Backbone, settings: Settings, streams: Streams
) -> Prediction:
    """The rows under weights and a prompt [P,H] tuned together."""
    start = start_prompt(backbone, task.card, settings.tuning, streams.root)
    job = template_job(task.card, shots, backbone, start)
    tuned = tune_weights(job, backbone, settings, streams)
    inputs = backbone.encode_rows(task.card, task.rows, start.shape[0])
    return label_rows(job, tuned, inputs, settings)
