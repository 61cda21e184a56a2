"""(b) Five arms in one stack against five one after the other.

python -m benchmarks.stack
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from benchmarks.measure import Bar, Job, Share, main
from benchmarks.tuning import our_steps
from dawgen.settings.layers import build_settings

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


BARS: dict[str, list[Bar | Share]] = {
    "cpu": [Bar("x one by one", "stacked", "one by one", least=1.0)],
    "cuda": [
        Bar("x one by one", "stacked", "one by one", least=3.0),
        Share("of the peak", "stacked", 0.35),
    ],
}

if __name__ == "__main__":
    arms = {"stacked": stacked, "one by one": one_by_one}
    results = main("stack", "Five arms at once against one by one", arms, BARS)
    for result in results:
        if result["job"]["device"] == "cuda":
            steps = build_settings(preset="t5-large")[0].tuning.steps
            minutes = 7 * steps * result["arms"]["stacked"]["time"] / 60
            print(f"a row of table 1, 7 tasks x 5 seeds x {steps:,} steps: {minutes:,.0f} GPU min")
