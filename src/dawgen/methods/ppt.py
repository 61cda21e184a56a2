"""PPT: the prompt is pre-trained by next-sentence prediction, then tuned (Gu et al. 2022).

As published: pairs through the task's own template with its label words, three-way for three
labels; learning rate 0.1 with Noam decay, batch 64, 200,000 steps; then tuning at 0.05,
batch 8, 50 passes. One pre-trained prompt serves all seeds: its own seed is fixed.

Ours, where we differ:

- two-label tasks are pre-trained two-way, next sentence against another document;
- the packaged corpus is of single sentences, see :mod:`dawgen.methods.next_sentence`; the
  published one is 10 GB of OpenWebText;
- the optimiser and the prompt's start are those of ``settings.tuning``, the last step's prompt
  is kept, and the loss is over the label words instead of the whole vocabulary.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from dawgen.backbone import Backbone
from dawgen.errors import UserError
from dawgen.methods.base import Task, train
from dawgen.methods.next_sentence import Document, NextSentencePairs, kinds_of, read_documents
from dawgen.methods.prompted import PromptJob, at_constant_rate, on_real_rows
from dawgen.methods.stored import Trained, stored_prompt
from dawgen.settings import Settings, TuningSettings
from dawgen.storage.folder import fingerprint
from dawgen.streams import Streams, repeatable
from dawgen.tasks import Row, Shots, TaskCard
from dawgen.tuning.gradients import both_gradients, clip
from dawgen.tuning.rows import JoinedRows, encode
from dawgen.tuning.schedule import make_optimizer
from dawgen.tuning.start import start_prompt

SEED = 13  # of the pre-training, whatever the task's seed: one prompt serves them all
LOG_EVERY = 100


def prepare(
    task: Task, shots: Shots, backbone: Backbone, settings: Settings, streams: Streams
) -> PromptJob:
    """The few shots, started from the stored pre-trained prompt.

    Raises:
        UserError: no pairs, more than three labels, no usable corpus, or a loss that is not
            finite.
    """
    ppt = settings.methods.ppt
    a_pass = max(1, math.ceil(len(shots.train) / ppt.tuning_batch_size))
    tuning = at_constant_rate(
        settings.tuning,
        learning_rate=ppt.tuning_learning_rate,
        batch_size=ppt.tuning_batch_size,
        steps=ppt.tuning_epochs * a_pass,
        eval_every=a_pass,
    )
    return on_real_rows("ppt", shots, tuning, streams, pretrained(task, backbone, settings))


def pretrained(task: Task, backbone: Backbone, settings: Settings) -> Tensor:
    """The pre-trained prompt [P,H], from ``task.folder``; made where it is not there yet."""
    card = task.card
    kinds = kinds_of(card)
    documents = read_documents(settings.methods.ppt.corpus)
    own = {"corpus", "tuning_learning_rate", "tuning_batch_size", "tuning_epochs"}
    shared = {"prompt_length", "init", "optimizer", "max_grad_norm", "learning_rate_unit"}
    inputs = {
        "backbone": backbone.fingerprint,
        "max_length": backbone.max_length,
        "template": backbone.template(card),
        "kinds": [[kind, card.label_words[label]] for kind, label in kinds.items()],
        "label_words": [card.label_words[label] for label in card.labels],
        "corpus": fingerprint({"documents": documents}),
        "ppt": settings.methods.ppt.model_dump(mode="json", exclude=own),
        "tuning": settings.tuning.model_dump(mode="json", include=shared),
        "seed": SEED,
    }

    def make() -> Trained:
        return pretrain(card, documents, backbone, settings)

    return stored_prompt(task.folder / "ppt", inputs, backbone, make)


@repeatable()
def pretrain(
    card: TaskCard, documents: list[Document], backbone: Backbone, settings: Settings
) -> Trained:
    """Next-sentence prediction through the card's template; the last step's prompt [P,H]."""
    ppt, tuning = settings.methods.ppt, settings.tuning
    streams = Streams(SEED)
    pairs = NextSentencePairs(documents, kinds_of(card), streams.numpy("ppt", "pairs"))
    words = backbone.label_word_ids(card)
    start = start_prompt(backbone, card, tuning, SEED)
    prompt = nn.Parameter(start.to(backbone.device, torch.float32))
    optimizer = make_optimizer(tuning.optimizer, prompt, ppt.weight_decay)
    unit = backbone.rate_unit(tuning.learning_rate_unit)
    log: list[dict[str, Any]] = []
    losses: list[float] = []

    def update(step: int) -> None:
        rows = pairs.take(ppt.batch_size)
        loss, gradient = _gradient(card, rows, prompt, words, backbone, tuning)
        if not math.isfinite(loss):
            raise UserError(
                f"{card.name}, step {step} of PPT's pre-training: the loss is not finite; "
                f"lower methods.ppt.learning_rate, or take backbone.dtype fp32."
            )
        optimizer.param_groups[0]["lr"] = noam(step, unit * ppt.learning_rate, ppt.warmup_steps)
        prompt.grad = gradient
        optimizer.step()
        losses.append(loss)

    def note(step: int) -> None:
        if step:
            rate, mean = optimizer.param_groups[0]["lr"], sum(losses) / len(losses)
            log.append({"step": step, "learning_rate": rate, "mean_loss": mean})
            losses.clear()

    train("pre-training a prompt", ppt.steps, LOG_EVERY, update, note)
    return prompt.detach().cpu(), log


def noam(step: int, peak: float, warmup_steps: int) -> float:
    """The rate of update ``step`` (from 1): peak · min(step / warmup, √(warmup / step)).

    Vaswani et al. 2017, equation (3), scaled so that the highest rate is ``peak``.
    """
    return peak * min(step / warmup_steps, math.sqrt(warmup_steps / step))


def _gradient(
    card: TaskCard,
    rows: list[Row],
    prompt: Tensor,
    words: list[list[int]],
    backbone: Backbone,
    tuning: TuningSettings,
) -> tuple[float, Tensor]:
    """Mean cross-entropy of the rows, nats, and its gradient [P,H]."""
    encoded = encode(card, rows, backbone, prompt.shape[0])
    first_copy = torch.zeros(len(rows), dtype=torch.long)
    weight = torch.full((len(rows),), 1.0 / len(rows))
    joined = JoinedRows(encoded.ids, encoded.targets, first_copy, weight)
    found = both_gradients(prompt[None], joined, words, backbone, tuning.tokens_per_batch)
    return float(found.row_losses.mean()), clip(found.real, tuning.max_grad_norm)[0]
