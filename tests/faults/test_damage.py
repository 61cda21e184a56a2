"""Damaged files are found by their hash, named, and mended by doing their stage again."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.damage import WAYS, artefacts, flip, mend
from tests.faults.harness import Harness
from tests.faults.server import Disturbance
from tests.faults.test_kills import assert_equal, rename_of
from tests.invariants.jobs import dawgen


@pytest.mark.parametrize(
    ("name", "way"),
    [
        ("generator/label-prompts/same/adapter_model.safetensors", "flipped"),
        ("synthetic/shard-00001.parquet", "truncated"),
        pytest.param("baseline/log.jsonl", "flipped", marks=pytest.mark.slow),
        pytest.param("prompt/fingerprint.json", "emptied", marks=pytest.mark.slow),
    ],
)
def test_a_damaged_artefact(harness: Harness, name: str, way: str) -> None:
    assert mend(harness, name, way).right(name)


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_every_artefact(harness: Harness, way: str) -> None:
    for name in artefacts(harness.folder / "undisturbed"):
        assert mend(harness, name, way).right(name), name


@pytest.mark.parametrize(
    ("part", "nth"),
    [("tuning-", 4), pytest.param("shard-00000.parquet", 1, marks=pytest.mark.slow)],
)
def test_a_damaged_state_of_a_stopped_stage(harness: Harness, part: str, nth: int) -> None:
    out = harness.folder / "stopped"
    at = rename_of(harness, part, nth) + (".parquet" in part)  # the shard's hash too
    assert harness.run(out, Disturbance(at=(at, "after"))).code == -9
    (path,) = [
        p for p in out.rglob("*") if p.is_file() and part in str(p) and p.suffix != ".sha256"
    ]
    flip(path)
    trial = harness.try_out([], out)
    assert f"{path.name} is damaged" in trial.outcomes[0].err
    assert_equal(trial)


def test_a_damaged_prompt_labels_nothing(harness: Harness) -> None:
    run = harness.copy("labels-nothing")
    flip(run / "prompt" / "adapter_model.safetensors")
    outcome = dawgen("predict", run, harness.job.data("test"))
    assert outcome.code == 2
    assert "prompt is damaged: adapter_model.safetensors is not as it was written" in outcome.err


def test_what_lies_outside_the_stages_is_written_anew(harness: Harness) -> None:
    run = harness.copy("outside")
    for name in ("scores.json", "predictions.parquet", "run.json", "config.yaml", "task.yaml"):
        Path(run / name).write_bytes(b"")
    assert_equal(harness.try_out([], run))
