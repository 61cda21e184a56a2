"""What every method is given and gives back, so that all are compared on one protocol."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from dawgen.backbone import Backbone
from dawgen.errors import UserError
from dawgen.evaluation import predict
from dawgen.settings import Settings
from dawgen.streams import Streams
from dawgen.tasks import Row, Shots, TaskCard
from dawgen.terminal.progress import progress


@dataclass(frozen=True)
class Source:
    """A task with many labelled rows, from which methods of transfer learn."""

    card: TaskCard
    rows: Sequence[Row]


@dataclass(frozen=True)
class Task:
    """A task as a method meets it, beside its few shots.

    Attributes:
        card: the task.
        rows: what is to be labelled; their labels are not for the method to look at.
        unlabelled: rows of the task without their labels, for methods that adapt to it.
        source: for methods of transfer.
        pool: labelled rows, for the oracles of :mod:`dawgen.methods.true_rows` only.
        folder: where a method keeps what is made once and used again (a pre-trained prompt, a
            generator, synthetic rows), each by its fingerprint.
    """

    card: TaskCard
    rows: Sequence[Row]
    folder: Path
    unlabelled: Sequence[Row] = ()
    source: Source | None = None
    pool: Sequence[Row] = ()

    def needed_source(self, method: str) -> Source:
        """The source; a UserError where there is none."""
        if self.source is None:
            raise UserError(
                f"{method} learns from a large labelled source task; name its card with "
                f"--source and its rows with --source-rows."
            )
        return self.source


@dataclass(frozen=True)
class Prediction:
    """What a method gives back.

    Attributes:
        probabilities: [N,C] of the task's rows, in their order and the card's label order.
        details: plain values worth keeping, such as the chosen step or the number of
            demonstrations; they go into the scores' file.
    """

    probabilities: npt.NDArray[np.float32]
    details: dict[str, Any] = field(default_factory=dict)


def label_by_prompt(
    task: Task,
    prompt: Tensor | None,
    backbone: Backbone,
    settings: Settings,
    details: dict[str, Any] | None = None,
) -> Prediction:
    """The task's rows under a prompt [P,H], or under none."""
    tokens = settings.evaluation.tokens_per_batch
    found = predict(backbone, task.card, prompt, task.rows, tokens_per_batch=tokens)
    return Prediction(found, details or {})


def train(
    name: str,
    steps: int,
    look_every: int,
    update: Callable[[int], None],
    look: Callable[[int], None],
) -> None:
    """Run ``update`` for each step from 1.

    ``look`` comes before the first step, after every ``look_every`` of them and after the last.
    """
    with progress(name, steps, "steps") as advance:
        look(0)
        for step in range(1, steps + 1):
            update(step)
            if step % look_every == 0 or step == steps:
                look(step)
            advance(1)


Method = Callable[[Task, Shots, Backbone, Settings, Streams], Prediction]
