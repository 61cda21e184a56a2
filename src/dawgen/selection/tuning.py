"""Tuning a sentence encoder on labelled rows: low-rank changes of some layers, some MB per task."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from math import ceil
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from dawgen.backbone.quiet import quiet
from dawgen.evaluation.balance import label_weights
from dawgen.machine.precision import best_dtype
from dawgen.selection.adapter import RANK, SCALE, Adapter
from dawgen.selection.heads import LinearHead, fit_head, label_numbers
from dawgen.streams import Streams, repeatable
from dawgen.terminal.progress import progress

if TYPE_CHECKING:
    from dawgen.selection.encoder import SentenceEncoder, Vectors
    from dawgen.selection.features import Features
    from dawgen.tasks import Row, TaskCard

BATCH = 16
RATE, HEAD_RATE = 5e-4, 1e-3
SMALL, RATE_OF_SMALL = 768, 1e-3
"""Of encoders narrower than so many units, which learn little at the other rate (docs/log.md)."""
START = 1.0
"""C of the head that tuning starts from."""
_WARM_UP = 0.1
_CLIP = 1.0


class Schedule(NamedTuple):
    """So many steps at least, unless that were more than ``epochs`` of the rows; but all rows
    twice."""

    steps: int
    epochs: int

    def batches(self, rows: int, order: torch.Generator) -> list[Tensor]:
        """Places of each step's rows, in epochs of another order each."""
        epochs = min(self.epochs, max(2, ceil(self.steps / ceil(rows / BATCH))))
        orders = [torch.randperm(rows, generator=order) for _ in range(epochs)]
        return [batch for each in orders for batch in each.split(BATCH)]


class Reading(Protocol):
    """How rows become features of a linear head, by an encoder that can be tuned."""

    @property
    def encoder(self) -> SentenceEncoder:
        """The encoder."""

    @property
    def schedule(self) -> Schedule:
        """How long it is tuned."""

    def layers(self) -> list[str]:
        """Names of the linear layers that change."""

    def frozen(self, rows: Sequence[Row]) -> Vectors:
        """[N,F] by the encoder as it is."""

    def live(self, rows: Sequence[Row]) -> Tensor:
        """[N,F] with gradients."""

    def tuned(self, adapter: Adapter, head: LinearHead) -> Features:
        """The features as the tuned encoder gives them."""


class Tuning:
    """Tunes an encoder on rows; for the same rows once."""

    def __init__(self, reading: Reading, card: TaskCard, seed: int) -> None:
        self.reading, self.card, self.seed = reading, card, seed
        self._made: dict[object, Features] = {}

    def __call__(self, rows: Sequence[Row]) -> Features:
        """Features by the encoder tuned on these rows."""
        key = tuple((row.text1, row.text2, row.label) for row in rows)
        if key not in self._made:
            changes, head = tune(self.reading, self.card, rows, self.seed)
            self._made[key] = self.reading.tuned(changes, head)
        return self._made[key]


@repeatable()
def tune(
    reading: Reading, card: TaskCard, rows: Sequence[Row], seed: int
) -> tuple[Adapter, LinearHead]:
    """Changes of an encoder that make the rows' labels easier to tell by their features, and the
    head that was tuned with them.

    Cross-entropy of a linear head on the rows' features, which starts as the logistic regression on
    the frozen ones, by AdamW at a rate that falls to 0.

    Args:
        rows: labelled; each label has a row.
    """
    from peft import get_peft_model_state_dict

    model = reading.encoder.model
    gold = label_numbers(card, rows)
    weights = torch.from_numpy(label_weights(gold, card.metric)).float().to(model.device)
    answers = torch.from_numpy(gold).to(model.device)
    head = _first_head(reading, rows, gold, len(card.labels))
    streams = Streams(seed)
    batches = reading.schedule.batches(len(rows), streams.torch("tuned encoder"))
    with (
        _adapted(model, reading.layers(), streams.seed("adapter")) as adapted,
        _casting(model) as cast,
        progress(f"tuning the sentence encoder on {len(rows)} rows", len(batches), "steps") as on,
    ):
        changed = [each for each in adapted.parameters() if each.requires_grad]
        peak = RATE if model.config.hidden_size >= SMALL else RATE_OF_SMALL
        groups = [{"params": changed, "lr": peak}, {"params": head, "lr": HEAD_RATE}]
        optimizer = torch.optim.AdamW(groups)
        rate = torch.optim.lr_scheduler.LambdaLR(optimizer, partial(_rate, steps=len(batches)))
        for batch in batches:
            with torch.autocast(model.device.type, torch.bfloat16, enabled=cast):
                features = reading.live([rows[place] for place in batch.tolist()])
            logits = features @ head[0] + head[1]
            losses = nn.functional.cross_entropy(logits, answers[batch], reduction="none")
            _step(optimizer, (losses * weights[batch]).mean(), changed)
            rate.step()
            on(1)
        state = get_peft_model_state_dict(adapted)
        numbers = {name: each.detach().float().cpu().numpy() for name, each in state.items()}
    weight, bias = (each.detach().cpu().numpy() for each in head)
    return Adapter.of_peft(numbers), LinearHead(weight, bias)


@contextmanager
def _adapted(model: Any, layers: Sequence[str], seed: int) -> Iterator[Any]:
    """PEFT's model around the encoder, which is itself again afterwards."""
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=RANK, lora_alpha=round(SCALE * RANK), target_modules=list(layers))
    with torch.random.fork_rng(devices=[]), quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # peft asks transformers in an old way
        torch.manual_seed(seed)
        adapted: Any = get_peft_model(model, config)
    try:
        yield adapted
    finally:
        adapted.unload()
        model.requires_grad_(False)


@contextmanager
def _casting(model: Any) -> Iterator[bool]:
    """Whether the model computes in bf16; its frozen layers' weights are cast once, which autocast
    would do in every call."""
    fast = best_dtype(model.device.type) == "bf16"
    linear = [each for each in model.modules() if isinstance(each, nn.Linear)]
    frozen = [each.weight for each in linear if fast and not each.weight.requires_grad]
    before = [weight.data for weight in frozen]
    try:
        for weight in frozen:
            weight.data = weight.data.to(torch.bfloat16)
        yield fast
    finally:
        for weight, data in zip(frozen, before, strict=True):
            weight.data = data


def _first_head(
    reading: Reading, rows: Sequence[Row], gold: npt.NDArray[np.int64], labels: int
) -> list[nn.Parameter]:
    """Weight [F,C] and bias [C] of the logistic regression on frozen features."""
    head = fit_head(reading.frozen(rows), gold, labels, START)
    parts = (np.array(part, np.float32) for part in (head.weight, head.bias))
    device = reading.encoder.model.device
    return [nn.Parameter(torch.from_numpy(part).to(device)) for part in parts]


def _rate(step: int, steps: int) -> float:
    """Up over the first steps, then down to 0."""
    return min(1.0, (step + 1) / (_WARM_UP * steps)) * (1 - step / steps)


def _step(optimizer: torch.optim.Optimizer, loss: Tensor, changed: Sequence[nn.Parameter]) -> None:
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(changed, _CLIP)
    optimizer.step()
