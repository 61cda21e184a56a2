"""What a run will take, from a probe of a few seconds on this machine and counted work.

Each stage is begun for real, on a few rows or steps, and timed; the whole of it is as much longer
as its counted FLOPs are more (of synthesis: as its attempts are).
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import torch

from dawgen.backbone.calls import tokens_at_once
from dawgen.backbone.memory import fitting_tokens
from dawgen.bench.measure import Cost, Meter
from dawgen.cleaning_settings import RuleName
from dawgen.errors import UserError
from dawgen.evaluation import predict
from dawgen.generator.examples import epoch_batches
from dawgen.generator.fit import Tuner, label_prompt_start
from dawgen.progress import hushed
from dawgen.stage_work import Counter
from dawgen.streams import Streams
from dawgen.synthesis import synthesize
from dawgen.tuning import fit_prompts, planned_arms

if TYPE_CHECKING:
    from dawgen.backbone import Backbone
    from dawgen.job import Job
    from dawgen.settings import Settings

GENERATOR_STEPS, TUNING_STEPS, ROWS_A_LABEL = 2, 2, 12
_REPORT_BYTES = 2 << 20
_PREDICTION_BYTES = 200


@dataclass(frozen=True)
class StagePlan:
    """One stage: what the probe took, and how much more the whole is.

    Attributes:
        probe: its cost.
        times: the whole is so many probes.
    """

    name: str
    probe: Cost
    times: float

    @property
    def seconds(self) -> float:
        """Of the whole stage."""
        return self.probe.wall_seconds * self.times

    @property
    def cpu_seconds(self) -> float:
        """The same by the processor's clock, which other work on the machine does not move."""
        return self.probe.cpu_seconds * self.times

    @property
    def kwh(self) -> float | None:
        """Of the whole stage; None without codecarbon."""
        return None if self.probe.energy_kwh is None else self.probe.energy_kwh * self.times


@dataclass(frozen=True)
class Plan:
    """What a run will take.

    Attributes:
        disk_bytes: of the run folder.
        tokens_per_batch: tokens of one forward and backward call that free memory holds; None
            where the system does not say how much is free.
    """

    stages: list[StagePlan]
    disk_bytes: int
    tokens_per_batch: int | None

    @property
    def seconds(self) -> float:
        """Of all stages."""
        return sum(stage.seconds for stage in self.stages)

    @property
    def kwh(self) -> float | None:
        """Of all stages; None without codecarbon."""
        known = [stage.kwh for stage in self.stages if stage.kwh is not None]
        return sum(known) if len(known) == len(self.stages) else None

    @property
    def memory_mib(self) -> float:
        """Peak of the process, or of the GPU where there is one."""
        return max(s.probe.peak_gpu_memory_mib or s.probe.peak_memory_mib for s in self.stages)

    def lines(self, price: float | None = None) -> list[str]:
        """A table in plain text; ``price`` is of an hour of this machine."""
        head = f"{'stage':12}{'time':>10}{'memory':>12}{'energy':>13}"
        found = [head + (f"{'cost':>10}" if price is not None else "")]
        for stage in self.stages:
            memory = stage.probe.peak_gpu_memory_mib or stage.probe.peak_memory_mib
            found.append(_line(stage.name, stage.seconds, memory, stage.kwh, price))
        found.append(_line("all", self.seconds, self.memory_mib, self.kwh, price))
        return [
            *found,
            f"disk: {self.disk_bytes / 1e6:,.1f} MB" + self._fitting(),
        ]

    def _fitting(self) -> str:
        if self.tokens_per_batch is None:
            return ""
        return (
            f"; free memory holds about {self.tokens_per_batch:,} tokens a call "
            "(tuning.tokens_per_batch)"
        )


def _line(name: str, seconds: float, memory: float, kwh: float | None, price: float | None) -> str:
    energy = "not measured" if kwh is None else f"{1000 * kwh:,.1f} Wh"
    text = f"{name:12}{_duration(seconds):>10}{memory:>8,.0f} MiB{energy:>13}"
    return text + (f"{price * seconds / 3600:>10,.2f}" if price is not None else "")


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def plan(job: Job, backbone: Backbone, settings: Settings) -> Plan:
    """Probe every stage and count the rest."""
    probe = _Probe(Counter.of(job, backbone, settings), Meter())
    with hushed():
        stages = [probe.generator(), probe.synthesis(), probe.tuning(), probe.evaluation()]
    return Plan(stages, probe.disk_bytes(), fitting_tokens(backbone, graph=True))


class _Probe:
    """Runs a little of each stage."""

    def __init__(self, count: Counter, meter: Meter) -> None:
        self.count, self.meter = count, meter
        self.job, self.backbone, self.settings = count.job, count.backbone, count.settings
        self.row_bytes = 0.0

    def cost(self, work: Callable[[], object]) -> Cost:
        """What the work costs."""
        with self.meter.measure() as cost:
            work()
        return cost

    def generator(self) -> StagePlan:
        """A few steps on real batches, after one that is not timed."""
        chosen, streams = self.settings.generator, Streams(self.settings.seed)
        tuner = Tuner(self.job.card, self.backbone, chosen, streams)
        every = epoch_batches(self.count.shots(), chosen.batch_size, streams, 0)
        batches = list(islice(every, GENERATOR_STEPS + 1))
        tuner.step(batches[0])
        timed = batches[1:] or batches
        cost = self.cost(lambda: [tuner.step(batch) for batch in timed])
        return StagePlan("generator", cost, self.count.generator_steps() / len(timed))

    def synthesis(self) -> StagePlan:
        """A few rows under the prompts that tuning starts from.

        Such prompts may write one text again and again, so duplicates count as kept; where they
        write nothing that any rule lets pass, so does everything.
        """
        try:
            return self._write_rows(("duplicate", "near-duplicate"))
        except UserError:
            return self._write_rows(get_args(RuleName))

    def _write_rows(self, skip: Sequence[RuleName]) -> StagePlan:
        job, chosen = self.job, self.settings.synthesis.for_card(self.job.card)
        rows = min(ROWS_A_LABEL, chosen.rows_per_label)
        skip = (*chosen.cleaning.skip, *skip)
        cleaning = chosen.cleaning.model_copy(update={"skip": skip})
        few = chosen.model_copy(
            update={"rows_per_label": rows, "cleaning": cleaning, "min_label_ratio": 0.0}
        )
        prompts = label_prompt_start(job.card, self.backbone, self.settings.generator.prompt_length)
        with tempfile.TemporaryDirectory() as folder, self.meter.measure() as cost:
            made = synthesize(
                job.card,
                job.shots.train,
                prompts,
                self.backbone,
                few,
                Streams(self.settings.seed),
                Path(folder),
            )
            self.row_bytes = sum(f.stat().st_size for f in Path(folder).iterdir()) / max(
                1, len(made.rows)
            )
        # Without reading the corpora, which is done once and is nothing beside the rest.
        writing = made.speed.seconds / cost.wall_seconds
        cost.wall_seconds, cost.cpu_seconds = made.speed.seconds, cost.cpu_seconds * writing
        return StagePlan("synthesis", cost, chosen.rows_per_label / rows)

    def tuning(self) -> StagePlan:
        """A few steps of all arms; the few shots stand in for synthetic rows."""
        job, tuning = self.job, self.settings.tuning
        made, steps = job.shots.train, min(TUNING_STEPS, tuning.steps)
        few = tuning.model_copy(update={"steps": steps, "eval_every": steps})
        arms = planned_arms(tuning, self.settings.seed)
        cost = self.cost(
            lambda: fit_prompts(
                job.card, arms, job.shots.train, job.shots.dev, made, self.backbone, few
            )
        )
        return StagePlan("tuning", cost, self._times_tuning(steps))

    def _times_tuning(self, steps: int) -> float:
        """How much more the whole is than ``steps`` steps between two looks."""
        made = self.job.shots.train
        whole, look = self.count.tuning(made).flops, self.count.tuning(made, steps=0).flops
        one = self.count.tuning(made, steps=1).flops - 2 * look
        return whole / (steps * one + 2 * look)

    def evaluation(self) -> StagePlan:
        """A full call's rows, spread over all."""
        job, settings = self.job, self.settings
        rows = job.test if job.test is not None else job.shots.dev
        tokens = tokens_at_once(self.backbone.device, settings.evaluation.tokens_per_batch)
        length = settings.tuning.prompt_length
        sizes = [len(i) + length for i in self.backbone.encode_rows(job.card, rows, length)]
        wanted = max(8, round(tokens * len(sizes) / max(1, sum(sizes))))
        few = rows[:: max(1, len(rows) // wanted)]
        prompt = self.backbone.embed(
            torch.tensor(self.backbone.ordinary_token_ids()[:length], device=self.backbone.device)
        )
        cost = self.cost(
            lambda: predict(self.backbone, job.card, prompt, few, tokens_per_batch=tokens)
        )
        return StagePlan("evaluation", cost, self.count.evaluation_share(few))

    def disk_bytes(self) -> int:
        """Prompts, rows, predictions and the report."""
        settings, labels = self.settings, len(self.job.card.labels)
        hidden = self.backbone.hidden_size
        prompts = labels * settings.generator.prompt_length
        prompts += len(planned_arms(settings.tuning, 0)) * settings.tuning.prompt_length
        rows = labels * settings.synthesis.rows_per_label
        scored = len(self.job.test or self.job.shots.dev)
        found = 4 * hidden * prompts + self.row_bytes * rows + _PREDICTION_BYTES * scored
        return round(found) + _REPORT_BYTES
