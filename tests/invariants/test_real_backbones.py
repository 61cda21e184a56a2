"""The whole job on the real language models, where dawgen's cache has them."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from dawgen.backbone.cache import cached
from dawgen.backbone.registry import KNOWN
from dawgen.tasks import load_card, packaged_data
from tests.invariants.jobs import dawgen, write_rows

LABELS = ("entailment", "neutral", "contradiction")
SETTINGS = {
    "shots": 2,
    "backbone.dtype": "bf16",
    "generator.prompt_length": 4,
    "generator.epochs": 1,
    "generator.batch_size": 2,
    "generator.learning_rate": 0.001,
    "synthesis.rows_per_label": 2,
    "synthesis.oversample": 1,
    "synthesis.max_new_tokens": 16,
    "synthesis.max_attempts_factor": 20,
    # A prompt of two steps has not learnt where texts end.
    "synthesis.cleaning.skip": '["cut off", "bad end"]',
    "tuning.prompt_length": 4,
    "tuning.optimizer": "adamw",
    "tuning.learning_rate": 0.005,
    "tuning.batch_size": 2,
    "tuning.synthetic_batch_size": 2,
    "tuning.steps": 2,
    "tuning.synthetic_steps": 2,
    "tuning.eval_every": 1,
}
WIDTHS = {"smollm2": 576, "gemma3": 640}
FILES = (
    "config.yaml",
    "task.yaml",
    "run.json",
    "scores.json",
    "predictions.parquet",
    "report.html",
    "generator/log.jsonl",
    "synthetic/ledger.json",
    "synthetic/README.md",
    "map/points.parquet",
)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(WIDTHS))
def test_the_whole_job_runs_on_a_real_model(name: str, tmp_path: Path) -> None:
    if cached(KNOWN[name]) is None:
        pytest.skip(f"{name} is not in dawgen's cache: dawgen backbones get {name}")
    lines = Path(packaged_data(load_card("demo"))["test"]).read_text("utf-8").splitlines()
    test = write_rows(tmp_path / "test.jsonl", [json.loads(line) for line in lines[:6]])
    sets = [part for key, value in SETTINGS.items() for part in ("-s", f"{key}={value}")]
    out = tmp_path / "run"
    outcome = dawgen(
        "run", "demo", "--test", test, "--out", out, "-s", f"backbone.path={name}", *sets
    )
    assert outcome.code == 0, outcome.err

    for file in FILES:
        assert (out / file).is_file(), file
    assert not list(out.rglob("*.partial"))
    for label in LABELS:
        assert soft_prompt(out / "generator" / "label-prompts" / label) == [4, WIDTHS[name]]
    for arm in ("prompt", "baseline"):
        assert soft_prompt(out / arm) == [4, WIDTHS[name]]
        steps = [json.loads(line) for line in (out / arm / "log.jsonl").read_text().splitlines()]
        assert [step["step"] for step in steps] == [0, 1, 2]
    rows = [
        r
        for p in sorted((out / "synthetic").glob("*.parquet"))
        for r in pq.read_table(p).to_pylist()
    ]
    assert sorted(row["label"] for row in rows if row["kept"]) == sorted(2 * LABELS)
    scores = json.loads((out / "scores.json").read_text())
    assert (scores["n"], scores["backbone"]) == (6, f"dawgen/{name}")
    assert f"demo on dawgen/{name}: {100 * scores['accuracy']:.1f} % right" in outcome.out
    record = json.loads((out / "run.json").read_text())
    assert not any(stage["skipped"] for stage in record["stages"].values())

    assert dawgen("predict", out, test, "--out", tmp_path / "labelled.csv").code == 0


@pytest.mark.slow
@torch.no_grad()
def test_zero_shot_is_what_plain_transformers_says(tmp_path: Path) -> None:
    """On SmolLM2, 300 test rows of the demo: each row with each label's word, by itself."""
    place = cached(KNOWN["smollm2"])
    if place is None:
        pytest.skip("smollm2 is not in dawgen's cache: dawgen backbones get smollm2")
    lines = Path(packaged_data(load_card("demo"))["test"]).read_text("utf-8").splitlines()[:300]
    rows = [json.loads(line) for line in lines]
    tokenizer = AutoTokenizer.from_pretrained(place)
    model = AutoModelForCausalLM.from_pretrained(place, dtype=torch.float32).eval()
    words = {"entailment": " yes", "neutral": " maybe", "contradiction": " no"}
    right = 0
    for row in rows:
        text = f"Premise: {row['text1']}\nHypothesis: {row['text2']}\nAnswer:"
        scores = {}
        for label, word in words.items():
            before, after = (tokenizer(part)["input_ids"] for part in (text, word))
            logits = model(torch.tensor([before + after])).logits[0].log_softmax(dim=1)
            places = range(len(before) - 1, len(before) + len(after) - 1)
            scores[label] = sum(logits[n, i].item() for n, i in zip(places, after, strict=True))
        right += max(scores, key=scores.__getitem__) == row["label"]
    test = write_rows(tmp_path / "test.jsonl", rows)
    sets = ["-s", "backbone.path=smollm2", "-s", "backbone.dtype=fp32"]
    command = ["evaluate", "demo", "--method", "zero-shot", "--test", test, *sets]
    outcome = dawgen(*command, "--out", tmp_path / "scores", "--json")
    assert outcome.code == 0, outcome.err
    ours = json.loads(outcome.out)["scores"]["accuracy"]
    print(f"zero-shot, 300 rows: dawgen {ours:.1%}, transformers {right / 300:.1%}")
    assert abs(ours - right / 300) <= 0.005


def soft_prompt(adapter: Path) -> list[int]:
    """The shape of the one tensor that an adapter's folder holds."""
    (tensor,) = load_file(adapter / "adapter_model.safetensors").values()
    assert tensor.isfinite().all()
    return list(tensor.shape)
