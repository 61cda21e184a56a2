"""What a piece of work cost: seconds, memory, energy."""

from __future__ import annotations

import logging
import platform
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import torch

from dawgen.machine.hardware import peak_memory_mib


@dataclass
class Cost:
    """Seconds and kWh add up; of memory the peak counts.

    Attributes:
        energy_kwh: None where codecarbon is not installed.
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
        """One of ``parts`` equal shares; the peak of memory is everyone's."""
        return Cost(
            self.wall_seconds / parts,
            self.cpu_seconds / parts,
            self.peak_memory_mib,
            self.peak_gpu_memory_mib,
            None if self.energy_kwh is None else self.energy_kwh / parts,
        )

    def record(self) -> dict[str, float | None]:
        """As it stands in a cell."""
        return {
            "wall_seconds": round(self.wall_seconds, 3),
            "cpu_seconds": round(self.cpu_seconds, 3),
            "peak_memory_mib": self.peak_memory_mib,
            "peak_gpu_memory_mib": self.peak_gpu_memory_mib,
            "energy_kwh": self.energy_kwh,
        }


class Meter:
    """Measures one piece of work after another."""

    def __init__(self) -> None:
        self._tracker = _energy_tracker()

    @property
    def measures_energy(self) -> bool:
        """Whether codecarbon is installed."""
        return self._tracker is not None

    @contextmanager
    def measure(self) -> Iterator[Cost]:
        """Gives back a cost that is filled in when the work is over."""
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
                found = self._tracker.stop_task()  # None where it failed, which it only logs
                cost.energy_kwh = float(found.energy_consumed) if found else None
            cost.peak_memory_mib = _peak_mib()
            if torch.cuda.is_available():
                cost.peak_gpu_memory_mib = round(torch.cuda.max_memory_allocated() / 2**20, 1)


def _energy_tracker() -> Any:
    """codecarbon's tracker without network, or None where it is not installed."""
    try:
        from codecarbon import OfflineEmissionsTracker
    except ImportError:
        return None
    logging.getLogger("codecarbon").setLevel(logging.ERROR)  # it speaks before log_level is read
    # The country only turns kWh into CO2, which is not kept.
    return OfflineEmissionsTracker(
        country_iso_code="USA", output_methods=[], log_level="error", allow_multiple_runs=True
    )


_CLEAR, _STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")


def _reset_peaks() -> None:
    """Start the peak of resident memory anew where the system can (Linux)."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    if platform.system() == "Linux":
        try:
            _CLEAR.write_text("5")
        except OSError:
            return


def _peak_mib() -> float:
    """Largest resident size since the reset; where there is none, of the whole process."""
    try:
        found = re.search(r"VmHWM:\s+(\d+) kB", _STATUS.read_text())
    except OSError:
        found = None
    return round(int(found[1]) / 1024, 1) if found else peak_memory_mib()
