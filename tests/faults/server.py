"""Runs the command line again and again, each time in a new process that may be disturbed.

`python -m tests.faults.server` imports everything once and then forks: a run of the small job
takes a second or two that way instead of ten. Orders come in on standard input and outcomes go
out on standard output, one JSON object a line.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import select
import signal
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

SIGNALS = {"KILL": signal.SIGKILL, "TERM": signal.SIGTERM, "INT": signal.SIGINT}


@dataclass
class Disturbance:
    """What happens to a run.

    Attributes:
        after: seconds from its start to the signal.
        signal: which one; KILL, TERM or INT.
        at: the number of the rename (every atomic write ends in one) around which the process
            kills itself, and whether it does so before or after it.
        largest: bytes that no file may exceed: the disk is full.
        clock: the clock is set back and forth all the time.
        powerless: the superuser's rights over files are given up, as everybody else has none.
    """

    after: float | None = None
    signal: str = "KILL"
    at: tuple[int, str] | None = None
    largest: int | None = None
    clock: bool = False
    powerless: bool = False


@dataclass
class Outcome:
    """What became of a run: exit code (minus the signal's number where one ended it) and so on."""

    code: int
    seconds: float
    stop_seconds: float | None
    err: str
    renames: list[str] = field(default_factory=list)


def main() -> None:
    """Serve until standard input ends."""
    from dawgen import cli, pipeline  # noqa: F401 - to have it imported once
    from dawgen.storage import checkpoint

    checkpoint.EVERY, checkpoint.SHARE = 0.0, float("inf")  # a checkpoint after every step
    for line in sys.stdin:
        order = json.loads(line)
        outcome = _run(order["arguments"], Path(order["log"]), Disturbance(**order["disturbance"]))
        print(json.dumps(asdict(outcome)), flush=True)


def _run(arguments: list[str], log: Path, disturbance: Disturbance) -> Outcome:
    begin = perf_counter()
    pid = os.fork()
    if pid == 0:
        _child(arguments, log, disturbance)
    handle = os.pidfd_open(pid)
    asked = None
    if not select.select([handle], [], [], disturbance.after)[0]:
        asked = perf_counter()
        os.kill(pid, SIGNALS[disturbance.signal])
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.close(handle)
    end = perf_counter()
    renames = Path(f"{log}.renames")
    return Outcome(
        code,
        end - begin,
        None if asked is None else end - asked,
        log.read_text("utf-8", errors="replace") if log.is_file() else "",
        renames.read_text("utf-8").splitlines() if renames.is_file() else [],
    )


def _child(arguments: list[str], log: Path, disturbance: Disturbance) -> None:
    code = 1
    try:
        os.chdir(log.parent)
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, 1)
        os.dup2(file, 2)
        _disturb(disturbance, Path(f"{log}.renames"))
        from dawgen import cli

        code = cli.main(arguments)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _disturb(disturbance: Disturbance, log: Path) -> None:
    replace, number = os.replace, 0
    at = None if disturbance.at is None else tuple(disturbance.at)

    def counted(source: Any, target: Any, **options: Any) -> None:
        nonlocal number
        number += 1
        if at == (number, "before"):
            os.kill(os.getpid(), signal.SIGKILL)
        replace(source, target, **options)
        with log.open("a") as names:
            names.write(f"{target}\n")
        if at == (number, "after"):
            os.kill(os.getpid(), signal.SIGKILL)

    log.unlink(missing_ok=True)
    os.replace = counted
    if disturbance.largest is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (disturbance.largest, disturbance.largest))
    if disturbance.powerless:
        header, none = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
        assert ctypes.CDLL(None).capset(header, none) == 0
    if disturbance.clock:
        real, calls = time.time, 0

        def jumping() -> float:
            nonlocal calls
            calls += 1
            return real() + (-1) ** calls * 86_400 * calls

        time.time = jumping


if __name__ == "__main__":
    main()
