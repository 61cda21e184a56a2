"""Generators and ways to combine, on the small job of the invariants."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dawgen.backbone import Backbone
from dawgen.methods import METHODS, PREPARED
from dawgen.methods.synthetic import WAYS, best_of_each_label, combined
from dawgen.streams import Streams
from dawgen.synthesis import SyntheticRow
from tests.invariants.jobs import SmallJob, dawgen
from tests.methods.toy_pairs import pair_rows, small, toy_shots, toy_task, two_way


def evaluate(small: SmallJob, method: str, out: Path, *more: object) -> dict[str, object]:
    outcome = dawgen(
        *("evaluate", small.card, "--method", method, "--test", small.data("test")),
        *(*small.arguments(), "--out", out, *more),
    )
    assert outcome.code == 0, outcome.err
    return json.loads((out / "scores.json").read_text())  # type: ignore[no-any-return]


def test_every_way_of_table_2_is_there_for_both_generators() -> None:
    ways = {
        *("synthetic", "mixed", "mixed-smoothed", "real-then-synthetic"),
        *("synthetic-then-real", "paired", "surgery"),
    }
    assert set(WAYS) == ways
    assert {f"{g}-{w}" for g in ("fewgen", "dawgen") for w in ways} <= set(PREPARED) <= set(METHODS)


def test_one_generator_serves_all_ways_and_surgery_is_what_run_does(
    job: SmallJob,
    tmp_path: Path,
) -> None:
    found = evaluate(job, "dawgen-surgery", tmp_path / "out")
    made = (tmp_path / "out" / "work" / "dawgen" / "generator" / "fingerprint.json").stat()
    assert found["method"] == "dawgen-surgery"
    assert found["details"]["synthetic_rows"] == 12  # type: ignore[index]

    evaluate(job, "dawgen-mixed-smoothed", tmp_path / "out")
    again = (tmp_path / "out" / "work" / "dawgen" / "generator" / "fingerprint.json").stat()
    assert made.st_mtime_ns == again.st_mtime_ns

    assert job.run(tmp_path / "run").code == 0
    whole = json.loads((tmp_path / "run" / "scores.json").read_text())
    assert found["confusion"] == whole["confusion"]


@pytest.mark.parametrize("setting", [0.0, 0.3])
def test_only_what_asks_for_smoothing_smooths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_bart: Backbone, setting: float
) -> None:
    """Real+Syn and Real+Syn+LS differ by it; the other ways do as ``tuning.label_smoothing``."""
    card = two_way("mrpc")
    rows = pair_rows(card, 4, 0)
    monkeypatch.setattr("dawgen.methods.synthetic.written_rows", lambda *_: rows)
    tuning = small().tuning.model_copy(update={"label_smoothing": setting})
    settings = small().model_copy(update={"tuning": tuning})
    amounts = {}
    for way in WAYS:
        task, streams = toy_task(tmp_path, card), Streams(13)
        job = combined("fewgen", way)(task, toy_shots(card), tiny_bart, settings, streams)
        amounts[way] = job.arm.label_smoothing
    assert (amounts.pop("mixed"), amounts.pop("mixed-smoothed")) == (0.0, 0.15)
    assert set(amounts.values()) == {setting}


def test_a_whole_run_hands_over_what_dawgen_run_does(job: SmallJob, tmp_path: Path) -> None:
    job.settings["selection.candidates"] = "[tfidf, zero-shot, baseline, prompt]"
    found = evaluate(job, "dawgen-shipped", tmp_path / "out")
    assert job.run(tmp_path / "run").code == 0
    whole = json.loads((tmp_path / "run" / "scores.json").read_text())
    assert found["confusion"] == whole["confusion"]
    details: Any = found["details"]
    assert details["choice"] == whole["choice"]
    assert details["candidates"] == whole["candidates"]
    assert details["written"]["kept"] == 12
    assert details["quality"].keys() >= {"text2_alone", "telling_words"}


@pytest.mark.parametrize("method", ["fewgen-paired", "dawgen-selected", "tfidf", "in-context"])
def test_methods_run_through_the_command_line(
    job: SmallJob,
    tmp_path: Path,
    method: str,
) -> None:
    found = evaluate(job, method, tmp_path / "out")
    assert found["n"] == 30
    assert found["method"] == method
    if method == "dawgen-selected":
        assert found["details"]["synthetic_rows"] == 6  # type: ignore[index]


def test_scores_of_the_development_shots_say_so(job: SmallJob, tmp_path: Path) -> None:
    arguments = [*job.arguments(), "--out", tmp_path / "out"]
    outcome = dawgen("evaluate", job.card, "--method", "tfidf", *arguments)
    assert outcome.code == 0, outcome.err
    assert "no test rows were given" in outcome.err
    assert "8 development shots" in outcome.out
    scores = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert (scores["scored_on"], scores["n"]) == ("development shots", 8)


def test_an_unknown_method_names_those_there_are(job: SmallJob, tmp_path: Path) -> None:
    outcome = dawgen("evaluate", job.card, "--method", "magic", "--out", tmp_path)
    assert outcome.code == 2
    assert "no method 'magic'" in outcome.err
    assert "dawgen-surgery" in outcome.err


def test_the_best_rows_of_each_label_by_ratio() -> None:
    ratios = [("a", 0.2), ("b", None), ("a", 0.9), ("a", 0.5), ("b", 0.1), ("a", 0.6)]
    rows = [SyntheticRow(str(n), None, la, label_ratio=r) for n, (la, r) in enumerate(ratios)]
    assert [row.text1 for row in best_of_each_label(rows)] == ["2", "4", "5"]
    assert len(best_of_each_label(rows, share=0.01)) == 2
