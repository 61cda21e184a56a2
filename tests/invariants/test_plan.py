"""A plan of synthesis against what it then takes."""

from __future__ import annotations

import json
from pathlib import Path
from time import sleep
from typing import Any

import pytest

from dawgen.backbone import load_backbone
from dawgen.decoding import Generation, TransformersEngine
from dawgen.machine.meter import Cost, Meter
from dawgen.pipeline import plan as plan_module
from dawgen.pipeline.plan import plan
from dawgen.pipeline.plan_selection import SelectionPlan
from dawgen.pipeline.planned import StagePlan, exactly
from dawgen.settings.layers import build_settings
from dawgen.tasks.job import load_job
from dawgen.tuning.fit import fit_prompts
from tests.invariants.jobs import SmallJob, dawgen


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"synthesis__min_label_ratio": 0.55, "synthesis__first_sentences": "generator"},
        {"synthesis__oversample": 3, "synthesis__cleaning.skip": '["too short", "too long"]'},
    ],
)
def test_synthesis_takes_what_was_planned_however_slow_and_however_much_is_rejected(
    job: SmallJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, object]
) -> None:
    """A model that needs 1 ms for each token, and most of whose rows are rejected."""
    inner = TransformersEngine.generate

    def slow(*arguments: Any) -> list[Generation]:
        texts = inner(*arguments)
        sleep(0.001 * sum(text.tokens for text in texts))
        return texts

    monkeypatch.setattr(TransformersEngine, "generate", slow)
    arguments = job.arguments(**changes)
    settings = build_settings(overrides=[str(part) for part in arguments[5::2]])[0]
    rows = load_job(str(job.card), settings, train=str(job.data("train")), dev=str(job.data("dev")))
    planned = plan(rows, load_backbone(settings.backbone), settings)
    for command in ("fit-generator", "synthesize"):
        outcome = dawgen(command, job.card, *arguments, "--out", tmp_path / "run")
        assert outcome.code == 0, outcome.err
    speed = json.loads((tmp_path / "run" / "synthesis-speed.json").read_text("utf-8"))
    (synthesis,) = (stage for stage in planned.stages if stage.name == "synthesis")
    assert planned.attempts is not None
    assert planned.attempts.least <= speed["attempted"] <= planned.attempts.most
    assert 0.5 * synthesis.seconds.least < speed["seconds"] < 1.5 * synthesis.seconds.most
    assert planned.seconds.most > synthesis.seconds.most


@pytest.mark.parametrize("margin", ["relabel", "min_margin"])
def test_a_reader_that_asks_for_a_margin_is_planned(job: SmallJob, margin: str) -> None:
    """The probe's reader is as sure as any."""
    changes = {"synthesis.choose.by": "reader", f"synthesis.choose.{margin}": 5}
    outcome = dawgen("plan", job.card, *job.arguments(**changes))
    assert outcome.code == 0, outcome.err


def test_the_choice_is_planned_with_the_rows_that_heads_learn_from(job: SmallJob) -> None:
    changes = {
        "selection.candidates": "[tfidf, tfidf+written, states, zero-shot, prompt, average]",
        "synthesis.choose.by": "reader",
    }
    overrides = [str(part) for part in job.arguments(**changes)[5::2]]
    outcome = dawgen("plan", job.card, *job.arguments(**changes))
    assert outcome.code == 0, outcome.err
    names = [line.split()[0] for line in outcome.out.splitlines()[1:7]]
    assert names == ["baseline", "generator", "synthesis", "tuning", "selection", "evaluation"]
    measured = [line for line in outcome.err.splitlines() if line.startswith("dawgen: measuring ")]
    assert len(measured) == len(names)
    settings = build_settings(overrides=overrides)[0]
    train, dev, test = (str(job.data(name)) for name in ("train", "dev", "test"))
    rows = load_job(str(job.card), settings, train=train, dev=dev, test=test)
    (line,) = (line for line in outcome.out.splitlines() if line.startswith("selection: "))
    for name in ("tfidf", "states", "zero-shot", "prompt"):
        assert f" {name} " in line
    found = SelectionPlan(rows, load_backbone(settings.backbone), settings, Meter(), per_row=2.0)
    each = found.candidates()
    assert each.keys() == {"tfidf", "states", "zero-shot", "prompt"}  # an average has no part
    assert each["prompt"] == pytest.approx(2.0 * len(rows.shots.dev))
    few, many, most = (found.stage(n, read=True).seconds for n in (0, 1000, 5000))
    assert many.least > few.least
    assert most == many  # of more, heads take a part
    assert few.most - few.least == pytest.approx(3 * 2.0 * 30)  # an average reads the rows again
    alone = StagePlan("synthesis", Cost(4.0, 4.0, 1.0), exactly(10.0))
    longer = found.reader(alone).seconds
    assert longer.least >= 40 + 2.0 * 8  # the development shots under the prompt, and the heads
    assert longer.least == longer.most
    unread = found.stage(0, read=False).seconds  # what the reader has validated counts once
    heads = longer.least - 40 - 2.0 * len(rows.shots.dev)
    assert unread.least - few.least == pytest.approx(heads)


def test_as_many_rows_stand_in_for_written_ones_as_a_step_draws(
    job: SmallJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With 16 shots a step of 30 written rows took as long as was planned for 16."""
    seen = []

    def noted(card: Any, arms: Any, train: Any, dev: Any, made: Any, *rest: Any) -> Any:
        seen.append((len(train), len(made)))
        return fit_prompts(card, arms, train, dev, made, *rest)

    monkeypatch.setattr(plan_module, "fit_prompts", noted)
    changes = {"tuning.synthetic_batch_size": 30, "synthesis.rows_per_label": 50}
    outcome = dawgen("plan", job.card, *job.arguments(**changes))
    assert outcome.code == 0, outcome.err
    shots, made = seen[-1]
    assert shots < 30 <= made < 30 + shots
