"""What every method is given and gives back, so that all are compared on one protocol."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dawgen.errors import UserError

if TYPE_CHECKING:
    from dawgen.backbone import Backbone
    from dawgen.settings import Settings
    from dawgen.streams import Streams
    from dawgen.tasks import Row, Shots, TaskCard


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
        folder: where a method keeps what is made once and used again (a pre-trained prompt, a
            generator, synthetic rows), each by its fingerprint.
    """

    card: TaskCard
    rows: Sequence[Row]
    folder: Path
    unlabelled: Sequence[Row] = ()
    source: Source | None = None

    def needed_source(self, method: str) -> Source:
        """The source, or one sentence that says how to name one."""
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


Method = Callable[["Task", "Shots", "Backbone", "Settings", "Streams"], Prediction]
