"""Measures time, memory and energy."""

from __future__ import annotations

import logging
import platform
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import torch

from dawgen.machine.hardware import peak_memory_mib
from dawgen.machine.limits import read_text


@dataclass
class Cost:
    """Seconds and kWh add up; of memory, the peak counts.

    Attributes:
        energy_kwh: None without codecarbon.
        peak_gpu_memory_mib: None without a GPU.
    """

    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_memory_mib: float = 0.0
    peak_gpu_memory_mib: float | None = None
    energy_kwh: float | None = None

    def __add__(self, other: Cost) -> Cost:
        gpu = [m for m in (self.peak_gpu_memory_mib, other.peak_gpu_memory_mib) if m is not None]
        energy = [e for e in (self.energy_kwh, other.energy_kwh) if e is not None]
        return Cost(
            self.wall_seconds + other.wall_seconds,
            self.cpu_seconds + other.cpu_seconds,
            max(self.peak_memory_mib, other.peak_memory_mib),
            max(gpu) if gpu else None,
            sum(energy) if energy else None,
        )

    def share(self, parts: int) -> Cost:
        """One of ``parts`` equal shares; the peaks of memory stay."""
        return replace(
            self,
            wall_seconds=self.wall_seconds / parts,
            cpu_seconds=self.cpu_seconds / parts,
            energy_kwh=None if self.energy_kwh is None else self.energy_kwh / parts,
        )

    def record(self) -> dict[str, float | None]:
        """The costs as they are in a cell of the benchmark."""
        seconds = {name: round(getattr(self, name), 3) for name in ("wall_seconds", "cpu_seconds")}
        return {**asdict(self), **seconds}


class Meter:
    """Measures pieces of work, one at a time."""

    def __init__(self) -> None:
        self._tracker = _energy_tracker()

    @property
    def measures_energy(self) -> bool:
        """Whether codecarbon is installed."""
        return self._tracker is not None

    @contextmanager
    def measure(self) -> Iterator[Cost]:
        """The cost of the block, which is filled in when the block ends."""
        cost = Cost()
        _reset_peaks()
        if self._tracker:
            self._tracker.start_task()
        wall, cpu = perf_counter(), process_time()
        try:
            yield cost
        finally:
            cost.wall_seconds = perf_counter() - wall
            cost.cpu_seconds = process_time() - cpu
            if self._tracker:
                energy = self._tracker.stop_task()  # None if it failed, which it only logs
                cost.energy_kwh = float(energy.energy_consumed) if energy else None
            cost.peak_memory_mib = _peak_mib()
            if torch.cuda.is_available():
                cost.peak_gpu_memory_mib = round(torch.cuda.max_memory_allocated() / 2**20, 1)


def _energy_tracker() -> Any:
    """codecarbon's tracker without network; None if it is not installed."""
    try:
        from codecarbon import OfflineEmissionsTracker
    except ImportError:
        return None
    logging.getLogger("codecarbon").setLevel(logging.ERROR)  # it logs before log_level is read
    # The country only turns kWh into CO2, which is not used.
    return OfflineEmissionsTracker(
        country_iso_code="USA", output_methods=[], log_level="error", allow_multiple_runs=True
    )


def _reset_peaks() -> None:
    """Reset the peaks of memory if the system can (Linux)."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    if platform.system() == "Linux":
        with suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")


def _peak_mib() -> float:
    """Largest resident size since the reset; of the whole process if there is no reset."""
    peak = re.search(r"VmHWM:\s+(\d+) kB", read_text(Path("/proc/self/status")))
    return round(int(peak[1]) / 1024, 1) if peak else peak_memory_mib()
