"""The benchmarks' judging, their peers, and the page; not their speed."""

from __future__ import annotations

import pytest
import torch

from benchmarks.measure import Bar, Job, Share
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
