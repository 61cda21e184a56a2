"""Disks that are full or closed, other processes, clocks that jump."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import pytest

from dawgen.storage.folder import RunFolder
from tests.faults.harness import NOTHING, Harness, left_over
from tests.faults.server import Disturbance
from tests.faults.test_kills import assert_equal


def assert_one_sentence(err: str, *parts: str) -> None:
    last = err.splitlines()[-1]
    assert last.startswith("dawgen: ")
    assert last.endswith(".")
    assert "Traceback" not in err
    for part in parts:
        assert part in last


def test_a_disk_that_fills_up(harness: Harness) -> None:
    """Whatever file is the first that does not fit: 2 kB end it early, 9 kB later."""
    out = harness.folder / "full"
    for largest in (2_000, 9_000):
        outcome = harness.run(out, Disturbance(largest=largest))
        assert outcome.code == 2
        assert_one_sentence(outcome.err, "may not grow that large")
        assert not [path for path in left_over(out) if path.endswith(".partial")]
    assert_equal(harness.try_out([], out))


def test_a_folder_that_can_only_be_read(harness: Harness) -> None:
    out = harness.folder / "closed" / "run"
    out.parent.mkdir(mode=0o555)
    outcome = harness.run(out, Disturbance(powerless=True))
    assert outcome.code == 2
    assert_one_sentence(outcome.err, "closed/run cannot be written: Permission denied")
    assert not out.exists()


def test_rows_that_may_not_be_read(harness: Harness) -> None:
    secret = harness.folder / "secret.jsonl"
    secret.write_bytes(harness.job.data("test").read_bytes())
    secret.chmod(0)
    arguments = [*harness.arguments(harness.folder / "unread"), "--test", str(secret)]
    outcome = harness.command(arguments, Disturbance(powerless=True))
    assert outcome.code == 2
    assert_one_sentence(outcome.err, "secret.jsonl cannot be read: Permission denied")
    assert not (harness.folder / "unread").exists()


def test_a_second_process_is_told_of_the_first(harness: Harness) -> None:
    out = harness.folder / "held"
    with RunFolder(out).lock():
        before = sorted(path.name for path in out.iterdir())
        outcome = harness.run(out, NOTHING)
        assert sorted(path.name for path in out.iterdir()) == before
    assert outcome.code == 2
    assert_one_sentence(outcome.err, f"pid {os.getpid()} on {platform.node()}")


@pytest.mark.slow
def test_a_clock_that_jumps_by_days(harness: Harness) -> None:
    out: Path = harness.folder / "clock"
    assert harness.run(out, Disturbance(clock=True)).code == 0
    assert_equal(harness.try_out([], out))
