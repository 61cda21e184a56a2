"""Memory and cores that this process may use, also by the limits of its control group."""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

_PROC, _GROUPS = Path("/proc"), Path("/sys/fs/cgroup")
_PROCESSORS = Path("/sys/devices/system/cpu")


def choose_threads() -> None:
    """Compute with one thread per core, unless OMP_NUM_THREADS is set.

    Call it before torch is imported. By default the libraries use one thread per hardware thread,
    two of which share the arithmetic of a core, and ignore the control group's quota.
    """
    os.environ.setdefault("OMP_NUM_THREADS", str(usable_cores()))


def usable_cores() -> int:
    """Physical cores that this process may run on, at most as many as its group's quota."""
    if hasattr(os, "sched_getaffinity"):
        processors = os.sched_getaffinity(0)
    else:
        processors = set(range(os.cpu_count() or 1))
    cores = {_siblings(processor) for processor in processors}
    quotas = [quota for group in control_groups("cpu") if (quota := _quota(group)) is not None]
    return max(1, int(min([len(cores), *quotas])))


def _siblings(processor: int) -> str:
    """The same text for all hardware threads of one core."""
    place = _PROCESSORS / f"cpu{processor}" / "topology" / "thread_siblings_list"
    return read_text(place).strip() or str(processor)


def _quota(group: Path) -> float | None:
    """Number of cores of a control group; None is no limit."""
    quota, _, period = read_text(group / "cpu.max").strip().partition(" ")
    if not quota:
        quota = read_text(group / "cpu.cfs_quota_us").strip()
        period = read_text(group / "cpu.cfs_period_us").strip()
    if not (quota.isdigit() and period.isdigit() and int(period)):
        return None
    return int(quota) / int(period)


def free_bytes(device: torch.device) -> int | None:
    """Free memory of the device; None if the system does not say."""
    if device.type == "cuda":
        import torch

        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + cached
    if device.type != "cpu":
        return None
    limits = [_available(), *(_left(group) for group in control_groups("memory"))]
    return min((limit for limit in limits if limit is not None), default=None)


def control_groups(controller: str) -> list[Path]:
    """Folders of the process's control group and its parents, version 1 or 2 (Linux)."""
    folders: list[Path] = []
    for line in read_text(_PROC / "self" / "cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        place = PurePosixPath(path.lstrip("/"))
        root = _GROUPS / controller if controllers else _GROUPS
        folders += [root / place, *(root / above for above in place.parents)]
    return list(dict.fromkeys(folder for folder in folders if folder.is_dir()))


def _available() -> int | None:
    available = re.search(r"^MemAvailable:\s+(\d+)", read_text(_PROC / "meminfo"), re.MULTILINE)
    return int(available[1]) * 1024 if available else None


def _left(group: Path) -> int | None:
    """Free memory of a control group; cached files that can be dropped count as free."""
    for most, used, cache in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        limit, taken = read_text(group / most).strip(), read_text(group / used).strip()
        if limit.isdigit() and taken.isdigit():
            lines = read_text(group / "memory.stat").splitlines()
            stat = dict(line.split(" ", 1) for line in lines)
            return max(0, int(limit) - int(taken) + int(stat.get(cache, 0)))
    return None


def read_text(path: Path) -> str:
    """A file of the system, empty if there is none."""
    try:
        return path.read_text("utf-8", errors="replace")
    except OSError:
        return ""
