"""The benchmarks' judging, their peers, and the page; not their speed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import causal, synthesis
from benchmarks.arms import Job as Writing
from benchmarks.causal import BETWEEN, FULL, PLAIN, SCORES, TUNING, Arm, arms_of, figures
from benchmarks.measure import Bar, Job, Share
from benchmarks.more import causal_section, sections, writing_section
from benchmarks.page import page
from benchmarks.peers import peft_batch, peft_model, prepare

JOB = Job("shipped", "cpu", 1, 13, 8)


def test_bars_are_judged_by_hand() -> None:
    arms = {
        "ours": {"time": 2.0, "mib": 30.0},
        "theirs": {"time": 5.0, "mib": 40.0},
    }
    quick = Bar("x theirs", "ours", "theirs", least=2.5).judge(arms)
    assert (quick["ratio"], quick["reached"]) == (2.5, True)
    assert not Bar("x theirs", "ours", "theirs", least=2.6).judge(arms)["reached"]
    small = Bar("of theirs", "ours", "theirs", "mib", most=0.6).judge(arms)
    assert (small["ratio"], small["reached"], small["bar"]) == (0.75, False, "<= 0.6")


@pytest.mark.slow
def test_peft_gives_the_label_scores_that_we_give() -> None:
    """What is timed against each other computes the same."""
    setting = prepare(JOB)
    soft = setting.start.expand(4, -1, -1)
    with torch.no_grad():
        ours = setting.backbone.label_scores(soft, setting.encoded.ids[:4], setting.words)
        logits = peft_model(setting).eval()(**peft_batch(setting, [0, 1, 2, 3], None)).logits
    theirs = logits[:, 0, [word[0] for word in setting.words]]
    torch.testing.assert_close(ours, theirs, atol=1e-3, rtol=1e-4)


def test_share_of_the_peak_is_judged() -> None:
    judged = Share("of the peak", "ours", 0.35).judge({"ours": {"share_of_peak": 0.4}})
    assert judged == {"title": "of the peak", "ratio": 0.4, "bar": ">= 0.35", "reached": True}
    assert not Share("of the peak", "ours", 0.5).judge({"ours": {"share_of_peak": 0.4}})["reached"]


def test_page_shows_figures_and_missed_bars() -> None:
    arm = {
        "seconds": [1.0, 3.0, 2.0],
        "median_seconds": 2.0,
        "median_cpu_seconds": 1.5,
        "time": 2.0,
        "flops": 4e9,
        "share_of_peak": 0.25,
        "above_loaded_mib": 12.0,
    }
    bar = {"title": "x PEFT", "ratio": 1.5, "bar": ">= 2.0", "reached": False}
    record = {
        "name": "tuning",
        "title": "A step",
        "commit": "abc",
        "repeats": 3,
        "hardware": {"processor": "P", "cores": 2, "gpu": None},
        "versions": {"torch": "2", "peft": "0"},
        "results": [{"job": vars(JOB), "arms": {"ours": arm}, "bars": [bar]}],
    }
    text = page([record])
    assert "| ours | 2.00 | 3.00 to 1.00 | 1.50 | 2 | 25 % | 12 |" in text
    assert "| x PEFT | 1.50 | >= 2.0 | **missed** |" in text


# --- steps of a small causal model ------------------------------------------------------


def step_figures() -> dict[str, dict[str, Any]]:
    """Of a generator step in bf16: transformers is faster with two threads, dawgen with any."""
    arms = arms_of((PLAIN, FULL, BETWEEN), 1, 2)
    seconds = {"transformers": 8.0, PLAIN: 2.0, FULL: 12.0, BETWEEN: 3.0}
    found = {}
    for arm in arms:
        taken = seconds["transformers" if arm.side == "transformers" else arm.work]
        taken *= 2 if arm.dtype == "fp32" else 1
        found[arm.name] = {
            "median_cpu_seconds": taken,
            "median_seconds": taken * (1.25 if arm.threads == 1 else 0.75),
            "loaded_mib": 1000.0,
            "above_loaded_mib": 250.0,
        }
    rates = {(work, threads): 1000.0 for work in (PLAIN, FULL, BETWEEN) for threads in (1, 2)}
    return figures(arms, found, rates)


def test_steps_are_compared_with_the_peer_at_its_best(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(causal, "preset", preset_in_bf16())
    shown = step_figures()
    assert shown[f"dawgen, {PLAIN}, bf16"]["times_transformers"] == 4.0  # CPU: 8 to 2
    assert shown[f"transformers, {PLAIN}, fp32"]["times_transformers"] == 0.5
    two = shown[f"dawgen, {FULL}, bf16, 2 threads"]
    assert two["times_transformers"] == 0.67  # clock: 6 to 9
    assert two["times_one_thread"] == 1.67  # clock: 15 to 9
    assert two["peak_mib"] == 1250.0
    assert "times_one_thread" not in shown[f"dawgen, {FULL}, bf16"]


def preset_in_bf16() -> Any:
    """The preset as it is on a processor that computes in bf16."""
    settings = causal.preset()
    chosen = settings.model_copy(
        update={"backbone": settings.backbone.model_copy(update={"dtype": "bf16"})}
    )
    return lambda: chosen


def test_page_has_the_mean_generator_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(causal, "preset", preset_in_bf16())
    record = {
        "commit": "abc",
        "hardware": {"processor": "P", "cores": 2},
        "layers": 30,
        "repeats": 5,
        "product_gflops": 200.0,
        "product_gflops_of_threads": {"1": 200.0, "2": 390.0},
        "weights_every": 3,
        "arms": step_figures(),
    }
    text = causal_section(record)
    assert "| dawgen, plain generator step, bf16 | 2.00 | 2.50 |" in text
    assert "with 1 thread the mean step takes 3.00 times as long as the plain one" in text
    assert "(6.00 where it updates them, 1.50 between)" in text
    assert "random weights, medians of 5 (`python -m benchmarks.causal --threads 2`)" in text
    assert "200 GFLOP/s with 1 thread, 390 GFLOP/s with 2 threads" in text


def test_page_shows_what_older_figures_lack_as_a_dash() -> None:
    arm = {
        "seconds": 5.4,
        "tokens_per_second": 174,
        "of_limit": 0.37,
        "times_transformers": 1.14,
    }
    record = {
        "commit": "abc",
        "hardware": {"processor": "P", "cores": 2},
        "layers": 30,
        "product_gflops": 199.3,
        "arms": {"dawgen, plain": arm},
    }
    text = causal_section(json.loads(json.dumps(record)))
    assert "| dawgen, plain | 5.40 | – | 174 | 0.37 | 1.14 | – | – | – |" in text
    assert "mean step" not in text
    assert "random weights, bf16 (`python -m benchmarks.causal`)" in text


@pytest.fixture
def small_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = {"hidden_size": 48, "intermediate_size": 64, "num_attention_heads": 6}
    monkeypatch.setattr(causal, "SHAPE", causal.SHAPE | sizes)


def done(side: str, work: str) -> Any:
    return Arm(side, work, "fp32", 1, 2).make()()


@pytest.mark.usefixtures("small_shape")
def test_both_sides_compute_the_same_steps() -> None:
    theirs, ours = done("transformers", TUNING), done("dawgen", TUNING)
    scale = float(theirs[0].abs().max())
    for one, other in zip(theirs, (ours.real, ours.synthetic), strict=True):
        torch.testing.assert_close(one, other, atol=1e-4 * scale, rtol=0)
    scores = torch.as_tensor(done("dawgen", SCORES))
    torch.testing.assert_close(done("transformers", SCORES), scores, atol=1e-5, rtol=1e-4)
    loss = done("transformers", PLAIN)
    for work in (PLAIN, FULL, BETWEEN):
        assert done("dawgen", work)["gen_loss"] == pytest.approx(loss, rel=1e-5)


@pytest.mark.usefixtures("small_shape")
def test_only_the_full_step_updates_the_weights() -> None:
    """And the plain one computes nothing for the report."""
    assert "lookahead_share" in done("dawgen", FULL)
    between = done("dawgen", BETWEEN)
    assert "lookahead_share" not in between
    assert "disc_loss" in between
    assert "disc_loss" not in done("dawgen", PLAIN)


def test_results_in_the_repository_make_a_page() -> None:
    path = Path(__file__).parents[1] / "benchmarks/results/causal.json"
    assert "| dawgen, tuning step" in causal_section(json.loads(path.read_text("utf-8")))


# --- writing ----------------------------------------------------------------------------


def written(model: str, turns: int) -> dict[str, Any]:
    """A record of ten rows, which the arms write in 20, 5 and 4 seconds (their medians)."""
    seconds = {"a": [20.0, 20.0, 40.0], "b": [5.0, 4.0, 6.0], "c": [4.0, 1.0, 9.0]}
    arms = {
        arm: {
            "seconds": taken,
            "tokens_per_second": 100 / sorted(taken)[1],
            "memory_mib": 1500.0,
            "loaded_mib": 1200.0,
        }
        for arm, taken in seconds.items()
    }
    job = {"model": model, "rows": 10, "threads": 1, "seed": 13, "turns": turns}
    job["prompt_length"] = 20
    hardware = {"processor": "P", "cores": 2}
    return {"commit": "abc", "hardware": hardware, "results": [{"job": job, "arms": arms}]}


def test_page_has_rows_per_second_and_memory() -> None:
    text = writing_section(written("smollm2", 4))
    assert (
        "10 rows, 1 thread, seed 13; label prompts of 20 vectors; loading it takes 1,200 MiB"
        in text
    )
    assert "| one row at a time, `generate` | 0.50 | 5 | 1.0 | 0.2 | 1,500 |" in text
    assert "| dawgen, transformers | 2.50 | 25 | 5.0 | 1.2 | 1,500 |" in text
    assert "## Writing with a small causal model" in text
    assert "Each row reads four few shots" in text


def test_page_has_writing_with_the_shape_of_t5_small() -> None:
    record = written("t5-small", 0)
    record["results"][0]["arms"]["d"] = {"failed": "UserError: no ctranslate2"}
    text = writing_section(record)
    assert "## Writing with the shape of t5-small" in text
    assert "(`python -m benchmarks.synthesis --models t5-small`)" in text
    assert "few shots" not in text
    assert "ctranslate2" not in text


def test_t5_small_is_a_shape_to_write_with(tmp_path: Path, monkeypatch: Any) -> None:
    """Its figures make a page; what writes them is left out."""
    asked = []

    def measured(job: Writing, arms: str, repeats: int) -> dict[str, dict[str, Any]]:
        asked.append((job, arms))
        figures: dict[str, Any] = {"tokens_per_second": 9.0, "seconds": [2.0], "gpu_mib": None}
        figures |= {"memory_mib": 900.0, "loaded_mib": 900.0}
        return dict.fromkeys(arms, figures)

    monkeypatch.setattr(synthesis, "measure", measured)
    out = str(tmp_path / "writing-t5-small")
    monkeypatch.setattr("sys.argv", ["x", "--models", "t5-small", "--arms", "abc", "--out", out])
    synthesis.main()
    ((job, arms),) = asked
    assert (job.model, job.turns, job.forced, arms) == ("t5-small", 0, True, "abc")
    (section,) = sections(tmp_path)
    assert "| dawgen, transformers | 64.00 | 9 | 1.0 | 1.0 | 900 |" in section
