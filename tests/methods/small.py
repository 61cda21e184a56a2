"""What the methods' tests share: tasks, settings, and a scorer through plain transformers."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from dawgen.backbone import Backbone
from dawgen.methods import Task
from dawgen.settings import Settings
from dawgen.settings.layers import build_settings
from dawgen.tasks import Row, Shots, TaskCard, load_card
from tests.tuning.toy import CUES, FILLERS, toy_card, toy_rows

MODELS = ["tiny_bart", "tiny_t5", "tiny_gpt2"]


def sentence_task(rows: Sequence[Row] = ()) -> Task:
    """The toy sentiment task of one text a row."""
    return Task(toy_card(), rows or toy_rows(6, seed=3), Path("unused"))


def sentence_shots(count: int = 8) -> Shots:
    """Rows for training, and others for choosing."""
    return Shots(toy_rows(count, seed=1), toy_rows(count, seed=2))


def short_rows(
    count: int, seed: int, labels: Sequence[str] = ("positive", "negative")
) -> list[Row]:
    """Two words, the second of which tells the label: learnt in a dozen steps."""
    stream = random.Random(seed)
    return [
        Row(f"{stream.choice(FILLERS)} {['good', 'bad'][i % 2]}", None, labels[i % 2])
        for i in range(count)
    ]


def pair_card() -> TaskCard:
    """RTE: two labels, one of whose names ends with the other's."""
    return load_card("rte")


def pair_rows(count: int, seed: int) -> list[Row]:
    """Pairs whose label is told by a word of the second text."""
    stream = random.Random(seed)
    cues = dict(zip(pair_card().labels, CUES.values(), strict=True))
    rows = []
    for place in range(count):
        label = pair_card().labels[place % 2]
        first = " ".join(stream.choices(FILLERS, k=stream.randint(2, 5)))
        second = [*stream.choices(FILLERS, k=stream.randint(1, 4)), stream.choice(cues[label])]
        rows.append(Row(first, " ".join(second), label))
    return rows


def pair_task(rows: Sequence[Row] = ()) -> Task:
    """The toy task of two texts a row."""
    return Task(pair_card(), rows or pair_rows(6, seed=3), Path("unused"))


def pair_shots(count: int = 8) -> Shots:
    """Rows for training, and others for choosing."""
    return Shots(pair_rows(count, seed=1), pair_rows(count, seed=2))


def small_settings(*overrides: str) -> Settings:
    """A few steps, whatever the preset says; ``overrides`` as on the command line."""
    small = [
        "tuning.prompt_length=3",
        "tuning.init=vocabulary",
        "methods.fine_tuning.optimizer=adafactor",
        "methods.fine_tuning.learning_rate=1e-4",
        "methods.fine_tuning.prompt_learning_rate=0.01",
        "methods.fine_tuning.max_grad_norm=1",
        "methods.fine_tuning.steps=3",
        "methods.fine_tuning.eval_every=2",
        "methods.fine_tuning.batch_size=4",
    ]
    return build_settings(overrides=[*small, *overrides])[0]


@torch.no_grad()
def reference(backbone: Backbone, text: str, answers: Sequence[str], end: str = "") -> Tensor:
    """p(answer) [C] of a text: one row and one answer at a time, the whole vocabulary's logits.

    Args:
        answers: as they stand behind the text; a causal model reads them with it.
        end: what is read and scored behind each answer.
    """
    model, tokenizer = backbone.model, backbone.tokenizer
    sums = []
    for answer in answers:
        if model.config.is_encoder_decoder:
            source = tokenizer(text).input_ids
            target = tokenizer(answer + end, add_special_tokens=False).input_ids
            decoder = [model.config.decoder_start_token_id, *target[:-1]]
            logits = model(
                input_ids=torch.tensor([source]), decoder_input_ids=torch.tensor([decoder])
            ).logits[0]
        else:
            source = tokenizer(text).input_ids
            target = tokenizer(text + answer + end).input_ids[len(source) :]
            logits = model(input_ids=torch.tensor([[*source, *target]])).logits[0]
            logits = logits[len(source) - 1 : -1]
        log_probs = torch.log_softmax(logits, dim=-1)
        sums.append(sum(log_probs[i, token] for i, token in enumerate(target)))
    return torch.softmax(torch.stack(sums), dim=0)


def words_behind(backbone: Backbone, card: TaskCard) -> list[str]:
    """The label words as they stand behind the template, for :func:`reference`."""
    space = "" if backbone.is_encoder_decoder else " "
    return [space + card.label_words[label] for label in card.labels]
