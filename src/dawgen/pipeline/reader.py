"""The classifier that chooses synthetic rows: those to which it gives the label they have.

It is the best of what the few shots alone give: the prompt tuned on them, or a linear head.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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
from dawgen.selection.select import wanted
from dawgen.selection.store import Choice
from dawgen.settings import Settings, SynthesisSettings
from dawgen.storage.seals import fingerprint, read_seal
from dawgen.synthesis import SyntheticRow
from dawgen.synthesis.choosing import choose_rows
from dawgen.synthesis.provenance import prompts_hash
from dawgen.tasks import Row, Shots, TaskCard
from dawgen.terminal.progress import hushed, say

BASELINE = "baseline"


class RowReader(Protocol):
    """Rows to log p(label) [N,C] in fp64; the rows' own labels are not looked at."""

    @property
    def fingerprint(self) -> str:
        """Of what it reads by."""

    def __call__(self, rows: Sequence[Row]) -> torch.Tensor: ...


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

    @property
    def fingerprint(self) -> str:
        """Of the head's arrays and words."""
        arrays = [part.numbers() for part in self.choice.parts]
        return fingerprint(
            {
                "name": self.choice.name,
                "numbers": [{k: a.tolist() for k, a in part.items()} for part in arrays],
                "words": [part.words() for part in self.choice.parts],
            }
        )

    def __call__(self, rows: Sequence[Row]) -> torch.Tensor:
        """As of a prompt."""
        return _logs(self.choice.probabilities(rows))


def _logs(chances: npt.NDArray[np.floating[Any]]) -> torch.Tensor:
    return torch.from_numpy(chances).double().clamp(min=1e-30).log()


def reader_of(context: Context, settings: Settings) -> RowReader:
    """The best of the run's prompt on the few shots alone and the linear heads that
    ``selection.candidates`` names; with ``paper`` the prompt.

    The reader learns from the training shots only, as the prompt does: rows that a reader of the
    development shots has chosen would flatter everything that is compared on these.
    """
    prompt = PromptReader.of(context, settings.evaluation.tokens_per_batch)
    names = [name for name in wanted(settings.selection, context.job.card) if name in HEADS]
    if not names:
        return prompt
    shots, models = context.job.shots, Models(context.job.card, settings, context.backbone)
    made = Made(prompts={BASELINE: prompt.prompt})
    with hushed():
        able = candidates([*names, BASELINE], shots, made, models, settings.seed)
    gold = label_numbers(context.job.card, [*shots.train, *shots.dev])
    best = choose(able, gold, context.job.card.metric)
    accuracy = right(best, gold)[best.known].mean()
    say(f"  rows are chosen by {best.name}, on held-out shots {accuracy:.0%} right")
    if best.name == BASELINE:
        return prompt
    (head,) = candidates([best.name], Shots(shots.train, []), Made(), models, settings.seed)
    return HeadReader(head.ship())


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
