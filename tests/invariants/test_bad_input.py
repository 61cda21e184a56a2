"""What a user can get wrong: exit code 2, one sentence that says how to mend it, no files."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.invariants.jobs import Outcome, SmallJob, dawgen, rows, write_rows


def assert_refused(outcome: Outcome, out: Path, *parts: str) -> None:
    """Exit code 2, one sentence on standard error with all of ``parts`` in it, no run folder."""
    assert outcome.code == 2, outcome
    assert outcome.out == ""
    assert outcome.err.count("\n") == 1, outcome.err
    assert outcome.err.startswith("dawgen: ")
    assert outcome.err.endswith((".\n", "?\n"))
    for part in parts:
        assert part in outcome.err
    assert not out.exists()


def edit(path: Path, change: Callable[[list[dict[str, Any]]], Any]) -> None:
    """Change the rows of a JSONL file in place."""
    found = [json.loads(line) for line in path.read_text().splitlines()]
    change(found)
    write_rows(path, found)


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_a_missing_file(job: SmallJob, tmp_path: Path) -> None:
    job.data("dev").unlink()
    assert_refused(job.run(tmp_path / "run"), tmp_path / "run", "dev.jsonl")


@pytest.mark.parametrize("name", ["train", "dev", "test"])
def test_a_missing_column_is_named_with_the_columns_found(
    job: SmallJob, tmp_path: Path, name: str
) -> None:
    edit(job.data(name), lambda found: [row.update(gloss=row.pop("hypothesis")) for row in found])
    outcome = job.run(tmp_path / "run")
    assert_refused(
        outcome, tmp_path / "run", f"{name}.jsonl", "'hypothesis'", "'premise'", "'gloss'"
    )


def test_an_unknown_label_is_told_with_its_row(job: SmallJob, tmp_path: Path) -> None:
    edit(job.data("train"), lambda found: found[4].update(verdict="othr"))
    outcome = job.run(tmp_path / "run")
    assert_refused(outcome, tmp_path / "run", "train.jsonl, row 5", "'othr'", "same, other")


@pytest.mark.parametrize("empty", ["", "  ", None])
def test_an_empty_text_is_told_with_its_row(
    job: SmallJob, tmp_path: Path, empty: str | None
) -> None:
    edit(job.data("test"), lambda found: found[2].update(premise=empty))
    outcome = job.run(tmp_path / "run")
    assert_refused(outcome, tmp_path / "run", "test.jsonl, row 3", "'premise'", "empty")


def test_rows_with_an_empty_text_are_left_out_of_a_run_where_asked(
    job: SmallJob, tmp_path: Path
) -> None:
    more = [*rows(40, 4), rows(44, 1)[0] | {"hypothesis": " "}]
    write_rows(job.data("test"), more)
    write_rows(job.data("train"), [*rows(0, 8), rows(8, 1)[0] | {"premise": ""}])
    outcome = job.run(tmp_path / "run", on_empty="skip")
    assert outcome.code == 0, outcome.err
    assert "test.jsonl: 1 of 5 rows have an empty text; skipped." in outcome.err
    assert "train.jsonl: 1 of 9 rows have an empty text; skipped." in outcome.err
    assert len(pq.read_table(tmp_path / "run" / "predictions.parquet")) == 4


def test_one_label_only(job: SmallJob, tmp_path: Path) -> None:
    edit(job.data("train"), lambda found: [row.update(verdict="same") for row in found])
    outcome = job.run(tmp_path / "run")
    assert_refused(outcome, tmp_path / "run", "train.jsonl", "one label only", "'same'")


def test_fewer_shots_than_are_needed(job: SmallJob, tmp_path: Path) -> None:
    write_rows(job.data("train"), rows(0, 6))
    outcome = job.run(tmp_path / "run", shots=5)
    assert_refused(outcome, tmp_path / "run", "train.jsonl", "3 rows", "the 4 that are needed")


def test_too_few_rows_to_draw_both_sets_from(job: SmallJob, tmp_path: Path) -> None:
    write_rows(job.data("train"), rows(0, 6))
    arguments = job.arguments()
    place = arguments.index("--dev")
    del arguments[place : place + 2]
    outcome = dawgen("run", job.card, *arguments, "--out", tmp_path / "run")
    assert_refused(outcome, tmp_path / "run", "3 different rows", "need 4")


def test_development_rows_that_are_training_rows(job: SmallJob, tmp_path: Path) -> None:
    write_rows(job.data("dev"), rows(4, 8))
    outcome = job.run(tmp_path / "run")
    assert_refused(outcome, tmp_path / "run", "dev.jsonl", "4 of its rows", "train.jsonl")


def test_label_words_that_start_with_the_same_token(job: SmallJob, tmp_path: Path) -> None:
    replace(job.card, 'other: "no"', 'other: "yes again"')
    assert_refused(job.run(tmp_path / "run"), tmp_path / "run", "'yes'", "'yes again'")


def test_a_template_without_a_placeholder(job: SmallJob, tmp_path: Path) -> None:
    replace(job.card, "hypothesis: {text2}", "hypothesis:")
    outcome = job.run(tmp_path / "run")
    assert_refused(outcome, tmp_path / "run", "pairs.yaml", "template", "{text2}")


def test_an_unknown_setting_and_the_nearest_known_one(job: SmallJob, tmp_path: Path) -> None:
    outcome = job.run(tmp_path / "run", tuning__stepz=3)
    assert_refused(outcome, tmp_path / "run", "'tuning.stepz'", "'tuning.steps'")


def test_half_precision_is_refused_with_the_reason(job: SmallJob, tmp_path: Path) -> None:
    outcome = job.run(tmp_path / "run", backbone__dtype="fp16")
    assert_refused(outcome, tmp_path / "run", "overflows", "bf16")


def test_a_card_that_is_no_yaml(job: SmallJob, tmp_path: Path) -> None:
    job.card.write_text("name: pairs\nlabels: [same, other\ntemplate: x\n")
    assert_refused(job.run(tmp_path / "run"), tmp_path / "run", "pairs.yaml", "line 3")


def test_a_settings_file_that_is_no_yaml(job: SmallJob, tmp_path: Path) -> None:
    config = tmp_path / "mine.yaml"
    config.write_text("tuning:\n  steps: [1\n")
    outcome = job.run(tmp_path / "run", "--config", config)
    assert_refused(outcome, tmp_path / "run", "mine.yaml", "YAML")


def test_a_model_folder_without_a_tokenizer(job: SmallJob, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    for name in ("config.json", "model.safetensors"):
        (bare / name).write_bytes((job.model / name).read_bytes())
    outcome = job.run(tmp_path / "run", backbone__path=bare)
    assert_refused(outcome, tmp_path / "run", "bare", "tokenizer")


def test_a_model_folder_that_is_not_there(job: SmallJob, tmp_path: Path) -> None:
    outcome = job.run(tmp_path / "run", backbone__path=tmp_path / "none")
    assert_refused(outcome, tmp_path / "run", "none")


def test_a_run_folder_that_is_a_file(job: SmallJob, tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.write_text("mine")
    outcome = job.run(taken)
    assert outcome.code == 2
    assert "taken is a file" in outcome.err
    assert taken.read_text() == "mine"


def test_a_folder_of_the_users_own_is_never_overwritten(job: SmallJob, tmp_path: Path) -> None:
    mine = tmp_path / "run" / "generator" / "notes.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    outcome = job.run(tmp_path / "run")
    assert outcome.code == 2
    assert "was not made by dawgen" in outcome.err
    assert list((tmp_path / "run" / "generator").iterdir()) == [mine]
    assert not list((tmp_path / "run").glob(".*.partial"))


def test_test_rows_that_are_training_rows_are_counted_and_warned_of(
    job: SmallJob, tmp_path: Path
) -> None:
    write_rows(job.data("test"), rows(40, 20) + rows(0, 3) + rows(20, 2))
    outcome = job.run(tmp_path / "run")
    assert outcome.code == 0, outcome.err
    assert "warning: 5 of the 25 test rows" in outcome.err
    assert json.loads((tmp_path / "run" / "run.json").read_text())["overlap"] == 5
    assert "5 of the test rows" in (tmp_path / "run" / "report.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["run"], "Missing argument"),
        (["run", "demo", "--rows", "3"], "--rows"),
        (["rum"], "rum"),
        (["evaluate", "demo"], "a method with --method"),
        (["evaluate", "demo", "--method", "magic"], "magic"),
        (["predict", "nowhere", "rows.csv"], "nowhere"),
        (["predict", "nowhere", "rows.csv", "--out", "labels.doc"], "labels.doc"),
        (["report", "nowhere"], "nowhere"),
        (["validate", "nowhere"], "nowhere"),
        (["tasks", "new", "nowhere.csv"], "nowhere.csv"),
        (["settings", "--preset", "huge"], "huge"),
        (["run", "demo", "-s", "tuning.steps"], "tuning.steps"),
        (["run", "demo", "-s", "tuning.steps=0"], "tuning.steps"),
    ],
)
def test_a_command_that_cannot_be_meant(
    arguments: list[str], part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = dawgen(*arguments)
    assert outcome.code == 2
    assert part in outcome.err
    assert "Traceback" not in outcome.err
    assert not list(tmp_path.iterdir())


def test_the_process_itself_ends_with_code_2_and_no_traceback(tmp_path: Path) -> None:
    found = subprocess.run(
        [sys.executable, "-m", "dawgen", "settings", "--preset", "huge"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert found.returncode == 2
    assert found.stdout == ""
    assert found.stderr.startswith("dawgen: ")
    assert "'huge'" in found.stderr
    assert found.stderr.count("\n") == 1
