"""A sentence encoder tuned on labelled rows: low-rank changes of its attention, some MB per task.

Its frozen vectors say what a text is about, which need not be what the labels ask for. Tuning moves
texts of one label together (as SetFit does, Tunstall et al. 2022), by LoRA (Hu et al., ICLR 2022)
and a cross-entropy through a linear head.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import safetensors.numpy
import torch
from torch import Tensor, nn

from dawgen.backbone.quiet import quiet
from dawgen.evaluation.balance import label_weights
from dawgen.machine.precision import best_dtype
from dawgen.selection.alignment import ReadPairs, Tokens
from dawgen.selection.features import TextVectors, joined
from dawgen.selection.heads import fit_head, label_numbers
from dawgen.streams import Streams, repeatable
from dawgen.terminal.progress import progress

if TYPE_CHECKING:
    from dawgen.selection.encoder import SentenceEncoder, Vectors
    from dawgen.tasks import Row, TaskCard

RANK = 8
SCALE = 2.0
"""The change of a weight is this times up @ down."""
STEPS = 48
"""At least, unless that were more than ``EPOCHS`` of the rows; but all rows twice."""
EPOCHS = 10
BATCH = 16
RATE, HEAD_RATE = 5e-4, 1e-3
START = 1.0
"""C of the head that tuning starts from."""
_REMEMBERED = 4096
"""Texts, of every task that is served; at 3 kB each 12 MB."""
_WARM_UP = 0.1
_CLIP = 1.0

Numbers = dict[str, npt.NDArray[np.float32]]
_DOWN, _UP = "down.", "up."


@dataclass(frozen=True)
class Adapter:
    """Changes of an encoder's linear layers: the weight of layer ``name`` [O,I] becomes
    W + SCALE up @ down.

    Attributes:
        down, up: [RANK,I] and [O,RANK] by the layer's name.
    """

    down: Mapping[str, npt.NDArray[np.float32]]
    up: Mapping[str, npt.NDArray[np.float32]]

    def scaled_up(self, name: str) -> npt.NDArray[np.float32]:
        """SCALE up of a layer, [O,RANK]."""
        return np.float32(SCALE) * self.up[name]

    def changes(self) -> dict[str, npt.NDArray[np.float32]]:
        """[O,I] by the layer's name."""
        return {name: self.scaled_up(name) @ down for name, down in self.down.items()}

    @cached_property
    def fingerprint(self) -> str:
        """A hash of its numbers."""
        return hashlib.sha256(safetensors.numpy.save(self.numbers())).hexdigest()

    def numbers(self) -> Numbers:
        """As arrays by name."""
        down = {_DOWN + name: array for name, array in self.down.items()}
        return down | {_UP + name: array for name, array in self.up.items()}

    @classmethod
    def of_numbers(cls, numbers: Mapping[str, Any]) -> Adapter:
        """From what :meth:`numbers` gave, among others."""
        parts = (
            {k.removeprefix(start): v for k, v in numbers.items() if k.startswith(start)}
            for start in (_DOWN, _UP)
        )
        return cls(*parts)


class TunedEncoder:
    """An encoder that reads with an adapter, as the encoder itself does without."""

    def __init__(self, encoder: SentenceEncoder, adapter: Adapter) -> None:
        self.encoder, self.adapter = encoder, adapter

    @cached_property
    def pairs(self) -> ReadPairs:
        """With what it has read lately."""
        return ReadPairs(self, most=_REMEMBERED)

    def __call__(self, texts: Sequence[str]) -> Vectors:
        """[N,H] of unit length."""
        with self.encoder.changed(self.adapter):
            return self.encoder(texts)

    def read_words(self, texts: Sequence[str]) -> tuple[Vectors, list[Tokens]]:
        """As :meth:`SentenceEncoder.read_words`."""
        with self.encoder.changed(self.adapter):
            return self.encoder.read_words(texts)


class TunedVectors(TextVectors):
    """Vectors of texts by a tuned encoder."""

    def __init__(self, tuned: TunedEncoder, *, is_pair: bool) -> None:
        super().__init__(tuned.pairs, is_pair=is_pair)
        self.adapter = tuned.adapter


class Tuning:
    """Tunes an encoder on rows; for the same rows once."""

    def __init__(self, encoder: SentenceEncoder, card: TaskCard, seed: int) -> None:
        self.encoder, self.card, self.seed = encoder, card, seed
        self._made: dict[object, TunedEncoder] = {}

    def __call__(self, rows: Sequence[Row]) -> TunedVectors:
        """Vectors by the encoder tuned on these rows."""
        key = tuple((row.text1, row.text2, row.label) for row in rows)
        if key not in self._made:
            adapter = tune(self.encoder, self.card, rows, self.seed)
            self._made[key] = TunedEncoder(self.encoder, adapter)
        return TunedVectors(self._made[key], is_pair=self.card.is_pair)


@repeatable()
def tune(encoder: SentenceEncoder, card: TaskCard, rows: Sequence[Row], seed: int) -> Adapter:
    """Low-rank changes of an encoder that make the rows' labels easier to tell by their vectors.

    Cross-entropy of a linear head on the rows' features, which starts as the logistic regression on
    the frozen ones, by AdamW at a rate that falls to 0.

    Args:
        rows: labelled; each label has a row.
    """
    from peft import get_peft_model_state_dict

    gold = label_numbers(card, rows)
    weights = torch.from_numpy(label_weights(gold, card.metric)).float().to(encoder.model.device)
    answers = torch.from_numpy(gold).to(encoder.model.device)
    head = _first_head(encoder, card, rows, gold)
    streams = Streams(seed)
    batches = _batches(len(rows), streams.torch("tuned encoder"))
    with (
        _adapted(encoder.model, streams.seed("adapter")) as adapted,
        progress(f"tuning the sentence encoder on {len(rows)} rows", len(batches), "steps") as on,
    ):
        changed = [each for each in adapted.parameters() if each.requires_grad]
        groups = [{"params": changed, "lr": RATE}, {"params": head, "lr": HEAD_RATE}]
        optimizer = torch.optim.AdamW(groups)
        rate = torch.optim.lr_scheduler.LambdaLR(optimizer, partial(_rate, steps=len(batches)))
        for batch in batches:
            some = [rows[place] for place in batch.tolist()]
            logits = _features(encoder, some, card.is_pair) @ head[0] + head[1]
            losses = nn.functional.cross_entropy(logits, answers[batch], reduction="none")
            _step(optimizer, (losses * weights[batch]).mean(), changed)
            rate.step()
            on(1)
        state = get_peft_model_state_dict(adapted)
        return _adapter({name: each.detach().float().cpu().numpy() for name, each in state.items()})


@contextmanager
def _adapted(model: Any, seed: int) -> Iterator[Any]:
    """PEFT's model around the encoder, which is itself again afterwards."""
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=RANK, lora_alpha=round(SCALE * RANK), target_modules=_square(model))
    with torch.random.fork_rng(devices=[]), quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # peft asks transformers in an old way
        torch.manual_seed(seed)
        adapted: Any = get_peft_model(model, config)
    try:
        yield adapted
    finally:
        adapted.unload()
        model.requires_grad_(False)


def _first_head(
    encoder: SentenceEncoder, card: TaskCard, rows: Sequence[Row], gold: npt.NDArray[np.int64]
) -> list[nn.Parameter]:
    """Weight [F,C] and bias [C] of the logistic regression on frozen features."""
    frozen = TextVectors(encoder.pairs, is_pair=card.is_pair).of(rows)
    head = fit_head(frozen, gold, len(card.labels), START)
    parts = (np.array(part, np.float32) for part in (head.weight, head.bias))
    return [nn.Parameter(torch.from_numpy(part).to(encoder.model.device)) for part in parts]


def _batches(rows: int, order: torch.Generator) -> list[Tensor]:
    """Places of each step's rows, in epochs of another order each."""
    epochs = min(EPOCHS, max(2, ceil(STEPS / ceil(rows / BATCH))))
    orders = [torch.randperm(rows, generator=order) for _ in range(epochs)]
    return [batch for each in orders for batch in each.split(BATCH)]


def _rate(step: int, steps: int) -> float:
    """Up over the first steps, then down to 0."""
    return min(1.0, (step + 1) / (_WARM_UP * steps)) * (1 - step / steps)


def _step(optimizer: torch.optim.Optimizer, loss: Tensor, changed: Sequence[nn.Parameter]) -> None:
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(changed, _CLIP)
    optimizer.step()


def _features(encoder: SentenceEncoder, rows: Sequence[Row], is_pair: bool) -> Tensor:
    """[N,F] with gradients."""
    texts = [row.text1 for row in rows]
    if is_pair:
        texts += [row.text2 or "" for row in rows]
    device = encoder.model.device.type
    fast = best_dtype(device) == "bf16"
    with torch.autocast(device, torch.bfloat16, enabled=fast):
        vectors = encoder.vectors(texts)
    first, second = vectors[: len(rows)], vectors[len(rows) :]
    return joined(first, second) if is_pair else first


def _square(model: Any) -> list[str]:
    """Names of the attention's linear layers: those from H numbers to at most as many, but for the
    pooler, whose result is not read."""
    width = model.config.hidden_size
    return [
        name
        for name, layer in model.named_modules()
        if isinstance(layer, nn.Linear)
        and layer.in_features == width >= layer.out_features
        and not name.startswith("pooler")
    ]


def _adapter(state: Mapping[str, npt.NDArray[np.float32]]) -> Adapter:
    """From PEFT's names, such as base_model.model.LAYER.lora_A.weight."""
    parts: dict[str, Numbers] = {"lora_A": {}, "lora_B": {}}
    for name, array in state.items():
        layer, which, _ = name.removeprefix("base_model.model.").rsplit(".", 2)
        parts[which][layer] = array
    return Adapter(parts["lora_A"], parts["lora_B"])
