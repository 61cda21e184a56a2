"""Tuning all weights: without a template, with one, and with a soft prompt in front.

**Fine-tuning** is a text-to-text classifier without a template (T5, Raffel et al. 2020). The
model reads the two texts joined and writes the label's name; all weights are tuned on the
log-probability of that name, over the whole vocabulary. The texts are joined by the model's end
mark, as T5's tokenizer joins a pair, so that short captions without a full stop do not
run into one another; a causal model, which would stop there, reads each on a line of its own.

Different from T5's own fine-tuning: no names of the task or the columns before the texts; the
name is not decoded freely, but the label is taken whose name and end mark are the likeliest, so
an answer is always a label; a row's loss is the sum over its name's tokens, not their mean, which
is what rows are labelled by.

**Prompt-based fine-tuning** has a template and label words (LM-BFF, Gao et al. 2021). As
published: the cross-entropy over the label words, one template, 1,000 steps, the checkpoint
chosen on 16 development shots per label. Different: Adafactor at 1e-4 by default, as is common for
T5 (LM-BFF: AdamW at 1e-5 to 3e-5 for RoBERTa, chosen on the development shots), a constant rate,
no demonstrations in the input and no search for template or label words.

**With a soft prompt in front** it is the paper's own row, which publishes no settings. Ours: a
prompt of the length, start and weight decay that ``settings.tuning`` names, which moves at a rate
of its own (Lester et al. 2021: 0.3).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dawgen.backbone import Backbone
from dawgen.methods.base import Prediction, Task
from dawgen.methods.weights import WeightsJob, Words, label_rows, tune_weights
from dawgen.settings import Settings
from dawgen.streams import Streams
from dawgen.tasks import Shots, TaskCard
from dawgen.tuning.gradients import cross_entropy
from dawgen.tuning.rows import encode
from dawgen.tuning.start import start_prompt


def fine_tuning(
    task: Task, shots: Shots, backbone: Backbone, settings: Settings, streams: Streams
) -> Prediction:
    """The rows under weights tuned to write the label's name."""
    card = without_template(task.card, backbone)
    names = name_ids(card, backbone)
    room = 0 if backbone.is_encoder_decoder else 1  # for the end mark behind a causal model's name
    train, dev = (encode(card, rows, backbone, room) for rows in shots)
    none = torch.zeros(0, backbone.hidden_size)
    job = WeightsJob(task.card, train, dev, names, name_losses, none)
    tuned = tune_weights(job, backbone, settings, streams)
    return label_rows(job, tuned, backbone.encode_rows(card, task.rows, room), settings)


def prompt_fine_tuning(
    task: Task, shots: Shots, backbone: Backbone, settings: Settings, streams: Streams
) -> Prediction:
    """The rows under weights tuned on the filled template."""
    none = torch.zeros(0, backbone.hidden_size)
    return _through_template(none, task, shots, backbone, settings, streams)


def soft_prompt_fine_tuning(
    task: Task, shots: Shots, backbone: Backbone, settings: Settings, streams: Streams
) -> Prediction:
    """The rows under weights and a prompt [P,H] tuned together."""
    start = start_prompt(backbone, task.card, settings.tuning, streams.root)
    return _through_template(start, task, shots, backbone, settings, streams)


def _through_template(
    start: Tensor,
    task: Task,
    shots: Shots,
    backbone: Backbone,
    settings: Settings,
    streams: Streams,
) -> Prediction:
    job = template_job(task.card, shots, backbone, start)
    tuned = tune_weights(job, backbone, settings, streams)
    inputs = backbone.encode_rows(task.card, task.rows, start.shape[0])
    return label_rows(job, tuned, inputs, settings)


def template_job(card: TaskCard, shots: Shots, backbone: Backbone, start: Tensor) -> WeightsJob:
    """The few shots through the card's template, behind a soft prompt [P,H] (P may be 0)."""
    train, dev = (encode(card, rows, backbone, start.shape[0]) for rows in shots)
    return WeightsJob(card, train, dev, backbone.label_word_ids(card), word_losses, start)


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


def word_losses(
    backbone: Backbone,
    prompts: Tensor,
    ids: Sequence[Sequence[int]],
    targets: Tensor,
    words: Words,
) -> Tensor:
    """Cross-entropy [B] over the label words."""
    return cross_entropy(backbone.label_scores(prompts, ids, words), targets)
