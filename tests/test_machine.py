"""What the process may use, from files such as Linux shows them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from dawgen import machine
from dawgen.machine import control_groups, free_bytes

CPU = torch.device("cpu")


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(machine, "_PROC", tmp_path / "proc")
    monkeypatch.setattr(machine, "_GROUPS", tmp_path / "cgroup")
    return tmp_path


def write(place: Path, **files: str) -> None:
    place.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (place / name.replace("__", ".")).write_text(text)


def test_this_machine_has_free_memory() -> None:
    found = free_bytes(CPU)
    assert found is None or 2**20 < found < 2**50


def test_unknown_where_the_system_does_not_say(system: Path) -> None:
    assert free_bytes(CPU) is None
    assert free_bytes(torch.device("meta")) is None


def test_what_the_system_has(system: Path) -> None:
    write(system / "proc", meminfo="MemTotal: 9 kB\nMemFree: 2 kB\nMemAvailable:    5 kB\n")
    assert free_bytes(CPU) == 5 * 1024


def test_the_least_of_a_group_and_those_above_it(system: Path) -> None:
    write(system / "proc", meminfo="MemAvailable: 5 kB\n")
    write(system / "proc" / "self", cgroup="0::/job/step\n")
    step = system / "cgroup" / "job" / "step"
    write(step, memory__max="max\n", memory__current="100\n")
    assert free_bytes(CPU) == 5 * 1024
    stat = "anon 900\ninactive_file 300\n"
    write(step.parent, memory__max="2000\n", memory__current="1500\n", memory__stat=stat)
    assert free_bytes(CPU) == 2000 - 1500 + 300
    write(step, memory__max="600\n", memory__current="700\n")
    assert free_bytes(CPU) == 0


def test_groups_of_the_first_version(system: Path) -> None:
    write(system / "proc" / "self", cgroup="7:cpu,cpuacct:/x\n4:memory:/job\n0::/\n")
    write(
        system / "cgroup" / "memory" / "job",
        memory__limit_in_bytes="1000",
        memory__usage_in_bytes="400",
        memory__stat="total_inactive_file 50\n",
    )
    assert free_bytes(CPU) == 650
    assert control_groups("memory")[0] == system / "cgroup" / "memory" / "job"
