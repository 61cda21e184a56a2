"""What a run will take, from a probe on this machine and counted work.

Each stage is begun for real, on a few rows or steps, and timed; the whole of it is as much longer
as its counted FLOPs are more. How many rows will be rejected is known only once the generator is
tuned, and how long its texts will be: of synthesis the plan says the least and the most.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, get_args

import torch

from dawgen.backbone.calls import tokens_at_once
from dawgen.backbone.choose_frame import frame_for
from dawgen.backbone.memory import fitting_tokens
from dawgen.decoding import decoding_of
from dawgen.evaluation import predict
from dawgen.generator.examples import epoch_batches
from dawgen.generator.fit import Tuner, label_prompt_start
from dawgen.machine.meter import Cost, Meter
from dawgen.pipeline.plan_selection import SelectionPlan
from dawgen.pipeline.planned import Plan, Range, StagePlan, exactly
from dawgen.pipeline.quick import names_alone
from dawgen.pipeline.reader import PromptReader
from dawgen.pipeline.stage_work import Counter
from dawgen.pipeline.stages import BASELINE, arms_of
from dawgen.settings.cleaning import RuleName
from dawgen.streams import Streams
from dawgen.synthesis import synthesize
from dawgen.synthesis.first_sentences import writes_first
from dawgen.terminal.progress import hushed, say
from dawgen.tuning import fit_prompts

if TYPE_CHECKING:
    from dawgen.backbone import Backbone
    from dawgen.backbone.shape import Work
    from dawgen.settings import Settings
    from dawgen.synthesis.importing import Given
    from dawgen.tasks import Row
    from dawgen.tasks.job import Job

_Found = TypeVar("_Found")
GENERATOR_STEPS, TUNING_STEPS, ROWS_A_LABEL, ROWS_WRITTEN = 2, 2, 12, 72
_REPORT_BYTES = 2 << 20
_PREDICTION_BYTES = 200
_SURE = 1e3
"""Nats, more than any margin that a row is asked for."""


def plan(
    job: Job,
    backbone: Backbone,
    settings: Settings,
    given: Given | None = None,
    writer: Backbone | None = None,
) -> Plan:
    """Probe every stage and count the rest.

    Args:
        given: rows from elsewhere; then no generator is tuned and nothing is written.
        writer: the language model that writes rows where it is not ``backbone``.
    """
    probe = _Probe(Counter(job, backbone, settings, writer), Meter())
    if settings.quick:
        return probe.quick()
    candidates: dict[str, float] = {}
    wants_baseline = BASELINE in arms_of(settings)
    first = [_measured("prompt tuning on the few shots", probe.baseline)] if wants_baseline else []
    if given:
        writing = [_measured("reading rows", partial(probe.importing, given))]
    else:
        writing = [_measured("generator steps", probe.generator)]
        writing.append(_measured("writing rows", probe.synthesis))
    written = len(given.rows) if given else probe.wanted_rows()
    tuning = _measured("prompt tuning on all rows", partial(probe.tuning, written))
    evaluation = _measured("labelling rows", probe.evaluation)
    if settings.selection.candidates == "paper":
        stages = [*first, *writing, tuning, evaluation]
    else:
        selection = _measured("other classifiers", partial(probe.selection, evaluation))
        reads = settings.synthesis.chooses
        if reads:
            writing = [*writing[:-1], selection.reader(writing[-1])]
        with hushed():
            last = [selection.stage(written, read=reads), evaluation]
            candidates = selection.candidates()
        stages = [*first, *writing, tuning, *last]
    tokens = fitting_tokens(backbone, graph=True)
    attempts = exactly(len(given.rows)) if given else probe.attempts()
    source = f"{given.origin.name} (SHA-256 {given.origin.sha256})" if given else None
    return Plan(stages, probe.disk_bytes(given), tokens, attempts, source, candidates)


def _measured(what: str, work: Callable[[], _Found]) -> _Found:
    """What a probe finds; on a large model each takes minutes, so each is announced."""
    say(f"dawgen: measuring {what}")
    with hushed():
        return work()


class _Probe:
    """Runs a little of each stage."""

    def __init__(self, count: Counter, meter: Meter) -> None:
        self.count, self.meter = count, meter
        self.job, self.backbone, self.settings = count.job, count.backbone, count.settings
        self.synthesis_settings = self.settings.synthesis.for_card(self.job.card)
        self.row_bytes = 0.0

    def cost(self, work: Callable[[], object]) -> Cost:
        """What the work costs."""
        with self.meter.measure() as cost:
            work()
        return cost

    def generator(self) -> StagePlan:
        """A few steps on real batches, after one that is not timed."""
        chosen, streams = self.settings.generator, Streams(self.settings.seed)
        tuner = Tuner(self.job.card, self.count.writer, chosen, streams)
        epoch = epoch_batches(self.count.shots(), chosen.batch_size, streams, 0)
        batches = list(islice(epoch, GENERATOR_STEPS + 1))
        tuner.step(batches[0])
        timed = batches[1:] or batches
        every = chosen.weights_every
        steps = range(max(len(timed), every))
        cost = self.cost(
            lambda: [tuner.step(timed[i % len(timed)], False, i % every == 0) for i in steps]
        )
        return StagePlan("generator", cost, exactly(self.count.generator_steps() / len(steps)))

    def synthesis(self) -> StagePlan:
        """A few rows under the prompts that tuning starts from, of the few shots' length.

        What such prompts write says nothing of what tuned ones will, so every row counts as kept:
        what is measured is the time of a token, with its share of scoring and cleaning.
        """
        job, backbone, chosen = self.job, self.count.writer, self.synthesis_settings
        a_label = max(1, min(ROWS_A_LABEL, ROWS_WRITTEN // len(job.card.labels)))
        if backbone.device.type == "cuda":  # which takes as long for a few rows as for a batch
            a_label = max(a_label, ceil(chosen.batch_size / len(job.card.labels)))
        few = chosen.model_copy(
            update={
                "rows_per_label": min(a_label, chosen.rows_per_label),
                "cleaning": chosen.cleaning.model_copy(update={"skip": get_args(RuleName)}),
                "min_label_ratio": 0.0,
                "oversample": 1.0,
                "shortest_text": 1.0,
            }
        )
        length = self.settings.generator.prompt_length
        frame = frame_for(job.card, backbone, self.settings.generator.frame)
        with tempfile.TemporaryDirectory() as folder, self.meter.measure() as cost:
            made = synthesize(
                job.card,
                job.shots.train,
                label_prompt_start(job.card, backbone, length),
                backbone,
                few,
                Streams(self.settings.seed),
                Path(folder),
                frame=frame,
                reader=self._agreeing if few.chooses else None,
            )
            size = sum(file.stat().st_size for file in Path(folder).iterdir())
            self.row_bytes = size / max(1, len(made.rows))
        # Without reading the corpora, which is done once and is nothing beside the rest.
        writing = made.speed.seconds / cost.wall_seconds
        cost.wall_seconds, cost.cpu_seconds = made.speed.seconds, cost.cpu_seconds * writing
        longest = decoding_of(
            chosen,
            job.card,
            job.shots.train,
            backbone,
            length,
            writes_first=writes_first(chosen.first_sentences),
            frame=frame,
        ).max_new_tokens
        attempts, tokens = self.attempts(), self.count.text_tokens(longest)
        least, most = attempts.least * tokens[0], attempts.most * tokens[1]
        return StagePlan("synthesis", cost, Range(least, most).scaled(1 / made.speed.tokens))

    def importing(self, given: Given) -> StagePlan:
        """Some of the rows read as the reader will; cleaning is nothing beside that."""
        few = given.rows[: ROWS_A_LABEL * len(self.job.card.labels)]
        reads = self.synthesis_settings.chooses
        cost = self.cost(lambda: self._agreeing(few) if reads else None)
        self.row_bytes = sum(len(row.text1) + len(row.text2 or "") for row in few) / len(few)
        return StagePlan("synthesis", cost, exactly(len(given.rows) / len(few)))

    def _agreeing(self, rows: Sequence[Row]) -> torch.Tensor:
        """Reads the rows as the reader will, but agrees with all of them."""
        card, tokens = self.job.card, self.settings.evaluation.tokens_per_batch
        PromptReader(self._words(), self.backbone, card, tokens)(rows)
        labels = torch.tensor([card.label_index(str(row.label)) for row in rows])
        sure = torch.nn.functional.one_hot(labels, len(card.labels)).double()
        return _SURE * sure

    def selection(self, evaluation: StagePlan) -> SelectionPlan:
        """The linear heads on a few shots; prompts read rows as in the evaluation."""
        per_row = evaluation.seconds.least / max(1, len(self.job.scored))
        arms = len(arms_of(self.settings)) + 1  # and zero-shot
        return SelectionPlan(self.job, self.backbone, self.settings, self.meter, per_row / arms)

    def quick(self) -> Plan:
        """Of a run that only chooses a classifier."""
        names = names_alone(self.settings, self.job.card)
        chosen = self.settings.selection.model_copy(update={"candidates": names})
        self.settings = self.settings.model_copy(update={"selection": chosen})
        evaluation = _measured("labelling rows", self.evaluation)
        selection = _measured("classifiers", partial(self.selection, evaluation))
        with hushed():
            stages = [selection.stage(0, read=False, alone=True)]
            found = selection.candidates()
        tokens = fitting_tokens(self.backbone, graph=True)
        size = _PREDICTION_BYTES * len(self.job.scored) + _REPORT_BYTES
        return Plan(stages, size, tokens, candidates=found)

    def wanted_rows(self) -> int:
        """Rows of all labels that synthesis is to write."""
        return self.synthesis_settings.rows_per_label * len(self.job.card.labels)

    def attempts(self) -> Range:
        """Texts that synthesis writes, from as many as it wants to as many as it may."""
        chosen = self.synthesis_settings
        wanted = chosen.rows_per_label * chosen.oversample * len(self.job.card.labels)
        return Range(wanted, wanted * chosen.max_attempts_factor)

    def baseline(self) -> StagePlan:
        """A few steps on the few shots alone."""
        return self._tuned(BASELINE, BASELINE, [], self.count.baseline)

    def tuning(self, written: int) -> StagePlan:
        """A few steps of the run's own prompt; the few shots stand in for so many synthetic rows,
        or as many as a step draws, more than once where they are fewer."""
        drawn = min(written, self.settings.tuning.synthetic_batch_size)
        shots = self.job.shots.train
        made = list(shots) * ceil(drawn / len(shots))
        return self._tuned("tuning", "prompt", made, partial(self.count.tuning, made))

    def _tuned(
        self, stage: str, arm: str, made: Sequence[Row], work: Callable[..., Work]
    ) -> StagePlan:
        """``work``: of so many steps, of all without."""
        job, tuning = self.job, self.settings.tuning
        steps = min(TUNING_STEPS, tuning.steps)
        few = tuning.model_copy(
            update={"steps": steps, "eval_every": steps, "synthetic_steps": None}
        )
        arms = [arms_of(self.settings)[arm]]
        cost = self.cost(
            lambda: fit_prompts(
                job.card, arms, job.shots.train, job.shots.dev, made, self.backbone, few
            )
        )
        whole, look = work().flops, work(steps=0).flops
        one = work(steps=1).flops - 2 * look
        return StagePlan(stage, cost, exactly(whole / (steps * one + 2 * look)))

    def evaluation(self) -> StagePlan:
        """A full call's rows, spread over all."""
        job, settings = self.job, self.settings
        rows = job.scored
        tokens = tokens_at_once(self.backbone.device, settings.evaluation.tokens_per_batch)
        length = settings.tuning.prompt_length
        sizes = [len(i) + length for i in self.backbone.encode_rows(job.card, rows, length)]
        wanted = max(8, round(tokens * len(sizes) / max(1, sum(sizes))))
        few = rows[:: max(1, len(rows) // wanted)]
        prompt = self._words()
        cost = self.cost(
            lambda: predict(self.backbone, job.card, prompt, few, tokens_per_batch=tokens)
        )
        return StagePlan("evaluation", cost, exactly(self.count.evaluation_share(few)))

    def _words(self) -> torch.Tensor:
        """A task prompt [P,H] of some tokens, in place of the tuned one."""
        ids = self.backbone.ordinary_token_ids()[: self.settings.tuning.prompt_length]
        return self.backbone.embed(torch.tensor(ids, device=self.backbone.device))

    def disk_bytes(self, given: Given | None) -> int:
        """Prompts, rows, predictions and the report."""
        settings, labels = self.settings, len(self.job.card.labels)
        numbers = len(arms_of(settings)) * settings.tuning.prompt_length * self.backbone.hidden_size
        if not given:
            vectors = labels * settings.generator.prompt_length
            numbers += vectors * self.count.writer.hidden_size
        rows = len(given.rows) if given else labels * self.synthesis_settings.rows_per_label
        scored = len(self.job.scored)
        found = 4 * numbers + self.row_bytes * rows + _PREDICTION_BYTES * scored
        return round(found) + _REPORT_BYTES
