"""Fine-tuning: a text-to-text classifier without a template (T5, Raffel et al. 2020).

The model reads the two texts joined and writes the label's name; all weights are tuned on the
log-probability of that name, over the whole vocabulary. The texts are joined by the model's end
mark, as T5's tokenizer joins a pair, so that short captions without a full stop do not
run into one another; a causal model, which would stop there, reads each on a line of its own.

Different from T5's own fine-tuning: no names of the task or the columns before the texts; the
name is not decoded freely, but the label is taken whose name and end mark are the likeliest, so
an answer is always a label; a row's loss is the sum over its name's tokens, not their mean, which
is what rows are labelled by.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from dawgen.methods.base import Prediction, Task
from dawgen.methods.weights import WeightsJob, Words, label_rows, tune_weights
from dawgen.tuning.rows import encode

if TYPE_CHECKING:
    from dawgen.backbone import Backbone
    from dawgen.settings import Settings
    from dawgen.streams import Streams
    from dawgen.tasks import Shots, TaskCard


def fine_tuning(
    task: Task, shots: Shots, backbone: Backbone, settings: Settings, streams: Streams
) -> Prediction:
    """The rows under weights tuned to write the label's name."""
    card = without_template(task.card, backbone)
    names = name_ids(card, backbone)
    room = 0 if backbone.is_encoder_decoder else 1  # for the end mark behind a causal model's name
    train, dev = (encode(card, rows, backbone, room) for rows in shots)
    job = WeightsJob(
        task.card, train, dev, names, name_losses, torch.zeros(0, backbone.hidden_size)
    )
    tuned = tune_weights(job, backbone, settings, streams)
    return label_rows(job, tuned, backbone.encode_rows(card, task.rows, room), settings)


def without_template(card: TaskCard, backbone: Backbone) -> TaskCard:
    """The card with its labels' names for words, and nothing in its template but the texts and
    what separates them."""
    if backbone.is_encoder_decoder:
        mark = backbone.tokenizer.convert_ids_to_tokens(backbone.end_id)
        template = f"{{text1}} {mark} {{text2}}" if card.is_pair else "{text1}"
    else:
        template = "{text1}\n{text2}\n" if card.is_pair else "{text1}\n"
    names = {label: label for label in card.labels}
    changes = {"template": template, "causal_template": None, "label_words": names}
    return card.model_copy(update=changes)


def name_ids(card: TaskCard, backbone: Backbone) -> list[list[int]]:
    """Token ids of each label's name and the end mark, for a card :func:`without_template`.

    The end mark takes away the lead of a name that another one starts with: "yes" alone is never
    less likely than "yes sir", but "yes" and the end may be.
    """
    return [[*name, backbone.end_id] for name in backbone.answer_ids(card)]


def name_losses(
    backbone: Backbone,
    prompts: Tensor,
    ids: Sequence[Sequence[int]],
    targets: Tensor,
    names: Words,
) -> Tensor:
    """-log p(name, end mark) [B] of each row's own label; targets [B,C] are one-hot."""
    own = [names[label] for label in targets.argmax(dim=1).tolist()]
    return -backbone.token_log_probs(prompts, ids, own).log_probs.sum(dim=1)
