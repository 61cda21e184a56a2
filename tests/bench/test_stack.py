"""Cells that train as one stack end as they would alone, and fail alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dawgen import methods
from dawgen.methods import prompt_tuning
from tests.bench.toys import noisy


def faster(task, shots, backbone, settings, streams):
    """Prompt tuning at twice the rate."""
    job = prompt_tuning.prepare(task, shots, backbone, settings, streams)
    return replace(job, arm=replace(job.arm, learning_rate=2 * job.arm.learning_rate))


@pytest.fixture(autouse=True)
def prepared(monkeypatch):
    monkeypatch.setitem(methods.PREPARED, "prompt-tuning", prompt_tuning.prepare)
    monkeypatch.setitem(methods.METHODS, "prompt-tuning", methods.alone(prompt_tuning.prepare))
    monkeypatch.setitem(methods.PREPARED, "faster", faster)
    monkeypatch.setitem(methods.METHODS, "faster", methods.alone(faster))


@pytest.fixture
def stacks(monkeypatch):
    """How many prompts trained at once, call by call."""
    tune, sizes = methods.tune, []

    def counted(card, jobs, backbone):
        sizes.append(len(jobs))
        return tune(card, jobs, backbone)

    monkeypatch.setattr(methods, "tune", counted)
    return sizes


NAMES = ["prompt-tuning", "faster"]


def test_a_stacked_cell_has_the_figures_it_has_alone(grid, stacks):
    together = grid.run(methods=[*NAMES, "noisy"], seeds=[13, 21])
    assert together.code == 0, together.err
    assert stacks == [4]
    cells = {(name, seed): grid.cell(name, seed) for name in NAMES for seed in (13, 21)}
    elsewhere = grid.folder / "alone"
    assert grid.run("--stack", 1, "--out", elsewhere, methods=NAMES).code == 0
    assert stacks == [4, 1, 1, 1, 1]
    for (name, seed), cell in cells.items():
        lone = grid.cell(name, seed, elsewhere)
        assert cell["fingerprint"] == lone["fingerprint"]
        assert cell["predicted"] == lone["predicted"]
        assert cell["accuracy"] == lone["accuracy"]
        assert cell["details"]["best_step"] == lone["details"]["best_step"]
        found, expected = cell["details"]["dev_loss"], lone["details"]["dev_loss"]
        assert found == pytest.approx(expected, abs=1e-4)
        assert (cell["shared_by"], lone["shared_by"]) == (4, 1)
    assert cells["prompt-tuning", 13]["predicted"] is not None


def test_the_cap_splits_a_stack(grid, stacks):
    assert grid.run(methods=NAMES, seeds=[13, 21, 42], stack=4).code == 0
    assert stacks == [4, 2]


def test_one_that_cannot_be_prepared_fails_alone(grid, stacks, monkeypatch):
    def unprepared(task, shots, backbone, settings, streams):
        if settings.seed == 21:
            raise RuntimeError("no generator")
        return prompt_tuning.prepare(task, shots, backbone, settings, streams)

    monkeypatch.setitem(methods.PREPARED, "faster", unprepared)
    outcome = grid.run(methods=NAMES)
    assert outcome.code == 1
    assert "3 made, 1 failed" in outcome.out
    assert stacks == [3]
    assert grid.path("faster", 21, ending="error.json").exists()


def test_a_stack_that_breaks_is_tuned_one_by_one(grid, monkeypatch):
    tune = methods.tune

    def fragile(card, jobs, backbone):
        if any(job.arm.seed == 21 for job in jobs):
            raise RuntimeError("loss is not finite")
        return tune(card, jobs, backbone)

    monkeypatch.setattr(methods, "tune", fragile)
    outcome = grid.run(methods=NAMES)
    assert outcome.code == 1
    assert "a stack of 4 prompts failed (loss is not finite)" in outcome.err
    assert "2 made, 2 failed" in outcome.out
    assert grid.cell("faster", 13)["shared_by"] == 1


def test_the_cost_of_a_stack_is_shared_out(grid):
    grid.run(methods=["prompt-tuning"])
    first, second = grid.cell("prompt-tuning", 13), grid.cell("prompt-tuning", 21)
    assert first["shared_by"] == second["shared_by"] == 2
    assert 0 < first["wall_seconds"] < 60
    assert first["wall_seconds"] == pytest.approx(second["wall_seconds"], rel=0.9)


def test_the_backbone_is_read_again_after_a_failure(grid, monkeypatch):
    """A method that tunes all weights may leave them changed when it fails half-way."""

    def spoiling(task, shots, backbone, settings, streams):
        for weight in backbone.model.parameters():
            weight.data.zero_()
        raise RuntimeError("out of memory")

    seen = []

    def looking(task, shots, backbone, settings, streams):
        seen.append(max(float(w.abs().max()) for w in backbone.model.parameters()))
        return noisy(task, shots, backbone, settings, streams)

    monkeypatch.setitem(methods.METHODS, "spoiling", spoiling)
    monkeypatch.setitem(methods.METHODS, "looking", looking)
    assert grid.run(methods=["spoiling", "looking"], seeds=[13]).code == 1
    assert seen[0] > 0
