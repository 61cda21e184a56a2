"""A grid on a local Ray cluster of one and of two workers: how its time grows, and the driver.

python -m benchmarks.cluster

Eight prompts of the demo task, one after the other on each worker; a worker starts with the
cluster, so its start is part of the time.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
from pathlib import Path
from time import perf_counter

from benchmarks.measure import commit
from dawgen.machine.hardware import hardware, versions
from dawgen.tasks import load_card, packaged_data

PIECES = 8
GRID = f"""\
name: cluster
tasks: [demo]
seeds: {list(range(1, PIECES + 1))}
methods: [prompt-tuning]
stack: 1
test_rows: 100
backbones:
  - name: tiny
    settings: {{backbone.path: dawgen/tiny, tuning.steps: 40}}
"""


def write_data(folder: Path) -> None:
    """The demo task's rows as a grid reads them; shots are drawn from training and development."""
    folder.mkdir()
    data = packaged_data(load_card("demo"))
    pool = "".join(Path(data[split]).read_text("utf-8") for split in ("train", "dev"))
    (folder / "train.jsonl").write_text(pool, "utf-8")
    shutil.copy(data["test"], folder / "test.jsonl")


def spread(folder: Path, address: str, run: int) -> tuple[float, float]:
    """Seconds of the grid, and the most memory its driver had, MiB."""
    grid = folder / "grid.yaml"
    grid.write_text(GRID, "utf-8")
    command = ["bench", str(grid), "--data", str(folder), "--out", str(folder / str(run))]
    return dawgen(*command, "--cluster", address)


def synthesis(folder: Path, address: str) -> float:
    """The most memory that the driver of a small synthesis had, MiB."""
    where = ["demo", "--out", str(folder / "synthesis"), "-s", "generator.epochs=1"]
    dawgen("fit-generator", *where)
    few = ["-s", "synthesis.rows_per_label=64"]
    _, memory = dawgen("synthesize", *where, *few, "--cluster", address)
    return memory


def dawgen(*arguments: str) -> tuple[float, float]:
    """Run it; seconds and the most memory the process had, MiB."""
    program = str(Path(sys.executable).with_name("dawgen"))
    begin = perf_counter()
    child = os.posix_spawn(program, [program, *arguments], {**os.environ, "OMP_NUM_THREADS": "1"})
    _, status, usage = os.wait4(child, 0)
    if status:
        raise SystemExit(f"dawgen {arguments[0]} ended with {os.waitstatus_to_exitcode(status)}")
    return perf_counter() - begin, usage.ru_maxrss / 1024


def main() -> None:
    """Measure, print, write the figures."""
    from ray.cluster_utils import Cluster

    parser = argparse.ArgumentParser(description="A grid on one and on two workers")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    given = parser.parse_args()
    seconds: dict[int, list[float]] = {1: [], 2: []}
    driver = writer = 0.0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_data(folder / "demo")
        for run in range(2 * given.repeats):
            workers = 1 + run % 2
            nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": workers})
            nodes.wait_for_nodes()
            took, memory = spread(folder, nodes.address, run)
            seconds[workers].append(round(took, 1))
            driver = max(driver, memory)
            if not run:
                writer = synthesis(folder, nodes.address)
            nodes.shutdown()
    one, two = (statistics.median(seconds[workers]) for workers in (1, 2))
    print(
        f"cluster: {PIECES} prompts, 1 worker {one:.1f} s, 2 workers {two:.1f} s: {one / two:.2f} x"
    )
    print(f"cluster: the grid's driver had {driver:,.0f} MiB at most, synthesis' {writer:,.0f}")
    record = {
        "name": "cluster",
        "commit": commit(),
        "repeats": given.repeats,
        "pieces": PIECES,
        "seconds": seconds,
        "ratio": round(one / two, 3),
        "driver_mib": {"grid": round(driver, 1), "synthesis": round(writer, 1)},
        "hardware": hardware(),
        "versions": versions(),
    }
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "cluster.json").write_text(json.dumps(record, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
