"""What choosing among candidates will take, from a probe of each kind on a few shots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING

from dawgen.machine.meter import Cost, Meter
from dawgen.pipeline.planned import Range, StagePlan, exactly
from dawgen.selection.candidates import (
    AVERAGED,
    HEADS,
    MOST_WRITTEN,
    WRITTEN,
    first_of_each_label,
    kinds_of,
)
from dawgen.selection.encoder import encoder_of, is_here
from dawgen.selection.heads import FOLDS, folds, label_numbers
from dawgen.selection.parts import TUNED, Kind, Models
from dawgen.selection.select import asks_for_embeddings, wanted
from dawgen.selection.shown import shown_sets
from dawgen.selection.tuning import BATCH
from dawgen.tasks import Row

if TYPE_CHECKING:
    from dawgen.backbone import Backbone
    from dawgen.settings import Settings
    from dawgen.tasks.job import Job

_FEW = 128
"""Shots that the heads are probed with, at most; two per label at least."""


@dataclass(frozen=True)
class HeadSpeed:
    """Seconds that a kind of linear head takes for one row.

    Attributes:
        encode: to turn it into numbers.
        validate: to have it among the rows of a cross-validation.
        ship: to have it among those that a tuned encoder learns from in the end.
    """

    encode: float
    validate: float
    ship: float = 0.0


class SelectionPlan:
    """A probe of the heads, and what follows from it for the stage and for a reader.

    Args:
        per_row: seconds to read a row under a prompt.
    """

    def __init__(
        self, job: Job, backbone: Backbone, settings: Settings, meter: Meter, per_row: float
    ) -> None:
        self._job, self._settings, self._per_row = job, settings, per_row
        self.names = wanted(settings.selection, job.card)
        if not is_here(encoder_of(settings.selection)):  # nothing is downloaded for a plan
            self.names = [name for name in self.names if not asks_for_embeddings([name])]
        self._tested = len(job.test or [])
        self._shots = [*job.shots.train, *job.shots.dev]
        self._shown = len(shown_sets(backbone, job.card, job.shots.train))
        models = Models(job.card, settings, backbone)
        few = first_of_each_label(self._shots, max(_FEW, 2 * len(job.card.labels)))
        known = [(name, name.removesuffix(WRITTEN)) for name in self.names]
        kinds_here = partial(kinds_of, is_pair=job.card.is_pair, crosses=models.reads_across)
        self._kinds = {name: kinds_here(head) for name, head in known if head in HEADS}
        with meter.measure() as self.cost:
            self._speeds = {
                kind: _head_speed(kind, few, models, settings.seed)
                for kind in dict.fromkeys(kind for kinds in self._kinds.values() for kind in kinds)
            }

    def stage(self, written: int, *, read: bool, alone: bool = False) -> StagePlan:
        """Of the stage, for so many written rows; an average may read the test rows again.

        Args:
            read: a reader has validated the heads on the shots already.
            alone: no evaluation follows, in whose place the test rows are read without a prompt.
        """
        seconds = self._heads(min(written, MOST_WRITTEN)) + self._prompts()
        seconds += self._per_row * self._tested * (alone and "zero-shot" in self.names)
        seconds += 0.0 if read else self._on_shots()
        again = AVERAGED * self._per_row * self._tested if "average" in self.names else 0.0
        return StagePlan("selection", self.cost, _probes(self.cost, seconds, seconds + again))

    def reader(self, stage: StagePlan) -> StagePlan:
        """The synthesis with the choice of its reader: each head on the shots, the prompt on the
        development shots."""
        seconds = self._on_shots()
        seconds += self._per_row * len(self._job.shots.dev) if self._speeds else 0.0
        more = _probes(stage.probe, seconds, seconds)
        return StagePlan(stage.name, stage.probe, stage.times + more)

    def _on_shots(self) -> float:
        """Each head in cross-validation, without written rows."""
        return len(self._shots) * sum(
            (speed.encode + speed.validate) * self._choices(kind)
            for kind, speed in self._speeds.items()
        )

    def _heads(self, written: int) -> float:
        """Beside :meth:`_on_shots`: written and test rows are encoded once, heads with written rows
        are validated, and an encoder is tuned on all shots."""
        shots = len(self._shots)
        seconds = 0.0
        for kind, speed in self._speeds.items():
            taught = [n for n, kinds in self._kinds.items() if kind in kinds and WRITTEN in n]
            with_rows = written if taught else 0
            again = 0 if kind in TUNED else (shots + with_rows) * len(taught)
            seconds += speed.encode * (with_rows + self._tested)
            seconds += speed.validate * again + speed.ship * shots
        return seconds

    def candidates(self) -> dict[str, float]:
        """Seconds of each candidate alone, without written rows; what several read with is read
        once. Those made of others that are there have none of their own."""
        shots = len(self._shots)
        found = {
            name.removesuffix(WRITTEN): sum(
                (speed.encode + speed.validate) * self._choices(kind) * shots
                + speed.encode * self._tested
                + speed.ship * shots
                for kind, speed in ((kind, self._speeds[kind]) for kind in kinds)
            )
            for name, kinds in self._kinds.items()
        }
        prompts = {name: self._per_row * rows for name, rows in self._held_out().items() if rows}
        return found | {name: prompts[name] for name in self.names if name in prompts}

    def _choices(self, kind: Kind) -> int:
        """How often the shots are read: states behind each choice of examples."""
        return self._shown if kind == "answers" else 1

    def _prompts(self) -> float:
        """Held-out rows under each prompt, whose test rows count as the evaluation."""
        rows = self._held_out()
        return self._per_row * sum(rows.get(name, 0) for name in self.names)

    def _held_out(self) -> dict[str, int]:
        """Rows that each candidate reads under a prompt; the generator has a prompt per label."""
        dev = len(self._job.shots.dev)
        return {
            "zero-shot": len(self._shots),
            "baseline": dev * self._settings.tuning.baseline,
            "prompt": dev,
            "noisy-channel": (2 * dev + self._tested) * len(self._job.card.labels),
        }


def _head_speed(kind: Kind, few: Sequence[Row], models: Models, seed: int) -> HeadSpeed:
    if kind in TUNED:
        return _tuned_speed(kind, few, models)
    began = perf_counter()
    models.recipe(kind).make(few).of(few)
    encoded = perf_counter()
    models.validated(kind, few, seed)
    done = perf_counter()
    probed = sum(1 for _ in folds(label_numbers(models.card, few), seed))
    return HeadSpeed(
        (encoded - began) / len(few), (done - encoded) / len(few) * FOLDS / max(1, probed)
    )


def _tuned_speed(kind: Kind, few: Sequence[Row], models: Models) -> HeadSpeed:
    """Of an encoder that is tuned on each half of the rows, and then on all of them."""
    some = first_of_each_label(few, max(BATCH, len(models.card.labels)))
    began = perf_counter()
    features = models.recipe(kind).make(some)
    tuned = perf_counter()
    features.of(few)
    each = (tuned - began) / len(some)
    return HeadSpeed((perf_counter() - tuned) / len(few), validate=each, ship=each)


def _probes(cost: Cost, least: float, most: float) -> Range:
    """Seconds as multiples of what a probe took."""
    return (
        exactly(0.0) if not cost.wall_seconds else Range(least, most).scaled(1 / cost.wall_seconds)
    )
