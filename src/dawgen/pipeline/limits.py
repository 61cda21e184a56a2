"""What the stages of a run cost, and stopping between two of them when it is enough."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING, Any

from dawgen.backbone.counting import peak_flops
from dawgen.errors import UserError
from dawgen.machine.hardware import peak_memory_mib
from dawgen.machine.meter import Cost, Meter

if TYPE_CHECKING:
    from dawgen.backbone import Backbone
    from dawgen.backbone.shape import Work
    from dawgen.storage.folder import RunFolder


@dataclass(frozen=True)
class Limits:
    """When a run is to stop; None is never. Only whole stages are stopped between."""

    hours: float | None = None
    kwh: float | None = None


NO_LIMITS = Limits()


@dataclass
class Costs:
    """Measures stage after stage.

    Raises:
        UserError: a limit of energy without codecarbon to measure it.
    """

    limits: Limits = NO_LIMITS
    meter: Meter = field(default_factory=Meter)
    spent: dict[str, Cost] = field(default_factory=dict)
    start: float = field(default_factory=perf_counter)

    def __post_init__(self) -> None:
        if self.limits.kwh is not None and not self.meter.measures_energy:
            raise UserError(
                "--max-kwh needs codecarbon to measure energy; "
                "install it with: pip install 'dawgen[energy]'."
            )

    @contextmanager
    def stage(self, run: RunFolder, name: str) -> Iterator[None]:
        """Measure a stage into its record in ``run.json``, unless a limit is reached before it.

        Raises:
            UserError: the run has used up its hours or its kWh.
        """
        self._check(name)
        with self.meter.measure() as cost:
            yield
        self.spent[name] = cost
        run.stages[name] |= {
            "peak_memory_mib": cost.peak_memory_mib,
            "peak_gpu_memory_mib": cost.peak_gpu_memory_mib,
            "energy_kwh": cost.energy_kwh,
        }

    def _check(self, name: str) -> None:
        hours = (perf_counter() - self.start) / 3600
        for unit, option, spent, limit in (
            ("hours", "--max-hours", hours, self.limits.hours),
            ("kWh", "--max-kwh", self._kwh(), self.limits.kwh),
        ):
            if limit is not None and spent is not None and spent >= limit:
                raise UserError(
                    f"stopped after {spent:.3g} {unit} ({option} {limit:g}) before the stage "
                    f"{name!r}; finished stages are kept, and the same command with a larger "
                    f"{option} goes on from there."
                )

    def _kwh(self) -> float | None:
        known = [cost.energy_kwh for cost in self.spent.values() if cost.energy_kwh is not None]
        return sum(known) if known else None

    def record(
        self,
        work: Mapping[str, Callable[[], Work] | None],
        run: RunFolder,
        backbone: Backbone,
        kept: int,
    ) -> dict[str, Any]:
        """What ``run.json`` says of the whole, energy only of stages that this run made.

        The counted work of these goes into their own records.

        Args:
            work: counts what each stage computed, by the stage's name.
            kept: how many synthetic rows.
        """
        peak = peak_flops(backbone.device, backbone.dtype)
        for name, count in work.items():
            record = run.stages[name]
            if count and not record["skipped"]:
                record["work"] = count().record(float(record["seconds"]), peak)
        return self.summary(run, peak, kept)

    def summary(self, run: RunFolder, peak: float, kept: int) -> dict[str, Any]:
        """The part of :meth:`record` that was measured; ``peak``: FLOP/s of the machine."""

        def energy_per(name: str, count: float) -> float | None:
            cost = self.spent.get(name)  # a quick run has no such stage
            if cost is None or cost.energy_kwh is None or run.stages[name]["skipped"] or not count:
                return None
            return cost.energy_kwh / count

        peaks = [cost.peak_memory_mib for cost in self.spent.values()]
        return {
            "peak_flops_per_second": round(peak),
            "peak_memory_mib": max(peak_memory_mib(), *peaks),
            "energy": {
                "kwh": self._kwh(),
                "kwh_per_1000_kept_rows": energy_per("synthesis", kept / 1000),
                "kwh_per_tuned_prompt": energy_per("tuning", 1),
            },
        }
