"""What a run will take, stage by stage, as figures and as a table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from dawgen.machine.meter import Cost


@dataclass(frozen=True)
class Range:
    """The least and the most that something may be."""

    least: float
    most: float

    def __add__(self, other: Range) -> Range:
        return Range(self.least + other.least, self.most + other.most)

    def scaled(self, factor: float) -> Range:
        """Both ends times ``factor``."""
        return Range(self.least * factor, self.most * factor)

    def text(self, form: Callable[[float], str]) -> str:
        """Both ends in words, or one where they read alike."""
        return " to ".join(dict.fromkeys([form(self.least), form(self.most)]))


NOTHING = Range(0.0, 0.0)


def exactly(value: float) -> Range:
    """What is known beforehand."""
    return Range(value, value)


@dataclass(frozen=True)
class StagePlan:
    """One stage: what the probe took, and how much more the whole is.

    Attributes:
        probe: its cost.
        times: the whole is so many probes.
    """

    name: str
    probe: Cost
    times: Range

    @property
    def seconds(self) -> Range:
        """Of the whole stage."""
        return self.times.scaled(self.probe.wall_seconds)

    @property
    def cpu_seconds(self) -> Range:
        """The same by the processor's clock, which other work on the machine does not move."""
        return self.times.scaled(self.probe.cpu_seconds)

    @property
    def kwh(self) -> Range | None:
        """Of the whole stage; None without codecarbon."""
        return None if self.probe.energy_kwh is None else self.times.scaled(self.probe.energy_kwh)


@dataclass(frozen=True)
class Plan:
    """What a run will take.

    Attributes:
        disk_bytes: of the run folder.
        tokens_per_batch: tokens of one forward and backward call that free memory holds; None
            where the system does not say how much is free.
        attempts: texts that synthesis will write, or rows that are imported, if it is among the
            stages.
        source: where rows are imported from; None where a generator writes them.
        candidates: seconds of each candidate of the choice, on the shots and the test rows.
    """

    stages: list[StagePlan]
    disk_bytes: int
    tokens_per_batch: int | None
    attempts: Range | None = None
    source: str | None = None
    candidates: dict[str, float] = field(default_factory=dict)

    @property
    def seconds(self) -> Range:
        """Of all stages."""
        return sum((stage.seconds for stage in self.stages), NOTHING)

    @property
    def kwh(self) -> Range | None:
        """Of all stages; None without codecarbon."""
        known = [stage.kwh for stage in self.stages if stage.kwh is not None]
        return sum(known, NOTHING) if len(known) == len(self.stages) else None

    @property
    def memory_mib(self) -> float:
        """Peak of the process, or of the GPU where there is one."""
        return max(s.probe.peak_gpu_memory_mib or s.probe.peak_memory_mib for s in self.stages)

    def lines(self, price: float | None = None) -> list[str]:
        """A table in plain text; ``price`` is of an hour of this machine."""
        head = _columns("stage", "time", "memory", "energy")
        found = [head + (f"{'cost':>18}" if price is not None else "")]
        for stage in self.stages:
            memory = stage.probe.peak_gpu_memory_mib or stage.probe.peak_memory_mib
            found.append(_line(stage.name, stage.seconds, memory, stage.kwh, price))
        found.append(_line("all", self.seconds, self.memory_mib, self.kwh, price))
        if self.attempts and self.source:
            found.append(f"synthesis: {self.attempts.most:,.0f} rows from {self.source}, cleaned")
        elif self.attempts:
            found.append(_about_synthesis(self.attempts))
        if self.candidates:
            found.append(_about_selection(self.candidates))
        return [*found, f"disk: {self.disk_bytes / 1e6:,.1f} MB" + self._fitting()]

    def _fitting(self) -> str:
        if self.tokens_per_batch is None:
            return ""
        return (
            f"; free memory holds about {self.tokens_per_batch:,} tokens a call "
            "(tuning.tokens_per_batch)"
        )


def _about_synthesis(attempts: Range) -> str:
    return (
        f"synthesis: from {attempts.least:,.0f} texts, all of them kept and as long as your few "
        f"shots, to {attempts.most:,.0f} of the longest, after which it gives up "
        "(synthesis.max_attempts_factor)"
    )


def _about_selection(candidates: dict[str, float]) -> str:
    """The dearest candidate first."""
    ordered = sorted(candidates.items(), key=lambda item: -item[1])
    each = ", ".join(f"{name} {_duration(seconds)}" for name, seconds in ordered)
    return f"selection: {each}; each on its own, without written rows (selection.candidates)"


def _columns(name: str, time: str, memory: str, energy: str) -> str:
    return f"{name:12}{time:>18}{memory:>13}{energy:>24}"


def _line(name: str, seconds: Range, memory: float, kwh: Range | None, price: float | None) -> str:
    energy = f"{kwh.scaled(1000).text('{:,.1f}'.format)} Wh" if kwh else "not measured"
    text = _columns(name, seconds.text(_duration), f"{memory:,.0f} MiB", energy)
    cost = "" if price is None else seconds.scaled(price / 3600).text("{:,.2f}".format)
    return text + (f"{cost:>18}" if cost else "")


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
