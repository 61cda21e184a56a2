"""Run folders that were changed by other hands: refused in a sentence, or read as they are."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dawgen.errors import UserError
from dawgen.storage.seals import renew_seal
from dawgen.use.finished import open_run
from tests.invariants.jobs import Outcome, SmallJob, dawgen

Finished = tuple[SmallJob, Path, Outcome]


@pytest.fixture
def run(finished: Finished, tmp_path: Path) -> Path:
    """A finished run that a test may spoil."""
    return shutil.copytree(finished[1], tmp_path / "run")


# --- what predicting reads is what the run wrote ---------------------------------------------


def other_words(run: Path) -> None:
    path = run / "task.yaml"
    path.write_text(path.read_text().replace("same: 'yes'", "same: maybe"))
    assert "maybe" in path.read_text()


def other_settings(run: Path) -> None:
    path = run / "config.yaml"
    path.write_text(path.read_text().replace("max_length: 512", "max_length: 40"))
    assert "max_length: 40" in path.read_text()


def other_prompt(run: Path) -> None:
    """With a seal of its own, as where a whole folder is copied over it."""
    path = run / "prompt" / "adapter_model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))
    renew_seal(run / "prompt")


@pytest.mark.parametrize(
    ("spoil", "name"),
    [
        (other_words, "task.yaml"),
        (other_settings, "config.yaml"),
        (other_prompt, "prompt/adapter_model.safetensors"),
    ],
)
def test_what_is_not_as_the_run_wrote_it_labels_nothing(
    finished: Finished, run: Path, spoil: Callable[[Path], None], name: str
) -> None:
    spoil(run)
    outcome = dawgen("predict", run, finished[0].data("test"))
    assert (outcome.code, outcome.out) == (2, "")
    assert f"{run / name} is not the file that the run wrote" in outcome.err
    with pytest.raises(UserError, match="is not the file that the run wrote"):
        open_run(run)


def test_settings_that_dawgen_writes_anew_are_the_runs_own(finished: Finished, run: Path) -> None:
    """Where they do not change the prompt: then scores and record of the run stay."""
    job = finished[0]
    arguments = job.arguments(evaluation__tokens_per_batch=64)
    tuned = dawgen("tune", job.card, *arguments, "--synthetic", run / "synthetic", "--out", run)
    assert tuned.code == 0, tuned.err
    assert "tokens_per_batch: 64" in (run / "config.yaml").read_text()
    assert (run / "run.json").is_file()
    assert dawgen("predict", run, job.data("test")).code == 0
    other_settings(run)
    assert dawgen("predict", run, job.data("test")).code == 2


def test_a_prompt_that_is_not_as_it_was_sealed_is_not_scored(
    finished: Finished, run: Path, tmp_path: Path
) -> None:
    job = finished[0]
    path = run / "prompt" / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    arguments = ["evaluate", job.card, "--prompt", run, "--test", job.data("test")]
    sets = ["-s", f"backbone.path={job.model}", "--out", tmp_path / "scores"]
    outcome = dawgen(*arguments, *sets)
    assert outcome.code == 2
    assert "prompt is damaged: adapter_model.safetensors is not as it was written" in outcome.err


# --- JSON that is odd but valid ---------------------------------------------------------------

FILES = (
    "run.json",
    "scores.json",
    "prompt/arm.json",
    "prompt/log.jsonl",
    "generator/log.jsonl",
    "generator/fingerprint.json",
    "generator/token-weights.json",
    "synthetic/ledger.json",
    "synthetic/quality.json",
)
ODD: tuple[Any, ...] = (
    None,
    [],
    {},
    "x",
    -1,
    1e999,
    float("nan"),
    [[]],
    {"a": {"b": []}},
    "\ud800",
)
WHOLE = ("[" * 100_000, "9" * 5_000, "null", "[1]", '{"a": 1}', '"\\ud800"', "", "\ufeff{}")


def changes(tree: Any) -> list[Any]:
    """The same with an odd value at each place of the first two levels."""
    places: list[Any] = list(tree) if isinstance(tree, dict) else list(range(min(len(tree), 1)))
    found = []
    for place in places:
        for odd in ODD:
            changed = json.loads(json.dumps(tree))
            changed[place] = odd
            found.append(changed)
        below = tree[place]
        if isinstance(below, dict | list) and below:
            inner = next(iter(below)) if isinstance(below, dict) else 0
            for odd in ODD:
                changed = json.loads(json.dumps(tree))
                changed[place][inner] = odd
                found.append(changed)
    return found


def is_one_sentence(outcome: Outcome) -> bool:
    return outcome.code == 2 and outcome.err.count("\n") == 1 and outcome.err.startswith("dawgen: ")


def assert_told(run: Path, name: str, content: str) -> int:
    """No command that reads the file fails otherwise than in one sentence; how many fail."""
    (run / name).write_text(content, "utf-8")
    commands = [("report", run), ("inspect", "weights", run)][: 1 + ("weights" in name)]
    outcomes = [dawgen(*command) for command in commands]
    for outcome in outcomes:
        assert outcome.code == 0 or is_one_sentence(outcome), (content[:200], outcome)
    return sum(outcome.code == 2 for outcome in outcomes)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("run.json", '{"stages": [1]}'),
        ("run.json", '{"hardware": 3, "command": {"a": "\\ud800"}}'),
        ("scores.json", '{"accuracy": 1e999, "n": 8}'),
        ("scores.json", '{"labels": {"same": {}}}'),
        ("synthetic/ledger.json", '{"kept": "x"}'),
        ("generator/log.jsonl", '{"gen_loss": 1}'),
        ("generator/token-weights.json", '[{"row": 0}]'),
        ("generator/fingerprint.json", '{"inputs": [1]}'),
        ("prompt/arm.json", "[" * 100_000),
        ("prompt/arm.json", '{"best_step": ' + "9" * 5_000 + "}"),
    ],
)
def test_odd_json_is_told_in_a_sentence(run: Path, name: str, content: str) -> None:
    assert assert_told(run, name, content)


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_odd_json_ends_nothing_in_a_traceback(run: Path, name: str) -> None:
    for folder in ("synthetic", "map"):
        for shard in (run / folder).glob("*.parquet"):
            shard.unlink()  # read each time, and no part of what is asked here
    text = (run / name).read_text("utf-8")
    tree = json.loads(text.splitlines()[0] if name.endswith(".jsonl") else text)
    contents = [*WHOLE, *(json.dumps(changed) for changed in changes(tree))]
    assert sum(assert_told(run, name, content) for content in contents)


def test_odd_json_ends_no_comparison_in_a_traceback(
    finished: Finished, run: Path, tmp_path: Path
) -> None:
    out = tmp_path / "page.html"
    for name, content in (("run.json", '{"stages": [1]}'), ("scores.json", '{"accuracy": {}}')):
        before = (run / name).read_text("utf-8")
        (run / name).write_text(content)
        outcome = dawgen("report", finished[1], run, "--out", out)
        assert outcome.code == 0 or is_one_sentence(outcome), outcome
        (run / name).write_text(before)
    (run / "config.yaml").write_text("[1, 2\n")
    assert is_one_sentence(dawgen("report", finished[1], run, "--out", out))


def test_odd_json_ends_no_export_in_a_traceback(
    finished: Finished, run: Path, tmp_path: Path
) -> None:
    sentence = "run has contents that dawgen does not write"
    scores = json.loads((run / "scores.json").read_text())
    (run / "scores.json").write_text(json.dumps(scores | {"accuracy_95": 3}))
    outcome = dawgen("export", run, "--to", "peft", "--out", tmp_path / "out")
    assert is_one_sentence(outcome)
    assert sentence in outcome.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("content", ["[1]", '{"files": 3}', "[" * 100_000, "{"])
def test_an_odd_record_ends_no_prediction_in_a_traceback(
    finished: Finished, run: Path, content: str
) -> None:
    (run / "run.json").write_text(content)
    outcome = dawgen("predict", run, finished[0].data("test"))
    assert outcome.code == 0 if "files" in content else is_one_sentence(outcome)
