"""A grid through the command line: cells made, skipped, redone, failed."""

from __future__ import annotations

import json

import pytest

from dawgen import methods
from dawgen.bench.data import load_data
from dawgen.bench.grid import Grid
from dawgen.errors import UserError
from dawgen.storage.folder import RunFolder
from dawgen.tasks import load_card, load_rows, sample_shots
from dawgen.tasks.job import rows_hash
from tests.bench.toys import gold
from tests.invariants.jobs import rows, write_rows


def test_every_cell_is_made_with_its_record(grid):
    outcome = grid.run()
    assert outcome.code == 0, outcome.err
    assert "4 cells: 0 were there, 4 made, 0 failed" in outcome.out
    lines = outcome.err.splitlines()
    assert len(lines) == 4
    assert lines[-1].startswith("[4/4] pairs gold seed 21: 100.0 % in ")
    cell = grid.cell("noisy", 13)
    head = {"task": "pairs", "method": "noisy", "seed": 13, "backbone": "toy"}
    assert list(cell)[:6] == ["task", "method", "seed", "backbone", "accuracy", "n"]
    assert {key: cell[key] for key in head} == head
    assert cell["n"] == 20
    assert 0 <= cell["accuracy"] <= 1
    right = [a == b for a, b in zip(cell["gold"].split(), cell["predicted"].split(), strict=True)]
    assert cell["accuracy"] == sum(right) / 20
    assert cell["details"]["drawn"] == pytest.approx(0.5, abs=0.5)
    assert set(cell["labels"]) == {"same", "other"}
    assert cell["wall_seconds"] >= 0
    assert cell["cpu_seconds"] >= 0
    assert cell["peak_memory_mib"] > 10
    assert (cell["shared_by"], cell["overlap"]) == (1, 0)
    assert {"energy_kwh", "versions", "hardware", "dawgen", "fingerprint"} <= set(cell)
    assert (grid.out / "settings" / f"{cell['settings_hash']}.yaml").exists()


def test_finished_cells_are_skipped(grid):
    grid.run()
    before = grid.path("noisy", 13).stat().st_mtime_ns
    outcome = grid.run(seeds=[13, 21, 42])
    assert "6 cells: 4 were there, 2 made, 0 failed" in outcome.out
    assert "[4/6] pairs on toy: 4 of 6 cells are there already" in outcome.err
    assert grid.path("noisy", 13).stat().st_mtime_ns == before


def test_what_only_changes_speed_redoes_nothing_and_all_else_does(grid):
    grid.run(methods=["gold"])
    same = ["-s", "evaluation.tokens_per_batch=100", "-s", "backbone.device=cpu", "--stack", "2"]
    assert "2 were there" in grid.run(*same, methods=["gold"]).out
    assert "2 made" in grid.run("-s", "tuning.steps=7", methods=["gold"]).out
    assert "2 made" in grid.run("--test-rows", "10", methods=["gold"]).out
    assert grid.cell("gold", 13)["n"] == 10
    write_rows(grid.data / "pairs" / "test.jsonl", rows(61, 10))
    assert "2 made" in grid.run("--test-rows", "10", methods=["gold"]).out


def test_a_cell_that_fails_is_recorded_and_the_grid_goes_on(grid, monkeypatch):
    outcome = grid.run(methods=["broken", "gold"])
    assert outcome.code == 1
    assert "[1/4] pairs broken seed 13: failed (RuntimeError): the toy broke" in outcome.err
    assert "2 made, 2 failed" in outcome.out
    failure = json.loads(grid.path("broken", 13, ending="error.json").read_text())
    assert (failure["error"], failure["message"]) == ("RuntimeError", "the toy broke")
    assert not failure["user_error"]
    assert failure["traceback"][-1] == "RuntimeError: the toy broke"
    assert not grid.path("broken", 13).exists()
    monkeypatch.setitem(methods.METHODS, "broken", gold)
    assert grid.run(methods=["broken", "gold"]).code == 0
    assert grid.cell("broken", 13)["accuracy"] == 1
    assert not grid.path("broken", 13, ending="error.json").exists()


def test_a_failure_takes_the_outdated_figures_away(grid, monkeypatch):
    grid.run(methods=["gold"])
    monkeypatch.setitem(methods.METHODS, "gold", methods.METHODS["broken"])
    assert grid.run("-s", "tuning.steps=7", methods=["gold"]).code == 1
    assert not grid.path("gold", 13).exists()


def test_a_failure_the_user_can_mend_is_exit_code_2(grid):
    outcome = grid.run(methods=["refusing", "gold"])
    assert outcome.code == 2
    assert "2 made, 2 failed" in outcome.out
    assert json.loads(grid.path("refusing", 21, ending="error.json").read_text())["user_error"]


def test_ctrl_c_leaves_the_finished_cells(grid, monkeypatch):
    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setitem(methods.METHODS, "stopped", stopped)
    assert grid.run(methods=["gold", "stopped"]).code == 130
    assert grid.path("gold", 21).exists()
    assert not list(grid.out.rglob("*error.json"))


def test_a_locked_folder_is_left_alone(grid):
    with RunFolder(grid.out).lock():
        outcome = grid.run()
    assert outcome.code == 2
    assert not (grid.out / "cells").exists()


def test_all_methods_and_seeds_get_the_same_test_rows(grid, recorder, monkeypatch):
    monkeypatch.setitem(methods.METHODS, "other", recorder)
    grid.run(methods=["recorder", "other"], seeds=[13, 21, 42])
    assert len(recorder.seen) == 6
    kept = [task.rows for task, *_ in recorder.seen]
    assert all(rows == kept[0] for rows in kept)
    card = load_card(grid.folder / "pairs.yaml")
    everything = load_rows(card, grid.data / "pairs" / "test.jsonl")
    places = [everything.index(row) for row in kept[0]]
    assert places == sorted(places)
    assert len(set(places)) == 20
    assert places != list(range(20))


def test_shots_folder_and_streams_are_the_cells_own(grid, recorder):
    grid.run(methods=["recorder"])
    card = load_card(grid.folder / "pairs.yaml")
    pool = load_rows(card, grid.data / "pairs" / "train.jsonl")
    for task, shots, settings, root in recorder.seen:
        assert root == settings.seed
        assert shots == sample_shots(card, pool, 4, settings.seed)
        assert task.folder == grid.out / "work" / "toy" / "pairs" / str(settings.seed)
        assert [row.text1 for row in task.unlabelled] == [row.text1 for row in pool]
        assert {row.label for row in task.unlabelled} == {None}
    assert {settings.seed for _, _, settings, _ in recorder.seen} == {13, 21}


def test_only_an_oracle_sees_labels_of_the_pool(grid, recorder, monkeypatch):
    monkeypatch.setitem(methods.METHODS, "true-rows", recorder)
    monkeypatch.setattr("dawgen.methods.PREPARED", {})
    grid.run(methods=["recorder", "true-rows"], seeds=[13])
    (task, *_), (oracle, *_) = recorder.seen
    assert not task.pool
    assert {row.label for row in oracle.pool} == {"same", "other"}


def test_transfer_gets_its_source_and_is_left_out_without(grid, recorder, monkeypatch):
    monkeypatch.setitem(methods.METHODS, "spot", recorder)
    monkeypatch.delitem(methods.PREPARED, "spot", raising=False)
    assert "2 cells:" in grid.run(methods=["gold", "spot"]).out
    assert recorder.seen == []
    card = (grid.folder / "pairs.yaml").read_text().replace("name: pairs", "name: more")
    (grid.folder / "more.yaml").write_text(card)
    (grid.data / "more").mkdir()
    write_rows(grid.data / "more" / "train.jsonl", rows(100, 12))
    sources = {grid.tree["tasks"][0]: str(grid.folder / "more.yaml")}
    outcome = grid.run(methods=["gold", "spot"], sources=sources)
    assert outcome.code == 0, outcome.err
    assert "4 cells: 2 were there, 2 made" in outcome.out
    source = recorder.seen[0][0].source
    assert source.card.name == "more"
    assert {task.folder for task, *_ in recorder.seen} == {grid.out / "work" / "toy"}
    assert len(source.rows) == 12
    assert grid.cell("spot", 13)["data"]["source"] == rows_hash(source.rows)
    assert grid.cell("gold", 13)["data"]["source"] is None


@pytest.mark.parametrize(
    ("more", "changes", "words"),
    [
        ([], {"methods": ["golden"]}, "There is no method 'golden'; did you mean 'gold'?"),
        (["--methods", "ppt"], {}, "The grid has no method ppt; it has noisy, gold."),
        (["--seeds", "a"], {}, "--seeds 'a': write whole numbers with commas"),
        (["-s", "tuning.stepss=3"], {}, "did you mean 'tuning.steps'?"),
        (["-s", "shots=30"], {}, "The pool of pairs has only 20 different rows of label 'same'"),
        (["-s", "seed=3"], {}, "--seeds chooses"),
        (["--data", "nowhere"], {}, "There is no data folder nowhere; check --data."),
    ],
)
def test_what_is_wrong_is_said_before_anything_runs(grid, more, changes, words):
    outcome = grid.run(*more, **changes)
    assert outcome.code == 2
    assert words in outcome.err
    assert outcome.err.count("\n") == 1, outcome.err
    assert not grid.out.exists()


def test_the_pattern_of_the_grid_is_filled_with_the_task(grid):
    grid.tree["data"] = {
        "pool": str(grid.data / "{task}" / "train.jsonl"),
        "test": str(grid.data / "{task}" / "{split}.jsonl"),
    }
    with pytest.raises(UserError, match=r"\{task\} is its only placeholder"):
        load_data(Grid.model_validate({**grid.tree, "name": "small"}))
    grid.tree["data"]["test"] = grid.tree["data"]["pool"]
    (data,) = load_data(Grid.model_validate({**grid.tree, "name": "small"}))
    assert (len(data.pool), len(data.test)) == (40, 20)


def test_rows_with_an_empty_text_are_left_out_if_asked(grid):
    file = grid.data / "pairs" / "train.jsonl"
    row = json.loads(file.read_text().splitlines()[0])
    empty = {name: "" if name != "label" else value for name, value in row.items()}
    file.write_text(file.read_text() + json.dumps(empty) + "\n")
    outcome = grid.run()
    assert outcome.code == 2
    assert "on_empty=skip" in outcome.err
    assert grid.run("-s", "on_empty=skip").code == 0


def test_tasks_that_would_share_a_folder_are_refused(grid):
    card = (grid.folder / "pairs.yaml").read_text()
    for number, name in enumerate(("my task", "my-task")):
        (grid.folder / f"{number}.yaml").write_text(card.replace("name: pairs", f"name: {name}"))
    tasks = [str(grid.folder / "0.yaml"), str(grid.folder / "1.yaml")]
    outcome = grid.run(tasks=tasks)
    assert outcome.code == 2
    assert "make the same folder (my task, my-task)" in outcome.err


def test_files_that_the_settings_name_are_part_of_a_cell(grid, recorder, monkeypatch):
    for name in ("ppt", "dawgen-paired"):
        monkeypatch.setitem(methods.METHODS, name, recorder)
        monkeypatch.delitem(methods.PREPARED, name, raising=False)
    corpus, sentences = grid.folder / "corpus.txt", grid.folder / "sentences.txt"
    corpus.write_text("A man runs.\nHe is tired.\n")
    sentences.write_text("A man runs.\n")
    settings = {
        **grid.tree["settings"],
        "methods.ppt.corpus": str(corpus),
        "synthesis.first_sentences": {str(sentences): 0.5, "few-shots": 0.5},
    }
    changes = {"methods": ["gold", "ppt", "dawgen-paired"], "settings": settings}
    assert "6 cells: 0 were there, 6 made" in grid.run(**changes).out
    assert "6 cells: 6 were there" in grid.run(**changes).out
    corpus.write_text("A man sleeps.\nHe is not tired.\n")
    assert "6 cells: 4 were there, 2 made" in grid.run(**changes).out
    sentences.write_text("A dog runs.\n")
    assert "6 cells: 4 were there, 2 made" in grid.run(**changes).out
