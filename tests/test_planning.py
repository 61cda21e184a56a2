"""What is planned against what a run then takes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dawgen.backbone import load_backbone
from dawgen.machine.meter import Cost
from dawgen.pipeline import run as pipeline
from dawgen.pipeline.plan import plan
from dawgen.pipeline.planned import Plan, Range, StagePlan, exactly
from dawgen.settings.layers import build_settings
from dawgen.tasks.job import load_job
from tests.invariants.jobs import dawgen

SHORT = [
    "generator.epochs=1",
    "synthesis.rows_per_label=40",
    "tuning.steps=20",
]


def test_a_plan_in_figures() -> None:
    generator = StagePlan("generator", Cost(2.0, 1.5, 100.0, None, 0.001), times=exactly(30.0))
    tuning = StagePlan("tuning", Cost(10.0, 9.0, 300.0, None, 0.002), times=exactly(900.0))
    found = Plan([generator, tuning], disk_bytes=2_500_000, tokens_per_batch=4096)
    assert found.seconds == exactly(2 * 30 + 10 * 900)
    assert found.kwh is not None
    assert found.kwh.least == found.kwh.most == pytest.approx(0.001 * 30 + 0.002 * 900)
    lines = found.lines(price=2.0)
    assert lines[1].split() == ["generator", "60", "s", "100", "MiB", "30.0", "Wh", "0.03"]
    assert lines[2].split() == ["tuning", "2.5", "h", "300", "MiB", "1,800.0", "Wh", "5.00"]
    assert lines[3].split() == ["all", "2.5", "h", "300", "MiB", "1,830.0", "Wh", "5.03"]
    assert lines[4].startswith("disk: 2.5 MB; free memory holds about 4,096 tokens")


def test_a_range_in_figures() -> None:
    """Both ends of the stage, and of the whole; one figure where they read alike."""
    synthesis = StagePlan("synthesis", Cost(2.0, 1.5, 100.0, None, 0.001), Range(30.0, 600.0))
    tuning = StagePlan("tuning", Cost(10.0, 9.0, 300.0, None, 0.002), Range(5.0, 5.01))
    found = Plan([synthesis, tuning], 0, None, Range(40.0, 400.0))
    lines = [" ".join(line.split()) for line in found.lines(price=3.6)]
    assert lines[1] == "synthesis 60 s to 20 min 100 MiB 30.0 to 600.0 Wh 0.06 to 1.20"
    assert lines[2] == "tuning 50 s 300 MiB 10.0 Wh 0.05"
    assert lines[3] == "all 110 s to 21 min 300 MiB 40.0 to 610.0 Wh 0.11 to 1.25"
    assert "from 40 texts, all of them kept" in found.lines()[4]
    assert "to 400 of the longest" in found.lines()[4]


def test_energy_that_was_not_measured_is_not_made_up() -> None:
    found = Plan([StagePlan("tuning", Cost(1.0, 1.0, 9.0), exactly(1.0))], 0, 1)
    assert found.kwh is None
    assert "not measured" in found.lines()[-2]


def test_a_limit_that_is_used_up_begins_nothing(tmp_path: Path) -> None:
    outcome = dawgen("run", "demo", "--max-hours", 0, "--out", tmp_path / "run")
    assert outcome.code == 2
    assert "--max-hours 0) before the stage 'baseline'" in outcome.err
    assert not (tmp_path / "run" / "generator").exists()


@pytest.mark.slow
def test_a_run_takes_what_was_planned_within_a_factor_of_a_half(tmp_path: Path) -> None:
    """By the processor's clock: the tests' machine has other work, which the wall clock sees."""
    settings, preset = build_settings(overrides=SHORT)
    backbone = load_backbone(settings.backbone)
    planned = plan(load_job("demo", settings), backbone, settings)
    pipeline.run("demo", out=tmp_path / "run", settings=settings, preset=preset)
    stages = json.loads((tmp_path / "run" / "run.json").read_text("utf-8"))["stages"]
    del stages["map"]  # for the report: a moment
    taken = {name: stage["cpu_seconds"] for name, stage in stages.items()}
    print({s.name: (s.cpu_seconds, taken[s.name]) for s in planned.stages})
    assert [stage.name for stage in planned.stages] == list(taken)
    for stage in planned.stages:
        assert stage.cpu_seconds.least / 2 < taken[stage.name] < stage.cpu_seconds.most * 2
    whole = sum((stage.cpu_seconds for stage in planned.stages), exactly(0.0))
    assert whole.least / 1.5 < sum(taken.values()) < whole.most * 1.5
    peak = max(stage["peak_memory_mib"] for stage in stages.values())
    assert planned.memory_mib / 1.5 < peak < planned.memory_mib * 1.5


def test_a_single_text_task_can_be_planned(tmp_path: Path) -> None:
    """Untuned prompts write nothing there that a rule lets pass."""
    who = ("Who", "Where")
    what = ("wrote", "found", "lost", "sold", "made")
    lines = [
        f"{who[n % 2]} {what[n // 2 % 5]} the {thing} of the old town by the river?,{n % 2}"
        for n, thing in enumerate(f"thing{n}" for n in range(80))
    ]
    (tmp_path / "q.csv").write_text("question,kind\n" + "\n".join(lines) + "\n")
    card = tmp_path / "q.yaml"
    card.write_text(
        "name: q\ncolumns: {text1: question, label: kind}\nlabels: ['0', '1']\n"
        "template: '{text1} It asks for a'\nlabel_words: {'0': person, '1': place}\n"
    )
    outcome = dawgen("plan", card, "--train", tmp_path / "q.csv")
    assert outcome.code == 0, outcome.err
    assert "synthesis" in outcome.out
