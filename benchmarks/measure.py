"""Timing arms against each other in one run: each in its own process, asked in turn."""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import torch
from transformers.utils import logging

from dawgen.backbone.counting import peak_flops
from dawgen.machine.hardware import hardware, versions
from dawgen.machine.meter import _peak_mib, _reset_peaks


@dataclass(frozen=True)
class Job:
    """What every arm of a benchmark is given."""

    model: str
    device: str
    threads: int
    seed: int
    rows: int


Make = Callable[[Job], Callable[[], float]]
"""Gets ready, and gives back what is timed; that gives back the FLOPs it counted, or 0."""


def serve(make: Make, job: Job, line: Connection) -> None:
    """An arm's process: get ready, work once to warm up, then whenever asked."""
    logging.set_verbosity_error()
    torch.set_num_threads(job.threads)
    try:
        work = make(job)
        gc.collect()
        _reset_peaks()
        loaded = _peak_mib()
        work()
        line.send("ready")
        while line.recv():
            wall, cpu = perf_counter(), process_time()
            flops = work()
            if job.device != "cpu":
                torch.cuda.synchronize()
            line.send((perf_counter() - wall, process_time() - cpu, flops))
        above = _peak_mib() - loaded
        if job.device != "cpu":
            above = torch.cuda.max_memory_allocated() / 2**20
        line.send({"loaded_mib": round(loaded, 1), "above_loaded_mib": round(above, 1)})
    except Exception as error:
        line.send(f"{type(error).__name__}: {error}")


def measure(arms: Mapping[str, Make], job: Job, repeats: int) -> dict[str, dict[str, Any]]:
    """Each arm's seconds (medians and all), CPU seconds, FLOPs and memory.

    Its ``time``, by which arms are compared, is the median of the clock's seconds; of one thread
    on a CPU of the processor's, which other work on the machine moves less.

    Raises:
        RuntimeError: an arm failed.
    """
    context = get_context("spawn")
    lines: dict[str, tuple[Connection, Any]] = {}
    found: dict[str, dict[str, Any]] = {}
    for name, make in arms.items():
        line, end = context.Pipe()
        process = context.Process(target=serve, args=(make, job, end), daemon=True)
        process.start()
        if (word := line.recv()) != "ready":
            raise RuntimeError(f"{name}: {word}")
        lines[name] = line, process
        found[name] = {"seconds": [], "cpu_seconds": []}
    for _ in range(repeats):
        for name, (line, _process) in lines.items():
            line.send(True)
            seconds, cpu, flops = line.recv()
            found[name]["seconds"].append(round(seconds, 4))
            found[name]["cpu_seconds"].append(round(cpu, 4))
            found[name]["flops"] = flops
    for name, (line, process) in lines.items():
        line.send(False)
        found[name] |= line.recv()
        process.join()
        found[name]["median_seconds"] = statistics.median(found[name]["seconds"])
        found[name]["median_cpu_seconds"] = statistics.median(found[name]["cpu_seconds"])
        alone = job.device == "cpu" and job.threads == 1
        found[name]["time"] = found[name]["median_cpu_seconds" if alone else "median_seconds"]
    return found


@dataclass(frozen=True)
class Bar:
    """A ratio that is to be reached: ``slower`` over ``quicker`` in the figure, at least ``least``.

    Where ``most`` is given, the ratio is ``quicker`` over ``slower`` and at most that.
    """

    title: str
    quicker: str
    slower: str
    figure: str = "time"
    least: float | None = None
    most: float | None = None

    def judge(self, arms: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        """The measured ratio, the bar, and whether it holds."""
        ours, theirs = (float(arms[n][self.figure]) for n in (self.quicker, self.slower))
        ratio = theirs / ours if self.least is not None else ours / theirs
        reached = ratio >= self.least if self.least is not None else ratio <= (self.most or 0.0)
        bar = f">= {self.least}" if self.least is not None else f"<= {self.most}"
        return {"title": self.title, "ratio": round(ratio, 3), "bar": bar, "reached": reached}


@dataclass(frozen=True)
class Share:
    """A share of the machine's peak, a large product, that an arm is to reach at least."""

    title: str
    arm: str
    least: float

    def judge(self, arms: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        """The measured share, the bar, and whether it holds."""
        share = float(arms[self.arm]["share_of_peak"])
        reached = share >= self.least
        return {"title": self.title, "ratio": share, "bar": f">= {self.least}", "reached": reached}


def add_shares(arms: Mapping[str, dict[str, Any]], job: Job) -> None:
    """To arms that count their FLOPs, their share of the peak in the models' number format."""
    dtype = torch.float32 if job.device == "cpu" else torch.bfloat16
    torch.set_num_threads(job.threads)
    peak = peak_flops(torch.device(job.device), dtype)
    for arm in arms.values():
        arm["share_of_peak"] = round(arm["flops"] / arm["time"] / peak, 3)


def commit() -> str:
    """The checkout's commit."""
    asked = subprocess.run(
        ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
    )
    return asked.stdout.strip() or "unknown"


def main(
    name: str, title: str, arms: Mapping[str, Make], bars: Mapping[str, Sequence[Bar | Share]]
) -> list[dict[str, Any]]:
    """The command line of a benchmark: measure, print the ratios, write the figures.

    Args:
        bars: of ``cpu`` and of ``cuda``.

    Returns:
        The results as written, one a model.
    """
    parser = argparse.ArgumentParser(description=title)
    parser.add_argument("--models", nargs="*", help="default: shipped and t5-small")
    parser.add_argument("--big", action="store_true", help="T5-large-shaped, bf16, on the GPU")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--seed", type=int, default=13)
    parser.add_argument("--rows", type=int, default=2000, help="of the evaluation")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    given = parser.parse_args()
    device = "cuda" if given.big else "cpu"
    usual = ["t5-large"] if given.big else ["shipped", "t5-small"]
    results = []
    for model in given.models or usual:
        job = Job(model, device, given.threads, given.seed, given.rows)
        found = measure(arms, job, given.repeats)
        add_shares(found, job)
        judged = [bar.judge(found) for bar in bars[device]]
        for one in judged:
            reached = "reached" if one["reached"] else "missed"
            print(f"{name} {model}: {one['title']}: {one['ratio']} ({one['bar']}, {reached})")
        results.append({"job": asdict(job), "arms": found, "bars": judged})
    record = {"name": name, "title": title, "commit": commit(), "repeats": given.repeats}
    record |= {"hardware": hardware(), "versions": versions(), "results": results}
    given.out.mkdir(parents=True, exist_ok=True)
    suffix = "-gpu" if given.big else ""
    path = given.out / f"{name}{suffix}.json"
    path.write_text(json.dumps(record, indent=1) + "\n", "utf-8")
    return results
