"""Limits of a run, and what its stages cost."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dawgen.errors import UserError
from dawgen.machine.meter import Cost
from dawgen.pipeline import limits as costs
from dawgen.pipeline.limits import Costs, Limits
from dawgen.storage.folder import RunFolder


class Fixed:
    """A meter that has measured already: each stage takes a quarter of a kWh."""

    measures_energy = True

    @contextmanager
    def measure(self) -> Iterator[Cost]:
        yield Cost(peak_memory_mib=100.0, energy_kwh=0.25)


def run_stage(spent: Costs, run: RunFolder, name: str) -> None:
    with spent.stage(run, name):
        run.stages[name] = {"skipped": False, "seconds": 2.0}


def test_the_stage_after_the_limit_of_energy_is_not_begun(tmp_path: Path) -> None:
    spent, run = Costs(Limits(kwh=0.5), meter=Fixed()), RunFolder(tmp_path)
    run_stage(spent, run, "generator")
    run_stage(spent, run, "synthesis")
    sentence = "stopped after 0.5 kWh (--max-kwh 0.5) before the stage 'tuning'"
    with pytest.raises(UserError, match=re.escape(sentence)):
        run_stage(spent, run, "tuning")
    assert list(run.stages) == ["generator", "synthesis"]


def test_the_stage_after_the_limit_of_time_is_not_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr(costs, "perf_counter", lambda: clock[0])
    spent, run = Costs(Limits(hours=1.0), meter=Fixed(), start=0.0), RunFolder(tmp_path)
    clock[0] = 3599.0
    run_stage(spent, run, "generator")
    clock[0] = 3600.0
    with pytest.raises(UserError, match=r"stopped after 1 hours .* larger --max-hours goes on"):
        run_stage(spent, run, "synthesis")


def test_energy_is_told_by_kept_rows_and_of_the_prompt(tmp_path: Path) -> None:
    spent, run = Costs(meter=Fixed()), RunFolder(tmp_path)
    for name in ("generator", "synthesis", "tuning"):
        run_stage(spent, run, name)
    run.stages["generator"]["skipped"] = True
    found = spent.summary(run, peak=1e9, kept=500)
    assert found["energy"] == {
        "kwh": 0.75,
        "kwh_per_1000_kept_rows": 0.5,  # a quarter for 500
        "kwh_per_tuned_prompt": 0.25,
    }


def test_a_limit_of_energy_needs_codecarbon() -> None:
    class Blind(Fixed):
        measures_energy = False

    with pytest.raises(UserError, match="--max-kwh needs codecarbon"):
        Costs(Limits(kwh=1.0), meter=Blind())
