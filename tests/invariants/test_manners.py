"""Manners of the command line: short options, quiet and verbose, JSON, pipes, helpful errors."""

from __future__ import annotations

import io
import itertools
import json
import logging
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dawgen.commands.manners import GROUPS
from tests.invariants.jobs import Outcome, SmallJob, dawgen, rows
from tests.invariants.test_docs_and_help import GROUP, commands

Finished = tuple[SmallJob, Path, Outcome]


@pytest.fixture
def finished(finished: Finished, tmp_path: Path) -> Finished:
    """A copy of the finished run, which these tests run again."""
    job, folder, outcome = finished
    return job, shutil.copytree(folder, tmp_path / "finished"), outcome


@pytest.mark.parametrize("path", commands(GROUP))
def test_every_command_has_the_short_options(path: tuple[str, ...]) -> None:
    outcome = dawgen(*path, "-h")
    assert outcome.code == 0
    for option in ("-h, --help", "-q, --quiet", "-v, --verbose"):
        assert option in outcome.out
    for type_name in ("TEXT", "INTEGER", "PATH", "<str>", "FLOAT", "{", "}"):
        assert type_name not in outcome.out, type_name


def test_every_command_is_in_a_group_of_the_help() -> None:
    listed = [name for names in GROUPS.values() for name in names]
    assert sorted(listed) == sorted(GROUP.commands)
    shown = dawgen("--help").out
    places = [shown.index(f"\n  {name} ") for name in listed]
    assert places == sorted(places)
    assert all(f"\n{title}:\n" in shown for title in GROUPS)
    assert "..." not in shown.partition("Everyday:")[2]


def test_the_data_of_bench_is_a_folder() -> None:
    assert "--data DIR " in dawgen("bench", "-h").out


def test_completion_is_there() -> None:
    assert "--install-completion" in dawgen("-h").out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("run demo --shots x", "'--shots': 'x'; it must be a whole number."),
        ("serve run --port abc", "'--port': 'abc'; it must be a whole number."),
        ("serve run --port 70000", "'--port': '70000'; it must be at most 65535."),
        ("predict a b --abstain-below abc", "'--abstain-below': 'abc'; it must be a number."),
        ("predict a b --use foo", "'--use': 'foo' is not one of 'choice', 'prompt'."),
        ("run demo --teacher-price 1 b", "'--teacher-price': 'b'; it must be a number."),
    ],
)
def test_a_wrong_value_of_an_option_is_explained(arguments: str, message: str) -> None:
    outcome = dawgen(*arguments.split())
    assert outcome.code == 2
    assert outcome.err.endswith(f"Error: Invalid value for {message}\n")


# --- quiet and verbose ------------------------------------------------------------------------


def test_quiet_leaves_the_results(finished: Finished) -> None:
    job, folder, loud = finished
    assert "dawgen: 1/" in loud.err
    arguments = ["run", job.card, *job.arguments(), "--out", folder, "--test", job.data("test")]
    quiet = dawgen(*arguments, "-q")
    assert quiet.code == 0
    assert "dawgen: 1/" not in quiet.err
    assert "% right" in quiet.out
    again = dawgen(*arguments)
    assert "dawgen: 1/" in again.err


def test_verbose_says_where_an_error_was_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr(logging, "basicConfig", lambda **settings: asked.append(settings))
    plain, more = dawgen("validate", "nowhere.yaml"), dawgen("validate", "nowhere.yaml", "-v")
    assert plain.code == more.code == 2
    assert "Traceback" not in plain.err
    assert "Traceback" in more.err
    assert more.err.endswith(plain.err)
    assert asked == [{"level": logging.INFO}]


# --- run and evaluate -------------------------------------------------------------------------


def test_seed_and_shots_are_short_for_settings(finished: Finished, tmp_path: Path) -> None:
    job, folder, _ = finished
    outcome = job.run(folder, "--seed", 13, "--shots", 4, seed=5, shots=3)
    assert outcome.code == 0, outcome.err
    record = json.loads((folder / "run.json").read_text())
    assert record["seed"] == 13
    assert all(stage["skipped"] for stage in record["stages"].values())
    wrong = job.run(tmp_path / "run", "--shots", 0)
    assert wrong.code == 2
    assert "'shots' cannot be 0: it must be more than 0" in wrong.err


@pytest.mark.parametrize("command", ["fit-generator", "synthesize", "tune", "plan", "evaluate"])
def test_the_commands_of_single_stages_have_them_too(command: str, finished: Finished) -> None:
    job, _, _ = finished
    more = ["--method", "zero-shot"] if command == "evaluate" else []
    for option in ("--seed", "--shots"):
        wrong = dawgen(command, job.card, *job.arguments(), *more, option, -1)
        assert wrong.code == 2
        assert f"'{option[2:]}' cannot be -1" in wrong.err


def test_a_stage_takes_the_seed(tmp_path: Path, finished: Finished) -> None:
    job, _, _ = finished
    found = {}
    for name, options in (("a", ["--seed", 7]), ("b", ["-s", "seed=7"]), ("c", ["--seed", 8])):
        out = tmp_path / name
        assert dawgen("tune", job.card, *job.arguments(), "--out", out, *options).code == 0
        found[name] = (out / "prompt" / "adapter_model.safetensors").read_bytes()
    assert found["a"] == found["b"] != found["c"]


def test_json_is_all_that_stands_on_standard_output(finished: Finished, tmp_path: Path) -> None:
    job, folder, _ = finished
    outcome = job.run(folder, "--json")
    found = json.loads(outcome.out)
    assert found["folder"] == str(folder)
    assert found["scores"] == json.loads((folder / "scores.json").read_text())
    assert found["rows"]["attempted"] >= found["rows"]["kept"] > 0
    assert outcome.out.count("\n") == 1
    sets = [part for part in job.arguments() if part not in ("--train", "--dev")][2:]
    test = ["--test", job.data("test"), "--prompt", folder, "--out", tmp_path / "e", "--json"]
    scored = dawgen("evaluate", job.card, *sets, *test)
    assert scored.code == 0, scored.err
    assert json.loads(scored.out)["scores"]["n"] == 30
    failed = dawgen("run", "nowhere.yaml", "--json")
    assert (failed.code, failed.out) == (2, "")


# --- pipes ------------------------------------------------------------------------------------


class Pipe:
    """Standard input with bytes behind it."""

    def __init__(self, content: bytes) -> None:
        self.buffer = io.BytesIO(content)

    def isatty(self) -> bool:
        return False


@pytest.mark.parametrize(
    "content",
    [
        b"premise,hypothesis\na man runs,a man runs\n",
        b'{"premise": "a man runs", "hypothesis": "a man runs"}\n',
        b'\n[{"premise": "a man runs", "hypothesis": "a man runs"}]',
        b"\xef\xbb\xbfpremise\thypothesis\na man runs\ta man runs\n",
    ],
)
def test_predict_reads_standard_input(
    finished: Finished, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    _, folder, _ = finished
    monkeypatch.setattr("sys.stdin", Pipe(content))
    outcome = dawgen("predict", folder, "-", "--out", "-")
    assert outcome.code == 0, outcome.err
    assert outcome.out.startswith("premise,hypothesis,prediction,p_same,p_other\na man runs,")
    assert outcome.out.count("\n") == 2


@pytest.mark.parametrize("option", ["--train", "--dev", "--test"])
def test_a_run_reads_one_file_from_standard_input(
    finished: Finished, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    """A finished run resumes: its rows are compared, not the names of their files."""
    job, folder, _ = finished
    content = job.data(option.removeprefix("--")).read_bytes()
    before = json.loads((folder / "run.json").read_text())
    monkeypatch.setattr("sys.stdin", Pipe(content))
    outcome = job.run(folder, option, "-")
    assert outcome.code == 0, outcome.err
    record = json.loads((folder / "run.json").read_text())
    assert record["data"] == before["data"]
    assert all(stage["skipped"] for stage in record["stages"].values())


def test_a_run_notices_other_rows_on_standard_input(
    finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, folder, _ = finished
    lines = job.data("test").read_bytes().splitlines(keepends=True)
    monkeypatch.setattr("sys.stdin", Pipe(b"".join(lines[:-1])))
    assert job.run(folder, "--test", "-").code == 0
    record = json.loads((folder / "run.json").read_text())
    assert record["rows"]["test"] == len(lines) - 1
    assert not record["stages"]["evaluation"]["skipped"]


def test_synthetic_rows_from_standard_input_say_so(
    finished: Finished, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    job, _, _ = finished
    written = "".join(json.dumps(row) + "\n" for row in rows(100, 10))
    monkeypatch.setattr("sys.stdin", Pipe(written.encode()))
    outcome = job.run(tmp_path / "run", "--synthetic", "-")
    assert outcome.code == 0, outcome.err
    assert "10 rows kept of 10 of standard-input.jsonl" in outcome.out
    for name in ("run.json", "synthetic/README.md", "report.html"):
        text = (tmp_path / "run" / name).read_text()
        assert "standard-input.jsonl" in text
        assert "/standard-input.jsonl" not in text  # the file is gone, so its folder says nothing


def test_validate_reads_standard_input(job: SmallJob, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", Pipe(job.data("train").read_bytes()))
    sets = ["-s", f"backbone.path={job.model}", "-s", "tuning.prompt_length=4"]
    outcome = dawgen("validate", job.card, "--data", "-", *sets)
    assert outcome.code == 0, outcome.err
    assert "standard-input.jsonl: 8 rows, 2 labels" in outcome.out


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "dawgen: standard input is empty."),
        (b"premise,hypothesis\na,b\n", "standard input has no column 'verdict'"),
        (b'{"premise": "a"\n', "standard input, line 1: this is not JSON"),
    ],
)
def test_errors_name_standard_input(
    job: SmallJob, monkeypatch: pytest.MonkeyPatch, content: bytes, message: str
) -> None:
    monkeypatch.setattr("sys.stdin", Pipe(content))
    outcome = dawgen("run", job.card, "--train", "-", "--out", job.folder / "run")
    assert outcome.code == 2
    assert message in outcome.err


def test_standard_input_is_read_for_one_option_and_not_from_a_terminal(
    job: SmallJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = dawgen("run", job.card, "--train", "-", "--test", "-")
    assert both.code == 2
    assert "--train and --test are both - (standard input), which can be read once" in both.err
    assert "There is no file -." in dawgen("tasks", "new", "-").err  # its card is named after it
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    for arguments in (["run", job.card, "--train", "-"], ["predict", "runs/mood", "-"]):
        outcome = dawgen(*arguments)
        assert outcome.code == 2
        assert "standard input (-), which is a terminal; pipe them" in outcome.err


@pytest.mark.parametrize("out", ["labelled.csv", "-"])
def test_a_log_says_how_far_predict_is(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str
) -> None:
    _, folder, _ = finished
    path, clock = tmp_path / "rows.csv", itertools.count(step=20.0)
    path.write_text("premise,hypothesis\n" + "a man runs,a dog runs\n" * 5)
    monkeypatch.setattr("dawgen.use.predicting.CHUNK", 2)
    monkeypatch.setattr("dawgen.terminal.progress.monotonic", lambda: next(clock))
    place = out if out == "-" else tmp_path / out
    outcome = dawgen("predict", folder, path, "--out", place)
    assert outcome.code == 0, outcome.err
    # the clock goes on each time that it is asked, inside a batch too
    assert "  labelling: 4 of 5 rows, 20.0 s each, about 20 s left" in outcome.err.splitlines()
    assert "scoring rows" not in outcome.err
    assert "labelling" not in outcome.out


@pytest.mark.slow
def test_pipes_of_a_real_shell(finished: Finished) -> None:
    """Nothing but rows on standard output, and what is said on standard error."""
    _, folder, _ = finished
    done = subprocess.run(
        [sys.executable, "-m", "dawgen", "predict", str(folder), "-"],
        input='{"premise": "a man runs", "hypothesis": "a dog runs"}\n',
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[0] == "premise,hypothesis,prediction,p_same,p_other"
    assert len(done.stdout.splitlines()) == 2


# --- cards ------------------------------------------------------------------------------------


def test_tasks_show_prints_a_card(job: SmallJob) -> None:
    assert dawgen("tasks", "show", "sick").out.startswith("name: sick\n")
    assert dawgen("tasks", "show", job.card).out == job.card.read_text()
    assert "did you mean 'sick'" in dawgen("tasks", "show", "sicc").err


@pytest.mark.parametrize("name", ["pears.yaml", "pairs", "Pairs.yml", "pair.yaml"])
def test_a_card_file_named_nearly_right_is_offered(job: SmallJob, name: str) -> None:
    outcome = dawgen("validate", job.folder / name)
    assert outcome.code == 2
    assert f"did you mean {job.card}?" in outcome.err


def test_validate_looks_at_all_rows(job: SmallJob) -> None:
    with job.data("train").open("a") as file:
        file.write('{"premise": "x", "hypothesis": "", "verdict": "same"}\n')
        file.write(job.data("train").read_text().splitlines()[0].replace("other", "same") + "\n")
        long = json.dumps({"premise": "a " * 600, "hypothesis": "b", "verdict": "same"})
        file.write(long + "\n")
    sets = ["-s", f"backbone.path={job.model}", "-s", "tuning.prompt_length=4"]
    outcome = dawgen("validate", job.card, "--data", job.data("train"), *sets)
    assert outcome.code == 0, outcome.err
    assert "train.jsonl: 11 rows, 2 labels" in outcome.out
    assert "rows with an empty text: 1 (row 9)" in outcome.out
    assert "texts with several labels: 1 (row 1 other and row 10 same)" in outcome.out
    assert "rows longer than the model reads (the end is cut): 1 (row 11)" in outcome.out
