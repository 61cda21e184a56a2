"""Two methods side by side: is one better than the other, and by how much."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dawgen.errors import UserError
from dawgen.evaluation.results import CellResult, Results
from dawgen.evaluation.statistics import SignFlip, paired_bootstrap, sign_flip_test

Pair = tuple[CellResult, CellResult]


def compare(results: Results, first: str, second: str, tasks: Sequence[str] = ()) -> list[str]:
    """What two methods differ by on every backbone that has both, in plain sentences.

    Pairs are the cells of the same task and seed. The permutation test asks whether their
    differences could as well have the other sign; the bootstrap what other test rows would do.

    Args:
        tasks: only these; all that both methods have without.

    Raises:
        UserError: no pair, or a pair that was scored on different test rows.
    """
    lines = []
    for backbone in results.backbones:
        pairs = _pairs(results, backbone, first, second, tasks)
        if pairs:
            lines += _sentences(pairs, first, second, backbone)
    if not lines:
        raise UserError(
            f"There is no task and seed that both {first} and {second} have a finished cell of."
        )
    return lines


def _pairs(
    results: Results, backbone: str, first: str, second: str, tasks: Sequence[str]
) -> dict[str, dict[int, Pair]]:
    """Pairs by task and seed."""
    found: dict[str, dict[int, Pair]] = {}
    for name, method, task in results.done:
        if (name, method) != (backbone, first) or (tasks and task not in tasks):
            continue
        ours = results.seeds(backbone, first, task)
        theirs = results.seeds(backbone, second, task)
        for seed in ours:
            if seed not in theirs:
                continue
            if ours[seed].test != theirs[seed].test:
                raise UserError(
                    f"{first} and {second} were scored on different test rows of {task} "
                    f"(seed {seed}); run the grid again with one set of rows."
                )
            found.setdefault(task, {})[seed] = (ours[seed], theirs[seed])
    return dict(sorted(found.items()))


def _sentences(
    pairs: dict[str, dict[int, Pair]], first: str, second: str, backbone: str
) -> list[str]:
    differences = [a.accuracy - b.accuracy for task in pairs.values() for a, b in task.values()]
    test = sign_flip_test(differences)
    rows = [_row_differences(list(task.values())) for task in pairs.values()]
    interval = paired_bootstrap(rows)
    seeds = sorted({seed for task in pairs.values() for seed in task})
    by_task = 100 * float(np.mean([task.mean() for task in rows]))
    return [
        f"{first} against {second} on {backbone}: {100 * test.mean:+.2f} points, the mean over "
        f"{test.pairs} pairs of task and seed (tasks {', '.join(pairs)}; "
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
