"""What the process may use, from files such as Linux shows them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from dawgen.machine import limits as machine
from dawgen.machine.limits import choose_threads, control_groups, free_bytes, usable_cores

CPU = torch.device("cpu")


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(machine, "_PROC", tmp_path / "proc")
    monkeypatch.setattr(machine, "_GROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(machine, "_PROCESSORS", tmp_path / "cpu")
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


class TestCores:
    @pytest.fixture(autouse=True)
    def four_threads_of_two_cores(self, system: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for processor, siblings in enumerate(["0,2", "1,3", "0,2", "1,3"]):
            folder = system / "cpu" / f"cpu{processor}" / "topology"
            write(folder, thread_siblings_list=siblings + "\n")
        self.allow(monkeypatch, {0, 1, 2, 3})

    def allow(self, monkeypatch: pytest.MonkeyPatch, processors: set[int]) -> None:
        monkeypatch.setattr(os, "sched_getaffinity", lambda _process: processors, raising=False)

    def test_hardware_threads_of_one_core_count_once(self) -> None:
        assert usable_cores() == 2

    def test_only_those_that_the_process_may_run_on(self, monkeypatch) -> None:
        self.allow(monkeypatch, {1, 3})
        assert usable_cores() == 1

    def test_without_a_topology_each_is_a_core(self, monkeypatch) -> None:
        self.allow(monkeypatch, {4, 5, 6})
        assert usable_cores() == 3

    @pytest.mark.parametrize(("text", "cores"), [("150000 100000", 1), ("50000 100000", 1)])
    def test_a_quota_is_rounded_down_to_one_at_least(self, system, text, cores) -> None:
        write(system / "proc" / "self", cgroup="0::/job\n")
        write(system / "cgroup" / "job", cpu__max=text)
        assert usable_cores() == cores

    def test_no_quota_and_the_first_version(self, system) -> None:
        write(system / "proc" / "self", cgroup="3:cpu,cpuacct:/job\n0::/job\n")
        write(system / "cgroup" / "job", cpu__max="max 100000")
        group = system / "cgroup" / "cpu" / "job"
        write(group, cpu__cfs_quota_us="-1", cpu__cfs_period_us="100000")
        assert usable_cores() == 2
        write(group, cpu__cfs_quota_us="100000")
        assert usable_cores() == 1

    def test_what_the_user_says_wins(self, monkeypatch) -> None:
        monkeypatch.setenv("OMP_NUM_THREADS", "7")
        choose_threads()
        assert os.environ["OMP_NUM_THREADS"] == "7"
        monkeypatch.delenv("OMP_NUM_THREADS")
        choose_threads()
        assert os.environ["OMP_NUM_THREADS"] == "2"


def test_the_command_chooses_before_torch_is_there() -> None:
    code = (
        "import sys; from dawgen import cli; from dawgen.machine import limits as machine; "
        "assert 'torch' not in sys.modules; "
        "machine.usable_cores = lambda: 1; machine.choose_threads(); "
        "import torch; print(torch.get_num_threads())"
    )
    environment = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "1"
