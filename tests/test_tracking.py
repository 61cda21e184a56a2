"""Trackers: off by default, in no fingerprint, and what TensorBoard then has."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dawgen.bench.cells import Cell, Order
from dawgen.errors import UserError
from dawgen.methods import Task
from dawgen.pipeline.tracking import no_tracking, tracked
from dawgen.settings import Settings
from dawgen.settings.layers import build_settings
from dawgen.tasks import Shots, load_card
from tests.invariants.conftest import model_folder  # noqa: F401
from tests.invariants.jobs import files_of, write_job


def test_nothing_is_on_by_default(tmp_path: Path) -> None:
    with tracked(Settings(), tmp_path) as track:
        assert track is no_tracking
        assert track("generator") is None
    assert list(tmp_path.iterdir()) == []


def test_a_missing_tracker_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dawgen.pipeline.tracking.find_spec", lambda name: None)
    settings, _ = build_settings(overrides=["tracking.to=[wandb]"])
    with pytest.raises(UserError, match="wandb, which is not installed: pip install wandb"):
        tracked(settings, tmp_path).__enter__()


def test_a_cells_fingerprint_does_not_know_of_trackers(tmp_path: Path) -> None:
    def order(*overrides: str) -> Order:
        card = load_card("demo")
        task = Task(card, [], tmp_path)
        settings, _ = build_settings(overrides=overrides)
        return Order(Cell("demo", "dawgen", 13, "tiny"), task, Shots([], []), settings, {}, "ab")

    plain, tracking = order(), order("tracking.to=[tensorboard]", "tracking.project=mine")
    assert plain.fingerprint == tracking.fingerprint
    assert plain.settings_hash == tracking.settings_hash
    assert plain.fingerprint != order("tuning.steps=3").fingerprint


def test_tensorboard_has_the_curves_and_the_run_its_bytes(
    tmp_path: Path,
    model_folder: Path,  # noqa: F811
) -> None:
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    job = write_job(tmp_path, model_folder)
    plain, run = tmp_path / "plain", tmp_path / "run"
    assert job.run(plain).code == 0
    outcome = job.run(run, tracking__to="[tensorboard]")
    assert outcome.code == 0, outcome.err
    for name in ("generator", "synthetic", "prompt", "baseline"):
        assert files_of(run / name) == files_of(plain / name)

    (events,) = {
        path.parent
        for path in (run / "tracking").rglob("events.out.*")
        if path.is_file() and path.parent.name == "dawgen"
    }
    found = reader.EventAccumulator(str(events))
    found.Reload()
    log = [json.loads(line) for line in (run / "generator" / "log.jsonl").read_text().splitlines()]
    ratios = [event.value for event in found.Scalars("generator/ratio")]
    assert ratios == pytest.approx([entry["ratio"] for entry in log])
    steps = [event.step for event in found.Scalars("tuning/prompt/prompt_norm")]
    before = 7 + len(log)  # behind the baseline's, 0 to 6, and the generator's
    assert steps == list(range(before, before + 7))
    assert "tuning/baseline/real_loss" in found.Tags()["scalars"]

    assert job.run(run).code == 0  # without trackers nothing is made anew
    stages = json.loads((run / "run.json").read_text())["stages"]
    assert all(stage["skipped"] for stage in stages.values())
