"""Oracles: true rows of the pool in place of written ones, to see what rows could bring at best.

Nobody who has few shots has these rows. Beside a method that writes its rows they say how much of
what more rows can bring it has reached: the same prompt, start, steps and surgery.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial

import numpy as np

from dawgen.backbone import Backbone
from dawgen.errors import UserError
from dawgen.methods.base import Task
from dawgen.methods.prompted import Prepare, PromptJob
from dawgen.settings import Settings
from dawgen.streams import Streams
from dawgen.tasks import Row, Shots
from dawgen.tuning import Arm

IN_ALL = 960
"""Rows of all labels together, of the method without a number."""
PER_LABEL = (16, 40, 160, 640)
"""Rows of each label, of the methods with a number."""


def prepare(
    task: Task,
    shots: Shots,
    backbone: Backbone,
    settings: Settings,
    streams: Streams,
    *,
    per_label: int | None,
) -> PromptJob:
    """The shots and true rows beside them, combined by gradient surgery.

    Args:
        per_label: as many of each label, or as many as the pool has; ``IN_ALL`` of all without.

    Raises:
        UserError: there is no pool.
    """
    del backbone
    if not task.pool:
        raise UserError(
            "The oracles learn from labelled rows of a pool, which only a grid has; run them by "
            "`dawgen bench`."
        )
    labels = task.card.labels
    known = [*shots.train, *shots.dev, *task.rows]
    count = per_label or IN_ALL // len(labels)
    rows = drawn(task.pool, known, labels, count, streams.numpy("true-rows"))
    tuning = settings.tuning
    arm = Arm("true-rows", streams.root, "surgery", tuning.epsilon, tuning.learning_rate)
    return PromptJob(arm, shots.train, shots.dev, tuning, rows)


def drawn(
    pool: Sequence[Row],
    known: Sequence[Row],
    labels: Collection[str],
    count: int,
    rng: np.random.Generator,
) -> list[Row]:
    """``count`` pool rows of each label at random, none with the texts of a row that is known."""
    seen = {(row.text1, row.text2) for row in known}
    order = rng.permutation(len(pool))
    mixed = [pool[i] for i in order if (pool[i].text1, pool[i].text2) not in seen]
    return [row for label in labels for row in [r for r in mixed if r.label == label][:count]]


PREPARED: dict[str, Prepare] = {
    "true-rows": partial(prepare, per_label=None),
    **{f"true-rows-{count}": partial(prepare, per_label=count) for count in PER_LABEL},
}
