"""(b) Five arms in one stack against five one after the other.

python -m benchmarks.stack
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from benchmarks.measure import Bar, Job, main
from benchmarks.tuning import our_steps

ARMS_AT_ONCE = 5


def stacked(job: Job) -> Callable[[], float]:
    """All arms in one pass."""
    return our_steps(job, ARMS_AT_ONCE)


def one_by_one(job: Job) -> Callable[[], float]:
    """As many steps of each arm alone, on one copy of the weights."""
    alone = our_steps(job, 1)
    return partial(_again, alone)


def _again(alone: Callable[[], float]) -> float:
    return sum(alone() for _ in range(ARMS_AT_ONCE))


BARS = {
    "cpu": [Bar("x one by one", "stacked", "one by one", least=1.0)],
    "cuda": [Bar("x one by one", "stacked", "one by one", least=3.0)],
}

if __name__ == "__main__":
    arms = {"stacked": stacked, "one by one": one_by_one}
    main("stack", "Five arms at once against one by one", arms, BARS)
