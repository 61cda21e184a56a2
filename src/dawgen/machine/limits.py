"""What of the machine this process may use: free memory and cores, by its control group too."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

_PROC, _GROUPS = Path("/proc"), Path("/sys/fs/cgroup")
_PROCESSORS = Path("/sys/devices/system/cpu")


def choose_threads() -> None:
    """Compute with a thread a core, unless OMP_NUM_THREADS says otherwise.

    Call it before torch is imported. By themselves the libraries take a thread a hardware thread,
    two of which share one core's arithmetic, and look at no control group's quota.
    """
    os.environ.setdefault("OMP_NUM_THREADS", str(usable_cores()))


def usable_cores() -> int:
    """Physical cores that this process may run on, and no more than its group's quota pays for."""
    processors = _processors()
    cores = {_siblings(processor) for processor in processors}
    quotas = [quota for group in control_groups("cpu") if (quota := _quota(group)) is not None]
    return max(1, int(min([len(cores), *quotas])))


def _processors() -> set[int]:
    """Hardware threads that the process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))


def _siblings(processor: int) -> str:
    """The same text for all hardware threads of one core."""
    place = _PROCESSORS / f"cpu{processor}" / "topology" / "thread_siblings_list"
    return _read(place).strip() or str(processor)


def _quota(group: Path) -> float | None:
    """Cores' worth of time that a control group may take; None is no limit."""
    quota, _, period = _read(group / "cpu.max").strip().partition(" ")
    if not quota:
        quota = _read(group / "cpu.cfs_quota_us").strip()
        period = _read(group / "cpu.cfs_period_us").strip()
    if not (quota.isdigit() and period.isdigit() and int(period)):
        return None
    return int(quota) / int(period)


def free_bytes(device: torch.device) -> int | None:
    """Memory of the device that can still be taken; None where the system does not say."""
    if device.type == "cuda":
        import torch

        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + cached
    if device.type != "cpu":
        return None
    known = [_available(), *(_left(group) for group in control_groups("memory"))]
    return min((found for found in known if found is not None), default=None)


def control_groups(controller: str) -> list[Path]:
    """Folders of the process's control group and of those above it, version 1 or 2 (Linux)."""
    found = []
    for line in _read(_PROC / "self" / "cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        place = PurePosixPath(path.lstrip("/"))
        root = _GROUPS / controller if controllers else _GROUPS
        found += [root / place, *(root / above for above in place.parents)]
    return list(dict.fromkeys(folder for folder in found if folder.is_dir()))


def _available() -> int | None:
    for line in _read(_PROC / "meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None


def _left(group: Path) -> int | None:
    """What a control group's limit leaves; cached files that can go count as free."""
    for most, used, cache in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        limit, taken = _read(group / most).strip(), _read(group / used).strip()
        if limit.isdigit() and taken.isdigit():
            stat = dict(line.split(" ", 1) for line in _read(group / "memory.stat").splitlines())
            return max(0, int(limit) - int(taken) + int(stat.get(cache, 0)))
    return None


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8", errors="replace")
    except OSError:
        return ""
