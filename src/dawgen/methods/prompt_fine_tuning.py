"""Prompt-based fine-tuning: template and label words, all weights tuned (LM-BFF, Gao et al. 2021).

As published: the cross-entropy over the label words, one template, 1,000 steps, the checkpoint
chosen on 16 development shots per label. Different: Adafactor at 1e-4 by default, as is common for
T5 (LM-BFF: AdamW at 1e-5 to 3e-5 for RoBERTa, chosen on the development shots), a constant rate,
no demonstrations in the input and no search for template or label words.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from dawgen.methods.base import Prediction, Task
from dawgen.methods.weights import WeightsJob, Words, label_rows, tune_weights
from dawgen.tuning.gradients import cross_entropy
from dawgen.tuning.rows import encode

if TYPE_CHECKING:
    from dawgen.backbone import Backbone
    from dawgen.settings import Settings
    from dawgen.streams import Streams
    from dawgen.tasks import Shots, TaskCard


def prompt_fine_tuning(
    task: Task, shots: Shots, backbone: Backbone, settings: Settings, streams: Streams
) -> Prediction:
    """The rows under weights tuned on the filled template."""
    start = torch.zeros(0, backbone.hidden_size)
    job = template_job(task.card, shots, backbone, start)
    tuned = tune_weights(job, backbone, settings, streams)
    return label_rows(job, tuned, backbone.encode_rows(task.card, task.rows, 0), settings)


def template_job(card: TaskCard, shots: Shots, backbone: Backbone, start: Tensor) -> WeightsJob:
    """The few shots through the card's template, behind a soft prompt [P,H] (P may be 0)."""
    train, dev = (encode(card, rows, backbone, start.shape[0]) for rows in shots)
    return WeightsJob(card, train, dev, backbone.label_word_ids(card), word_losses, start)


def word_losses(
    backbone: Backbone,
    prompts: Tensor,
    ids: Sequence[Sequence[int]],
    targets: Tensor,
    words: Words,
) -> Tensor:
    """Cross-entropy [B] over the label words."""
    return cross_entropy(backbone.label_scores(prompts, ids, words), targets)
