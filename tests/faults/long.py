"""The long form of the fault tests, whose figures go into docs/reliability.md.

    python -m tests.faults.long [--seed 0] [--stride 4] [--only kills,signals,damage]

Half an hour on a free core; every atomic write and every damaged file with --stride 1, which
takes about three times as long.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter

import numpy as np

from dawgen.machine.hardware import hardware
from tests.backbone.test_formats import probabilities
from tests.faults.damage import WAYS, artefacts, mend
from tests.faults.grids import KilledGrid
from tests.faults.harness import RESULTS, Harness, Trial
from tests.faults.page import write_page
from tests.faults.server import Disturbance
from tests.invariants.jobs import files_of
from tests.invariants.test_threads import SHORT

FIGURES = Path(__file__).parents[2] / "docs" / "faults.json"
Row = tuple[str, int, int, int]
"""What was done to it; how often; how often it went on; how often to the same bytes."""


def _row(what: str, trials: list[Trial], code: int) -> Row:
    """Disturbances that did end a run count as tried, and are equal where their trial is."""
    tried = [sum(outcome.code == code for outcome in trial.outcomes) for trial in trials]
    went_on = sum(n for n, trial in zip(tried, trials, strict=True) if trial.continued)
    equal = sum(n for n, trial in zip(tried, trials, strict=True) if trial.equal)
    return what, sum(tried), went_on, equal


def kills(harness: Harness, stream: random.Random, stride: int) -> Iterator[Row]:
    """kill -9 before and after atomic writes, and at random moments."""
    count = len(harness.undisturbed.renames)
    for when, first in (("before", 1), ("after", 1 + stride // 2)):
        points = range(first, count + 1, stride)
        trials = [harness.try_out([Disturbance(at=(number, when))]) for number in points]
        yield _row(f"kill -9 {when} {len(points)} of {count} atomic writes", trials, -9)
    longest = harness.undisturbed.seconds
    trials = [
        harness.try_out([Disturbance(after=stream.uniform(0, 0.8) * longest) for _ in range(3)])
        for _ in range(10)
    ]
    yield _row("kill -9 at random moments, three a run", trials, -9)


def signals(harness: Harness, stream: random.Random, stride: int) -> Iterator[Row]:
    """SIGTERM and Ctrl-C at random moments."""
    longest = harness.undisturbed.seconds
    for name, code in (("TERM", 143), ("INT", 130)):
        trials = [
            harness.try_out(
                [Disturbance(after=stream.uniform(0, 0.8) * longest, signal=name) for _ in "12"]
            )
            for _ in range(3)
        ]
        seconds = [o.stop_seconds for t in trials for o in t.outcomes if o.code == code]
        slowest = max(s for s in seconds if s is not None)
        label = {"TERM": "SIGTERM", "INT": "Ctrl-C"}[name]
        yield _row(f"{label} at random moments (stopped within {slowest:.1f} s)", trials, code)


def damage(harness: Harness, stream: random.Random, stride: int) -> Iterator[Row]:
    """Every file of every stage, damaged in three ways."""
    every = artefacts(harness.folder / "undisturbed")
    for number, way in enumerate(WAYS):
        names = every if stride == 1 else every[number :: len(WAYS)]
        found = {name: mend(harness, name, way) for name in names}
        right = sum(mended.right(name) for name, mended in found.items())
        went_on = sum(mended.code == 0 for mended in found.values())
        yield (
            f"{len(names)} of {len(every)} artefacts {way}: named, only its stage done again",
            len(names),
            went_on,
            right,
        )


def grid(harness: Harness, stream: random.Random, stride: int) -> Iterator[Row]:
    """A grid of eight cells, killed at random moments."""
    small = KilledGrid(harness)
    tried = went_on = right = 0
    for _ in range(2):
        longest = small.undisturbed.seconds
        moments = [Disturbance(after=stream.uniform(0.1, 0.6) * longest) for _ in range(3)]
        outcomes, equal = small.killed(moments)
        killed = sum(outcome.code == -9 for outcome in outcomes)
        tried += killed
        went_on += killed * (outcomes[-1].code == 0)
        right += killed * equal
    cells = len(small.reference)
    yield f"a grid of {cells} cells, kill -9 at random moments", tried, went_on, right


def shipped(harness: Harness, stream: random.Random, stride: int) -> Iterator[Row]:
    """SIGTERM during the shipped job on the shipped backbone: how long it takes to stop."""
    arguments = ["run", "demo", "--out", str(harness.folder / "demo")]
    seconds, sentences = [], 0
    for _ in range(8):
        moment = stream.uniform(4, 25)
        outcome = harness.command(arguments, Disturbance(after=moment, signal="TERM"))
        assert outcome.stop_seconds is not None
        seconds.append(outcome.stop_seconds)
        one = outcome.err.splitlines()[-1].endswith("resumes from it.")
        sentences += outcome.code == 143 and one
    within = sum(value < 5 for value in seconds)
    what = f"SIGTERM on the shipped backbone (slowest stop {max(seconds):.1f} s; bar 5 s)"
    yield what, len(seconds), sentences, within


def numbers(harness: Harness, stream: random.Random, stride: int) -> Iterator[Row]:
    """bf16 beside fp32 on the shipped backbone."""
    fp32, bf16 = probabilities(200)
    difference = np.abs(fp32 - bf16)
    same = int((fp32.argmax(axis=1) == bf16.argmax(axis=1)).sum())
    yield (
        f"p(label) in bf16 and in fp32: differ by {difference.max():.3f} at most, "
        f"{difference.mean():.4f} on average; the same label",
        len(fp32),
        len(fp32),
        same,
    )


def threads(harness: Harness, stream: random.Random, stride: int) -> Iterator[Row]:
    """One thread beside another run on one and a run on two, on the shipped backbone."""
    runs = {}
    for name, count in (("one", 1), ("again", 1), ("two", 2)):
        runs[name] = harness.folder / f"threads-{name}"
        sets = [part for key, value in SHORT.items() for part in ("-s", f"{key}={value}")]
        command = [sys.executable, "-m", "dawgen", "run", "demo", "--out", str(runs[name])]
        environment = os.environ | {"OMP_NUM_THREADS": str(count)}
        subprocess.run([*command, *sets], env=environment, check=True, capture_output=True)
    for name in ("again", "two"):
        what = {"again": "one thread twice", "two": "one thread and two"}[name]
        one = {stage: files_of(runs["one"] / stage) for stage in RESULTS}
        equal = [stage for stage in RESULTS if files_of(runs[name] / stage) == one[stage]]
        named = ", ".join(equal) or "none"
        yield f"folders of {what}, equal are: {named}", len(RESULTS), len(RESULTS), len(equal)


PARTS: dict[str, Callable[[Harness, random.Random, int], Iterator[Row]]] = {
    "kills": kills,
    "signals": signals,
    "damage": damage,
    "grid": grid,
    "shipped": shipped,
    "numbers": numbers,
    "threads": threads,
}


def main() -> None:
    """Try everything and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--stride", type=int, default=4)
    parser.add_argument("--only", default=",".join(PARTS))
    options = parser.parse_args()
    known = json.loads(FIGURES.read_text("utf-8")) if FIGURES.is_file() else {}
    wanted = options.only.split(",")
    with tempfile.TemporaryDirectory() as folder:
        harness = Harness(Path(folder))
        for name in wanted:
            begin = perf_counter()
            rows = []
            for row in PARTS[name](
                harness, random.Random(f"{options.seed} {name}"), options.stride
            ):
                print(*row, sep=" | ", flush=True)
                rows.append(row)
            known[name] = {
                "rows": rows,
                "seed": options.seed,
                "commit": _commit(),
                "seconds": round(perf_counter() - begin),
                "hardware": hardware(),
            }
            FIGURES.write_text(json.dumps(known, indent=2) + "\n", "utf-8")
        harness.close()
    write_page()


def _commit() -> str:
    found = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True
    )
    return found.stdout.strip()


if __name__ == "__main__":
    main()
