"""A chat model through the command line: what its generator reads is shown, kept and recorded."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from dawgen.tasks.card import load_card
from tests.conftest import causal_config, causal_model, chat_tokenizer
from tests.invariants.jobs import SmallJob, dawgen, write_job

RULES = "[cut off, broken text, too short, too long, other script, empty]"
READS = [
    "the generator reads: <|im_start|>user",
    "                     <|im_start|>assistant",
]


@pytest.fixture(scope="module")
def chat_job(tmp_path_factory: pytest.TempPathFactory) -> SmallJob:
    folder = tmp_path_factory.mktemp("chat")
    tokenizer = chat_tokenizer()
    causal_model(causal_config("llama", len(tokenizer))).save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    assert (folder / "model" / "chat_template.jinja").is_file()
    return write_job(folder, folder / "model")


def test_validate_shows_the_frame_with_a_row(chat_job: SmallJob) -> None:
    def validate(*over: str) -> list[str]:
        settings = [f"backbone.path={chat_job.model}", *over]
        flags = [part for setting in settings for part in ("-s", setting)]
        outcome = dawgen("validate", chat_job.card, "--data", chat_job.data("train"), *flags)
        assert outcome.code == 0, outcome.err
        return outcome.out.splitlines()

    lines = validate()
    row = json.loads(chat_job.data("train").read_text("utf-8").splitlines()[1])
    start = lines.index(READS[0])
    assert lines[start + 1].strip() == f"{row['premise']}<|im_end|>"
    assert lines[start + 2] == READS[1]
    assert lines[start + 4].startswith("and writes:          ")
    assert lines[start + 4].endswith("<|im_end|>")
    plain = validate("generator.frame=plain")
    assert f"the generator reads: {row['premise']}" in plain
    assert READS[0] not in plain


def test_a_generator_is_read_as_it_was_tuned(chat_job: SmallJob, tmp_path: Path) -> None:
    """Whatever ``generator.frame`` says later: rows, scores and the record are the same."""
    small = {"generator__epochs": 1, "tuning__steps": 2, "synthesis__cleaning__skip": RULES}
    outcome = chat_job.run(tmp_path / "run", **small)
    assert outcome.code == 0, outcome.err
    frame = json.loads((tmp_path / "run" / "generator" / "frame.json").read_text())
    assert frame["kind"] == "chat"
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["generator_frame"] == frame
    assert record["template"] == load_card(chat_job.card).template  # what classifies reads

    def shard(name: str, *flags: object, generator: Path, plain: bool = False) -> bytes:
        changes = small | ({"generator__frame": "plain"} if plain else {})
        where = ["--generator", generator, "--out", tmp_path / name]
        done = dawgen("synthesize", chat_job.card, *chat_job.arguments(**changes), *flags, *where)
        assert done.code == 0, done.err
        return (tmp_path / name / "synthetic" / "shard-00000.parquet").read_bytes()

    tuned, old = tmp_path / "run" / "generator", tmp_path / "old-generator"
    shutil.copytree(tuned, old)
    (old / "frame.json").unlink()  # as of a generator from before there were frames
    for flags in ((), ("--import", chat_job.data("test"))):
        name = "imported" if flags else "written"
        rows = shard(name, *flags, generator=tuned)
        assert shard(f"{name}-plain", *flags, generator=tuned, plain=True) == rows
        assert shard(f"{name}-old", *flags, generator=old) != rows
