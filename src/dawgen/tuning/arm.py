"""What one prompt of the stack is tuned by, and what comes of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from dawgen.settings import Combine, TuningSettings


@dataclass(frozen=True)
class Arm:
    """One prompt of a stack: what it may differ in from the others.

    Attributes:
        name: unique in the stack; log lines carry it.
        seed: of the prompt's start and of its batches. Arms with one seed start alike and see
            the same real rows in the same order, so they differ by strategy alone.
        combine: how real and synthetic rows combine.
        epsilon: weight of the synthetic gradient where the two gradients are added.
        learning_rate: before the schedule.
        label_smoothing: of the synthetic rows' targets.
    """

    name: str
    seed: int
    combine: Combine = "surgery"
    epsilon: float = 1.0
    learning_rate: float = 0.3
    label_smoothing: float = 0.0


@dataclass(frozen=True)
class TunedPrompt:
    """An arm's result.

    Attributes:
        arm: what it was tuned by.
        prompt: [P, H] in fp32 on the CPU, at the step that was best on the development rows.
        best_step: that step; 0 is the untouched start.
        dev_accuracy: on the development rows, 0 to 1.
        dev_loss: mean cross-entropy there, nats.
        history: one record a step, from step 0 on; see :mod:`dawgen.tuning.record`.
    """

    arm: Arm
    prompt: Tensor
    best_step: int
    dev_accuracy: float
    dev_loss: float
    history: list[dict[str, Any]] = field(repr=False)


def planned_arms(settings: TuningSettings, seed: int, *, reads: bool = False) -> list[Arm]:
    """The arm that the settings describe, and plain prompt tuning where asked, or as a reader."""
    arms = [
        Arm(
            "prompt",
            seed,
            settings.combine,
            settings.epsilon,
            settings.learning_rate,
            settings.label_smoothing,
        )
    ]
    if reads or (settings.baseline and settings.combine != "real"):
        arms.append(Arm("baseline", seed, "real", learning_rate=settings.learning_rate))
    return arms
