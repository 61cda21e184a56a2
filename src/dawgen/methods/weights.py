"""Tuning all weights of a copy of the backbone: the loop that the fine-tuning methods share.

As published for T5 (Raffel et al. 2020) and LM-BFF (Gao et al. 2021) but for three things. The
copy is in fp32 whatever the backbone is in, since steps of 1e-4 are lost in bf16's eight bits.
The rate is constant where LM-BFF lets it fall, since the checkpoint is chosen anyway. A step's
rows are cut into pieces of like length and padded to nothing longer than their longest.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from dawgen.backbone import Backbone
from dawgen.backbone.calls import call_cost, pieces, tokens_at_once
from dawgen.errors import UserError
from dawgen.evaluation.predict import label_probabilities
from dawgen.methods.base import Prediction, train
from dawgen.settings import Settings
from dawgen.streams import Streams, repeatable
from dawgen.tasks import TaskCard
from dawgen.tuning.combine import Passes
from dawgen.tuning.develop import DevScore, dev_scores
from dawgen.tuning.rows import EncodedRows
from dawgen.tuning.schedule import make_optimizer

Words = Sequence[Sequence[int]]
Losses = Callable[[Backbone, Tensor, Sequence[Sequence[int]], Tensor, Words], Tensor]
"""(model, prompts [B,P,H], B rows of ids, targets [B,C], C label words) -> losses [B], nats."""


@dataclass(frozen=True)
class WeightsJob:
    """What the weights are tuned on, and by which loss."""

    card: TaskCard
    train: EncodedRows
    dev: EncodedRows
    """By which the best step is chosen."""
    words: Words
    """Token ids of what stands for each of the C labels."""
    losses: Losses
    start: Tensor
    """[P,H], the soft prompt that is tuned too; P = 0 is none."""


@dataclass(frozen=True)
class TunedWeights:
    """The tuned copy, at the step that was best on the development rows."""

    backbone: Backbone
    """The copy; the caller's backbone is as it was."""
    prompt: Tensor  # [P,H]
    best_step: int
    """0 is the untouched start."""
    looks: dict[int, DevScore]
    """By their step."""
    losses: list[float]
    """The mean training loss of each step, nats."""
    parameters: int
    """How many numbers were tuned."""


@repeatable()
def tune_weights(
    job: WeightsJob, backbone: Backbone, settings: Settings, streams: Streams
) -> TunedWeights:
    """Tune every weight of a copy, and the soft prompt where there is one.

    Dropout is on, from a stream of its own; the process's random state comes back as it was.
    """
    if not len(job.train) or not len(job.dev):
        raise UserError(f"{job.card.name}: fine-tuning needs rows to learn and to choose from.")
    fine = settings.methods.fine_tuning
    batches = Passes(len(job.train), streams.numpy("fine-tuning", "rows"))
    training = _Training(job, backbone, settings)

    def update(step: int) -> None:
        training.update(step, batches.take(fine.batch_size))

    with _random_state(streams.seed("fine-tuning", "dropout"), backbone.device):
        train("tuning all weights", fine.steps, fine.eval_every, update, training.look)
    return training.result()


def label_rows(
    job: WeightsJob, tuned: TunedWeights, inputs: Sequence[Sequence[int]], settings: Settings
) -> Prediction:
    """N rows of token ids under the tuned weights."""
    tokens = settings.evaluation.tokens_per_batch
    found = label_probabilities(tuned.backbone, inputs, job.words, tuned.prompt, tokens)
    best = tuned.looks[tuned.best_step]
    details = {
        "best_step": tuned.best_step,
        "dev_accuracy": best.accuracy,
        "dev_loss": best.loss,
        "tuned_parameters": tuned.parameters,
    }
    return Prediction(found, details)


@contextmanager
def _random_state(seed: int, device: torch.device) -> Iterator[None]:
    """Dropout draws from ``seed`` for a while; the state before comes back."""
    on_gpu = device.type == "cuda"
    with torch.random.fork_rng(devices=[device] if on_gpu else []):
        torch.default_generator.manual_seed(seed)
        if on_gpu:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield


def _optimizer(
    kind: Literal["adamw", "adafactor"],
    parameters: Sequence[nn.Parameter],
    rate: float,
    weight_decay: float,
) -> torch.optim.Optimizer:
    """As prompt tuning's, of many parameters and at a constant rate."""
    first, *others = parameters
    optimizer = make_optimizer(kind, first, weight_decay)
    (group,) = optimizer.param_groups
    group["params"] = [first, *others]
    group["lr"] = rate
    return optimizer


class _Training:
    """A copy of the backbone in training, its prompt, optimisers and best checkpoint."""

    def __init__(self, job: WeightsJob, backbone: Backbone, settings: Settings) -> None:
        self.job = job
        self.settings = settings.methods.fine_tuning
        self.tokens_per_batch = tokens_at_once(backbone.device, settings.tuning.tokens_per_batch)
        self.backbone = Backbone(
            copy.deepcopy(backbone.model).float(),
            backbone.tokenizer,
            name=backbone.name,
            fingerprint=f"{backbone.fingerprint}, tuned",
            max_length=backbone.max_length,
        )
        self.model = self.backbone.model.requires_grad_(True)
        self.prompt = nn.Parameter(job.start.to(backbone.device, torch.float32, copy=True))
        weights = list(self.model.parameters())  # tied weights once
        fine = self.settings
        self.optimizers = [_optimizer(fine.optimizer, weights, fine.learning_rate, 0.0)]
        self.tuned = weights
        if self.prompt.numel():
            self.tuned = [*weights, self.prompt]
            unit = backbone.rate_unit(settings.tuning.learning_rate_unit)
            rate, decay = unit * fine.prompt_learning_rate, settings.tuning.weight_decay
            self.optimizers.append(_optimizer(fine.optimizer, [self.prompt], rate, decay))
        self.looks: dict[int, DevScore] = {}
        self.losses: list[float] = []
        self.best_step = 0
        self.best: list[Tensor] = []

    def update(self, step: int, rows: list[int]) -> None:
        """One step on the rows of these numbers."""
        self.model.train()
        ids = [self.job.train.ids[row] for row in rows]
        targets = self.job.train.targets[rows].to(self.backbone.device)
        sizes = [self.prompt.shape[0] + len(row) for row in ids]
        mean = 0.0
        for piece in pieces(sizes, call_cost(self.backbone.device), self.tokens_per_batch):
            soft = self.prompt.expand(len(piece), -1, -1)
            part = [ids[i] for i in piece]
            losses = self.job.losses(self.backbone, soft, part, targets[piece], self.job.words)
            loss = losses.sum() / len(rows)
            loss.backward()
            mean += float(loss.detach())
        self._check(mean, f"at step {step} the loss is {mean}")
        self.losses.append(mean)
        if self.settings.max_grad_norm is not None:
            nn.utils.clip_grad_norm_(self.tuned, self.settings.max_grad_norm)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad()

    def look(self, step: int) -> None:
        """Score the development rows; keep the weights if they are the best so far."""
        self.model.eval()
        prompts = self.prompt.detach()[None]
        (score,) = dev_scores(
            prompts, [self.job.dev], self.job.words, self.backbone, self.tokens_per_batch
        )
        self._check(score.loss, f"after step {step} the development loss is {score.loss}")
        if score.better_than(self.looks.get(self.best_step)):
            self.best_step = step
            self.best = [weight.detach().to("cpu", copy=True) for weight in self.tuned]
        self.looks[step] = score

    def _check(self, loss: float, what: str) -> None:
        if not math.isfinite(loss):
            raise UserError(
                f"{self.job.card.name}: {what}; lower methods.fine_tuning.learning_rate or "
                f"check the model."
            )

    def result(self) -> TunedWeights:
        """The best weights, put back into the copy."""
        with torch.no_grad():
            for weight, best in zip(self.tuned, self.best, strict=True):
                weight.copy_(best)
        self.model.eval().requires_grad_(False)
        count = sum(weight.numel() for weight in self.tuned)
        prompt = self.prompt.detach()
        return TunedWeights(self.backbone, prompt, self.best_step, self.looks, self.losses, count)
