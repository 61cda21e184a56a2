"""`dawgen serve` under load: rows a second, waiting times and memory for many tasks in one process.

    python -m benchmarks.serving --tasks 1 100 10000 --out serving.json

Each task is a run folder with a random prompt over the shipped backbone. Clients send one row at a
time, each to a task drawn at random, and send the next one when they have the answer. The same
server that reads one row at a time is the peer.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import commit
from dawgen.backbone import Backbone, load_backbone
from dawgen.machine.hardware import hardware, versions
from dawgen.prompts import random_normal, save_prompt
from dawgen.settings import BackboneSettings
from dawgen.settings.layers import build_settings, dump_settings
from dawgen.storage.folder import write_json, write_text
from dawgen.tasks.card import card_text

ARMS = {"batched": 64, "one row at a time": 1}
"""Rows that a server reads at once."""
DIFFERENT = 100
"""Prompts; of more tasks several have the same one, which each loads for itself."""


def write_runs(folder: Path, backbone: Backbone, count: int) -> None:
    """Run folders of the demo task with random prompts, as a run writes them."""
    settings, text = dump_settings(build_settings()[0]), card_text("demo")
    table = backbone.table().detach()
    for number in range(count):
        run = folder / f"task-{number}"
        if number >= DIFFERENT:
            shutil.copytree(folder / f"task-{number % DIFFERENT}", run)
            continue
        run.mkdir()
        write_text(run / "task.yaml", text)
        write_text(run / "config.yaml", settings)
        prompt = random_normal(table, 20, np.random.default_rng(number))
        save_prompt(prompt, run / "prompt", backbone)


@contextmanager
def server(folder: Path, rows_per_batch: int) -> Iterator[tuple[int, str, float]]:
    """A server of all runs in the folder: its process, its port, and seconds until it listens."""
    command = [sys.executable, "-m", "benchmarks.serving", "--serve", str(folder)]
    command += ["--rows-per-batch", str(rows_per_batch)]
    start = time.perf_counter()
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        lines = []
        for line in process.stderr:
            lines.append(line)
            if found := re.search(r"serving .* at http://[\d.]+:(\d+)", line):
                yield process.pid, found[1], time.perf_counter() - start
                break
        else:
            raise RuntimeError("".join(lines))
        process.terminate()


class Client:
    """A connection that sends one row at a time."""

    def __init__(self, port: str, rows: Sequence[dict[str, str]], tasks: int, seed: int) -> None:
        self.port, self.rows, self.tasks = int(port), rows, tasks
        self.random = random.Random(seed)
        self.seconds: list[float] = []

    async def run(self, end: float) -> None:
        """Send rows until then."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        while (start := time.perf_counter()) < end:
            body = json.dumps({"rows": [self.random.choice(self.rows)]}).encode()
            head = (
                f"POST /tasks/task-{self.random.randrange(self.tasks)}/predict HTTP/1.1\r\n"
                "Host: localhost\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\n\r\n"
            )
            writer.write(head.encode() + body)
            answer = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            size = re.search(r"content-length: (\d+)", answer)
            assert size
            body = await reader.readexactly(int(size[1]))
            if " 200 " not in answer.split("\r\n", 1)[0]:
                raise RuntimeError(body.decode())
            self.seconds.append(time.perf_counter() - start)
        writer.close()


async def load(
    process: int,
    port: str,
    rows: Sequence[dict[str, str]],
    tasks: int,
    clients: int,
    seconds: float,
) -> dict[str, Any]:
    """What so many clients see, after two seconds that do not count."""
    warm = [Client(port, rows, tasks, n) for n in range(clients)]
    await asyncio.gather(*(each.run(time.perf_counter() + 2) for each in warm))
    start, cpu = time.perf_counter(), cpu_seconds(process)
    working = [Client(port, rows, tasks, 1000 + n) for n in range(clients)]
    await asyncio.gather(*(each.run(start + seconds) for each in working))
    waits = np.concatenate([each.seconds for each in working])
    return {
        "rows": len(waits),
        "cpu_ms_per_row": round(1000 * (cpu_seconds(process) - cpu) / len(waits), 1),
        "rows_per_second": round(len(waits) / (time.perf_counter() - start), 1),
        "p50_ms": round(1000 * float(np.quantile(waits, 0.5)), 1),
        "p99_ms": round(1000 * float(np.quantile(waits, 0.99)), 1),
    }


def cpu_seconds(process: int) -> float:
    """Processor time of a process, which other work on the machine moves less than the clock."""
    fields = Path(f"/proc/{process}/stat").read_text("utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mib(process: int) -> float:
    """Resident memory of a process."""
    status = Path(f"/proc/{process}/status").read_text("utf-8")
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found
    return round(int(found[1]) / 1024, 1)


def measure(counts: Sequence[int], clients: int, seconds: float) -> list[dict[str, Any]]:
    """A record for each number of tasks and each arm; of many tasks of the first arm alone."""
    backbone = load_backbone(BackboneSettings())
    lines = (
        (resources.files("dawgen.tasks") / "demo" / "test.jsonl").read_text("utf-8").splitlines()
    )
    rows = [json.loads(line) for line in lines]
    records = []
    for count in counts:
        with tempfile.TemporaryDirectory() as home:
            write_runs(Path(home), backbone, count)
            arms = ARMS if count <= DIFFERENT else {"batched": ARMS["batched"]}
            for arm, rows_per_batch in arms.items():
                with server(Path(home), rows_per_batch) as (process, port, start):
                    record = {"tasks": count, "arm": arm, "start_seconds": round(start, 1)}
                    record["idle_mib"] = memory_mib(process)
                    record |= asyncio.run(load(process, port, rows, count, clients, seconds))
                    record["loaded_mib"] = memory_mib(process)
                print(json.dumps(record), flush=True)
                records.append(record)
    return records


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tasks", nargs="*", type=int, default=[1, 100, 10_000])
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--rows-per-batch", type=int, default=64, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.serve:
        from dawgen.serving.limits import Limits
        from dawgen.serving.server import serve

        limits = Limits(rows_per_batch=asked.rows_per_batch)
        serve(sorted(asked.serve.iterdir()), port=0, limits=limits)
        return
    records = measure(asked.tasks, asked.clients, asked.seconds)
    if asked.out:
        about = {"commit": commit(), "hardware": hardware(), "versions": versions()}
        write_json(asked.out, about | {"clients": asked.clients, "records": records})


if __name__ == "__main__":
    main()
