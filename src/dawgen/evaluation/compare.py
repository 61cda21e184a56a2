"""Two methods side by side: is one better than the other, and by how much."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dawgen.errors import UserError
from dawgen.evaluation.results import Pair, Results, Side
from dawgen.evaluation.statistics import SignFlip, paired_bootstrap, sign_flip_test

Pairs = dict[tuple[str, int], Pair]
"""By task and seed."""


def compare(results: Results, first: str, second: str, tasks: Sequence[str] = ()) -> list[str]:
    """What two methods differ by on every backbone that has both, in plain sentences.

    Pairs are the cells of the same task and seed. The permutation test asks whether their
    differences could as well have the other sign; the bootstrap what other test rows would do.

    Args:
        first: a method, or ``METHOD@BACKBONE`` for its cells on one backbone (of the grid's names).
        second: likewise; where only one names a backbone, the other's cells are of the same.
        tasks: only these; all that both methods have without.
    """
    lines = []
    for ours, theirs in _sides(results, first, second):
        pairs = _checked_pairs(results, ours, theirs, tasks)
        if pairs:
            lines += _sentences(pairs, first, second, ours[0])
    if not lines:
        raise UserError(
            f"There is no task and seed that both {first} and {second} have a finished cell of."
        )
    return lines


def _sides(results: Results, first: str, second: str) -> list[tuple[Side, Side]]:
    """Both sides, once for each backbone where neither names one."""
    (ours, _, here), (theirs, _, there) = first.partition("@"), second.partition("@")
    for name in (here, there):
        if name and name not in results.backbones:
            raise UserError(
                f"No cell is of backbone {name!r}; there are {', '.join(results.backbones)}."
            )
    if here or there:
        return [((here or there, ours), (there or here, theirs))]
    return [((name, ours), (name, theirs)) for name in results.backbones]


def _checked_pairs(results: Results, ours: Side, theirs: Side, tasks: Sequence[str]) -> Pairs:
    pairs = results.pairs(ours, theirs)
    pairs = {place: pair for place, pair in pairs.items() if not tasks or place[0] in tasks}
    for (task, seed), (a, b) in pairs.items():
        if a.test != b.test:
            raise UserError(
                f"{ours[1]} and {theirs[1]} were scored on different test rows of {task} "
                f"(seed {seed}); run the grid again with one set of rows."
            )
    return pairs


def _sentences(pairs: Pairs, first: str, second: str, backbone: str) -> list[str]:
    test = sign_flip_test([a.accuracy - b.accuracy for a, b in pairs.values()])
    tasks = list(dict.fromkeys(task for task, _ in pairs))
    rows = [_row_differences([p for (t, _), p in pairs.items() if t == task]) for task in tasks]
    interval = paired_bootstrap(rows)
    seeds = sorted({seed for _, seed in pairs})
    by_task = 100 * float(np.mean([task.mean() for task in rows]))
    where = "" if "@" in first + second else f" on {backbone}"
    return [
        f"{first} against {second}{where}: {100 * test.mean:+.2f} points, the mean over "
        f"{test.pairs} pairs of task and seed (tasks {', '.join(tasks)}; "
        f"seeds {', '.join(str(seed) for seed in seeds)}).",
        f"p = {test.p:.3g}, two-sided: {_patterns(test)}. Tested: that these {test.pairs} "
        "differences could as well have the other sign.",
        f"{by_task:+.2f} points as the mean over tasks, 95 % interval {100 * interval.low:+.2f} to "
        f"{100 * interval.high:+.2f}: paired bootstrap over the test rows of each task, "
        f"{interval.resamples:,} resamples, the draws of the shots as they are.",
    ]


def _patterns(test: SignFlip) -> str:
    if test.exact:
        return f"exact sign-flip permutation test, all {test.patterns:,} patterns of signs"
    return f"sign-flip permutation test, {test.patterns:,} random patterns of signs (fixed seed)"


def _row_differences(pairs: Sequence[Pair]) -> npt.NDArray[np.float64]:
    """[N] the difference of being right, a test row, as the mean over seeds."""
    return np.mean([a.right.astype(float) - b.right.astype(float) for a, b in pairs], axis=0)
