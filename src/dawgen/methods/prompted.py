"""Methods that tune a prompt and nothing else: they differ in rows, start and combination.

Each names what its arm of a stack needs (:class:`PromptJob`), so that a grid trains the arms of
many methods and seeds together, and one alone is a stack of one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from dawgen.backbone import Backbone
from dawgen.methods.base import Method, Prediction, Task, label_by_prompt
from dawgen.settings import Settings, TuningSettings
from dawgen.streams import Streams
from dawgen.tasks import Row, Shots, TaskCard
from dawgen.tuning import Arm, TunedPrompt
from dawgen.tuning.fit import fit_stack
from dawgen.tuning.rows import encode
from dawgen.tuning.start import start_prompt
from dawgen.tuning.state import ArmData


@dataclass(frozen=True)
class PromptJob:
    """One prompt to be tuned: its arm, its rows, its start and what it shares with others.

    Attributes:
        arm: seed, combination, rate; its name is free, jobs are numbered in a stack.
        train: labelled real rows.
        dev: real rows by which the best step is chosen.
        settings: jobs of equal settings can train in one stack.
        synthetic: labelled synthetic rows.
        start: [P,H]; what the settings name without.
    """

    arm: Arm
    train: Sequence[Row]
    dev: Sequence[Row]
    settings: TuningSettings
    synthetic: Sequence[Row] = ()
    start: Tensor | None = None


Prepare = Callable[[Task, Shots, Backbone, Settings, Streams], PromptJob]


def on_real_rows(
    name: str,
    shots: Shots,
    tuning: TuningSettings,
    streams: Streams,
    start: Tensor | None = None,
) -> PromptJob:
    """A prompt tuned on the few shots alone."""
    arm = Arm(name, streams.root, "real", learning_rate=tuning.learning_rate)
    return PromptJob(arm, shots.train, shots.dev, tuning, start=start)


def at_constant_rate(tuning: TuningSettings, **changes: object) -> TuningSettings:
    """The settings for tuning on real rows at one rate to the last step, with more changes."""
    fixed = {"combine": "real", "schedule": "constant", "warmup_steps": 0}
    return tuning.model_copy(update=fixed | changes)


def tune(card: TaskCard, jobs: Sequence[PromptJob], backbone: Backbone) -> list[TunedPrompt]:
    """Tune the jobs' prompts, those of equal settings and length in one stack; order is kept."""
    starts = [
        start_prompt(backbone, card, job.settings, job.arm.seed) if job.start is None else job.start
        for job in jobs
    ]
    stacks: dict[tuple[TuningSettings, int], list[int]] = {}
    for number, job in enumerate(jobs):
        stacks.setdefault((job.settings, starts[number].shape[0]), []).append(number)
    tuned: dict[int, TunedPrompt] = {}
    for (settings, length), numbers in stacks.items():
        arms = [Arm(**{**vars(jobs[n].arm), "name": f"{n}"}) for n in numbers]
        data = []
        for job in (jobs[n] for n in numbers):
            sets = (job.train, job.dev, job.synthetic)
            data.append(ArmData(*(encode(card, rows, backbone, length) for rows in sets)))
        found = fit_stack(card, arms, data, backbone, settings, starts=[starts[n] for n in numbers])
        tuned.update(zip(numbers, found, strict=True))
    return [tuned[number] for number in range(len(jobs))]


def label(
    task: Task, job: PromptJob, tuned: TunedPrompt, backbone: Backbone, settings: Settings
) -> Prediction:
    """The task's rows under a tuned prompt."""
    details = {
        "best_step": tuned.best_step,
        "dev_accuracy": tuned.dev_accuracy,
        "dev_loss": tuned.dev_loss,
        "synthetic_rows": len(job.synthetic),
    }
    return label_by_prompt(task, tuned.prompt, backbone, settings, details)


def alone(prepare: Prepare) -> Method:
    """The method of the protocol's signature: prepare, tune a stack of one, label."""

    def method(
        task: Task, shots: Shots, backbone: Backbone, settings: Settings, streams: Streams
    ) -> Prediction:
        job = prepare(task, shots, backbone, settings, streams)
        (tuned,) = tune(task.card, [job], backbone)
        return label(task, job, tuned, backbone, settings)

    return method
