"""The classifier that chooses synthetic rows: those to which it gives the label they have.

It is the best of what the few shots alone give: the prompt tuned on them, or a linear head.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch

from dawgen.backbone import Backbone
from dawgen.evaluation import predict
from dawgen.pipeline.stage import Context
from dawgen.prompts import load_prompt
from dawgen.selection.candidates import HEADS, Made, candidates
from dawgen.selection.choose import choose, right
from dawgen.selection.heads import label_numbers
from dawgen.selection.parts import Models
from dawgen.selection.select import MADE, asks_for_embeddings, wanted
from dawgen.selection.store import Choice
from dawgen.settings import Settings, SynthesisSettings
from dawgen.storage.seals import fingerprint, read_seal
from dawgen.synthesis import SyntheticRow
from dawgen.synthesis.choosing import choose_rows
from dawgen.synthesis.provenance import prompts_hash
from dawgen.tasks import Row, TaskCard
from dawgen.tasks.job import rows_hash
from dawgen.terminal.progress import hushed, say

BASELINE = "baseline"


class RowReader(Protocol):
    """Rows to log p(label) [N,C] in fp64; the rows' own labels are not looked at."""

    @property
    def fingerprint(self) -> str:
        """Of all that it is made of."""

    def __call__(self, rows: Sequence[Row]) -> torch.Tensor: ...


@dataclass(frozen=True)
class RunReader:
    """The reader of a run as :func:`reader_of` makes it, but made when it first reads: what has
    been chosen already needs its fingerprint only.

    Attributes:
        models: see :func:`reader_of`.
    """

    context: Context
    settings: Settings
    models: Models

    @classmethod
    def of(cls, context: Context, settings: Settings, models: Models | None = None) -> RunReader:
        """With new models where none are given."""
        job = context.job
        return cls(context, settings, models or Models(job.card, settings, context.backbone))

    @property
    def fingerprint(self) -> str:
        """Of prompt, shots, the heads among the candidates, and the models that read."""
        job = self.context.job
        names = _heads(self.settings, job.card)
        prompt = load_prompt(self.context.path / BASELINE, self.context.backbone)
        with_encoder = asks_for_embeddings(names)
        return fingerprint(
            {
                **self.context.inputs,
                "dev": rows_hash(job.shots.dev),
                "prompt": prompts_hash(prompt),
                "candidates": names,
                "encoder": self.models.encoder.fingerprint if with_encoder else None,
                "made": MADE,
            }
        )

    @property
    def is_sound(self) -> bool:
        """Whether it is a head, whose probabilities can be taken at their word; a prompt is too
        sure of itself, and favours labels."""
        return isinstance(self._reader, HeadReader)

    @cached_property
    def _reader(self) -> PromptReader | HeadReader:
        return reader_of(self.context, self.settings, self.models)

    def __call__(self, rows: Sequence[Row]) -> torch.Tensor:
        """The rows' labels are not looked at."""
        return self._reader(rows)


@dataclass(frozen=True)
class PromptReader:
    """Reads rows under a prompt [P,H]: rows to log p(label) [N,C] in fp64."""

    prompt: torch.Tensor
    backbone: Backbone
    card: TaskCard
    tokens_per_batch: int

    @classmethod
    def of(cls, context: Context, tokens_per_batch: int) -> PromptReader:
        """The run's prompt on the few shots alone."""
        prompt = load_prompt(context.path / BASELINE, context.backbone)
        return cls(prompt, context.backbone, context.job.card, tokens_per_batch)

    @property
    def fingerprint(self) -> str:
        """Of the prompt's values."""
        return prompts_hash(self.prompt)

    def __call__(self, rows: Sequence[Row]) -> torch.Tensor:
        """The rows' labels are not looked at."""
        tokens = self.tokens_per_batch
        with hushed():
            chances = predict(self.backbone, self.card, self.prompt, rows, tokens_per_batch=tokens)
        return _logs(chances)


@dataclass(frozen=True)
class HeadReader:
    """Reads rows by a linear head."""

    choice: Choice

    def __call__(self, rows: Sequence[Row]) -> torch.Tensor:
        """As of a prompt."""
        return _logs(self.choice.probabilities(rows))


def _logs(chances: npt.NDArray[np.floating[Any]]) -> torch.Tensor:
    return torch.from_numpy(chances).double().clamp(min=1e-30).log()


def _heads(settings: Settings, card: TaskCard) -> list[str]:
    """Names of the candidates that may read."""
    return [name for name in wanted(settings.selection, card) if name in HEADS]


def reader_of(context: Context, settings: Settings, models: Models) -> PromptReader | HeadReader:
    """The best of the run's prompt on the few shots alone and the linear heads that
    ``selection.candidates`` names; with ``paper`` the prompt.

    The reader's weights are learned from the training shots only, as the prompt is: rows that a
    reader of the development shots has chosen would flatter everything that is compared on these.
    These decide which reader is taken, the C of its heads and their exponents.

    Args:
        models: remember what they have read and tuned, for a later stage.
    """
    prompt = PromptReader.of(context, settings.evaluation.tokens_per_batch)
    names = _heads(settings, context.job.card)
    if not names:
        return prompt
    shots = context.job.shots
    made = Made(prompts={BASELINE: prompt.prompt})
    with hushed():
        able = candidates([*names, BASELINE], shots, made, models, settings.seed)
    gold = label_numbers(context.job.card, [*shots.train, *shots.dev])
    best = choose(able, gold, context.job.card.metric)
    accuracy = right(best, gold)[best.known].mean()
    say(f"  rows are chosen by {best.name}, on held-out shots {accuracy:.0%} right")
    if best.name == BASELINE:
        return prompt
    assert best.refit is not None  # all others are heads
    with hushed():
        return HeadReader(best.refit(shots.train))


def chosen_rows(
    reader: RowReader,
    card: TaskCard,
    settings: SynthesisSettings,
    rows: Sequence[SyntheticRow],
    source: Path,
) -> list[SyntheticRow]:
    """Of synthetic rows from anywhere those that the reader chooses.

    A folder of rows that the same reader has chosen already, in the same way, is taken whole: its
    rows would be calibrated once more, and some of them lost.

    Raises:
        UserError: none of the rows is chosen.
    """
    seal = read_seal(source) if source.is_dir() else None
    made = seal.inputs if seal else {}
    how = (made.get("synthesis") or {}).get("choose")
    same = how == settings.choose.model_dump(mode="json")
    if same and made.get("reader") == reader.fingerprint:
        say(f"  the rows in {source} were chosen by this reader already")
        return list(rows)
    return choose_rows(rows, reader, card, settings.choose)
