"""The report page: built from a hand-made run folder whose figures are known."""

from __future__ import annotations

import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dawgen.errors import UserError
from dawgen.report import write_report
from dawgen.report.charts import Line, line_chart, thin, ticks
from dawgen.report.figures import ledger_table, reliability, results, samples, wrong
from dawgen.report.read import read_run

HOSTILE = "<script>alert('x')</script> & <img src=x onerror=alert(1)>"


def synthetic_row(
    label: str, ratio: float, reason: str | None = None, **over: Any
) -> dict[str, Any]:
    return {
        "text1": "A dog runs.",
        "text2": f"An animal moves {ratio}.",
        "label": label,
        "kept": reason is None,
        "reason": reason,
        "label_ratio": ratio,
        "log_likelihood": -1.5,
        "first_sentence": "captions",
        "shard": 0,
        "seed": 13,
    } | over


ROWS = [
    synthetic_row("yes", 0.9),
    synthetic_row("yes", 0.5),
    synthetic_row("yes", 0.7),
    synthetic_row("yes", 0.1, "duplicate"),
    synthetic_row("no", 0.8, text2=HOSTILE),
    synthetic_row("no", 0.2, "empty"),
    synthetic_row("no", 0.3, "empty"),
]
LEDGER = {
    "attempted": 9,
    "kept": 4,
    "rejected": 5,
    "reasons": {"empty": 4, "duplicate": 1},
    "labels": {
        "yes": {"attempted": 4, "kept": 3, "rejected": 1, "reasons": {"duplicate": 1}},
        "no": {"attempted": 5, "kept": 1, "rejected": 4, "reasons": {"empty": 4}},
    },
}
EXAMPLES = [{"reason": "empty", "label": "no", "text1": HOSTILE, "text2": ""}]
PREDICTIONS = [
    {
        "premise": "a",
        "text2": "b",
        "label": "yes",
        "prediction": "yes",
        "p_yes": 0.95,
        "p_no": 0.05,
    },
    {"premise": "c", "text2": "d", "label": "no", "prediction": "yes", "p_yes": 0.91, "p_no": 0.09},
    {
        "premise": HOSTILE,
        "text2": "e",
        "label": "yes",
        "prediction": "no",
        "p_yes": 0.4,
        "p_no": 0.6,
    },
    {"premise": "g", "text2": "h", "label": "no", "prediction": "no", "p_yes": 0.35, "p_no": 0.65},
]
SCORES = {
    "accuracy": 0.5,
    "n": 4,
    "labels": {
        "yes": {"precision": 0.5, "recall": 0.5, "f1": 0.5, "n": 2},
        "no": {"precision": 0.5, "recall": 0.5, "f1": 0.5, "n": 2},
    },
    "accuracy_95": [0.15, 0.85],
    "confusion": {"yes": {"yes": 1, "no": 1}, "no": {"yes": 1, "no": 1}},
    "scored_on": "test rows",
    "ece": 0.28,
    "baseline": {"accuracy": 0.25, "accuracy_95": [0.05, 0.7], "n": 4},
    "zero_shot": {"accuracy": 0.75, "accuracy_95": [0.3, 0.95], "n": 4},
    "seed": 13,
    "task": "pairs",
}
RUN = {
    "dawgen": "0.1.0",
    "task": "pairs",
    "seed": 13,
    "preset": "tiny",
    "command": ["dawgen", "run", "pairs", "--note", HOSTILE],
    "versions": {"torch": "2.13.0"},
    "hardware": {"cpu": "2 cores"},
    "stages": {"synthesize": {"fingerprint": "ab", "seconds": 3.25, "cpu_seconds": 6.0}},
    "rows": {"train": 4, "dev": 4, "test": 4},
    "overlap": 2,
    "finished": "2026-01-02T03:04:05Z",
}


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "pairs-13"
    for name in ("synthetic", "prompt", "baseline", "generator"):
        (folder / name).mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(ROWS[:4]), folder / "synthetic" / "shard-00000.parquet")
    pq.write_table(pa.Table.from_pylist(ROWS[4:]), folder / "synthetic" / "shard-00001.parquet")
    (folder / "synthetic" / "ledger.json").write_text(json.dumps(LEDGER))
    quality = {"rejected_examples": EXAMPLES}
    (folder / "synthetic" / "quality.json").write_text(json.dumps(quality))
    pq.write_table(pa.Table.from_pylist(PREDICTIONS), folder / "predictions.parquet")
    (folder / "scores.json").write_text(json.dumps(SCORES))
    (folder / "run.json").write_text(json.dumps(RUN))
    card = "columns: {text1: premise, text2: text2, label: label}\nlabels: ['yes', 'no']\n"
    (folder / "task.yaml").write_text(card)
    (folder / "config.yaml").write_text(f"seed: 13 # {HOSTILE}\n")
    steps = [
        {"step": s, "real_loss": 1 / s, "synthetic_loss": 2 / s, "cosine": 0.1, "prompt_norm": 3.0}
        for s in range(1, 6)
    ]
    lines = "\n".join(json.dumps(row) for row in steps)
    (folder / "prompt" / "log.jsonl").write_text(lines + "\n")
    (folder / "baseline" / "log.jsonl").write_text(lines + "\n")
    (folder / "prompt" / "arm.json").write_text('{"best_step": 3, "dev_accuracy": 0.75}')
    generator = {
        "step": 1,
        "gen_loss": 4.0,
        "disc_loss": -0.5,
        "dist_loss": None,
        "entropy": 0.5,
    }
    (folder / "generator" / "log.jsonl").write_text(json.dumps(generator) + "\n")
    return folder


class Page(HTMLParser):
    """Collects the tags, attributes and text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


def test_hostile_texts_stay_text(run_folder: Path) -> None:
    page = Page(write_report(run_folder).read_text("utf-8"))
    assert "script" not in page.tags
    assert "img" not in page.tags
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert (
        page.text.count(HOSTILE) == 5
    )  # kept and rejected row, wrong prediction, command, settings


def test_nothing_is_loaded(run_folder: Path) -> None:
    html = write_report(run_folder).read_text("utf-8")
    page = Page(html)
    assert not {"link", "iframe", "object", "embed"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name in ("src", "href", "xlink:href")]
    assert not re.search(r"https?://|url\(|@import", html)


def test_the_words_say_what_came_out(run_folder: Path) -> None:
    text = Page(write_report(run_folder).read_text("utf-8")).text
    assert "From 4 labelled examples dawgen wrote 9 candidate rows and kept 4 of them" in text
    assert "answers 50.0% of 4 test rows correctly" in text
    assert (
        "25.0 points more than prompt tuning on the real shots alone, which reaches 25.0%" in text
    )
    assert "2 of the test rows repeat a few-shot row" in text
    assert "75.0%30.0% – 95.0%" in text.replace("\n", "")  # zero-shot
    assert "The prompt of step 3 was taken" in text
    assert "75.0% of them right (n = 4, seed 13)" in text


def test_scores_of_development_shots_are_said_to_flatter(run_folder: Path) -> None:
    scores = SCORES | {"scored_on": "development shots"}
    (run_folder / "scores.json").write_text(json.dumps(scores))
    text = Page(write_report(run_folder).read_text("utf-8")).text
    assert "50.0% of 4 development shots correctly" in text
    assert "so the figures flatter" in text


@pytest.mark.parametrize(
    "missing",
    ["scores.json", "run.json", "config.yaml", "predictions.parquet", "synthetic/*", "*/log.jsonl"],
)
def test_a_missing_part_is_left_out(run_folder: Path, missing: str) -> None:
    for path in list(run_folder.glob(missing)):
        path.unlink()
    text = Page(write_report(run_folder).read_text("utf-8")).text
    assert "pairs-13" in text
    assert ("How good it is" in text) == (missing != "scores.json")
    assert ("Synthetic rows" in text) == (missing != "synthetic/*")
    assert ("Tuning the prompt" in text) == (missing != "*/log.jsonl")
    assert not re.search(r"\bnan\b", text.lower())


def test_an_empty_folder_gives_a_page_that_says_so(tmp_path: Path) -> None:
    text = Page(write_report(tmp_path).read_text("utf-8")).text
    assert "has not been scored yet" in text


def test_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no run folder"):
        write_report(tmp_path / "none")


def test_a_damaged_log_is_named_with_its_line(run_folder: Path) -> None:
    (run_folder / "prompt" / "log.jsonl").write_text('{"step": 1}\n{"step": \n')
    with pytest.raises(UserError, match=r"log\.jsonl, line 2: this is not JSON"):
        write_report(run_folder)


def test_the_ledger_is_shown_by_label() -> None:
    assert ledger_table(LEDGER) == [
        {"label": "yes", "attempted": 4, "kept": 3, "reasons": {"duplicate": 1}},
        {"label": "no", "attempted": 5, "kept": 1, "reasons": {"empty": 4}},
    ]
    assert ledger_table({}) == []


def test_counts_are_the_ledgers_whatever_rows_the_shards_hold(run_folder: Path) -> None:
    """Rejected rows are left out of the shards unless they are asked for."""
    pq.write_table(pa.Table.from_pylist(ROWS[:3]), run_folder / "synthetic" / "shard-00000.parquet")
    page = write_report(run_folder).read_text()
    assert "9 candidate rows and kept 4 of them" in page
    assert "rejected: empty" in page


def test_samples_go_from_the_highest_ratio_to_the_lowest() -> None:
    assert [row["label_ratio"] for row in samples(ROWS)["yes"]] == [0.9, 0.7, 0.5]
    assert [row["label_ratio"] for row in samples(ROWS, most=2)["yes"]] == [0.9, 0.5]
    assert [row["label_ratio"] for row in samples(ROWS, most=1)["yes"]] == [0.9]


def test_reliability_bins_by_confidence(run_folder: Path) -> None:
    bins = reliability(read_run(run_folder).predictions)
    assert [n for *_, n in bins] == [2, 2]
    assert bins[0] == pytest.approx((0.625, 0.5, 2))
    assert bins[1] == pytest.approx((0.93, 0.5, 2))


def test_surest_mistakes_come_first(run_folder: Path) -> None:
    mistakes = wrong(read_run(run_folder).predictions)
    assert [(row["text1"], row["confidence"]) for row in mistakes] == [("c", 0.91), (HOSTILE, 0.6)]


def test_the_most_frequent_label_is_one_of_the_results() -> None:
    confusion = {"yes": {"yes": 1, "no": 2}, "no": {"yes": 1, "no": 0}}
    last = results(SCORES | {"confusion": confusion})[-1]
    assert (last.accuracy, last.n) == (0.75, 4)


def test_ticks_are_round() -> None:
    assert ticks(0, 1) == [0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert ticks(0.13, 0.42) == [0.2, 0.3, 0.4]
    assert ticks(-30, 1000) == [0, 500, 1000]


def test_thinning_averages_neighbours() -> None:
    assert thin([(0, 1), (1, 3), (2, 5), (3, 7)], most=2) == [(0.5, 2), (2.5, 6)]
    assert thin([(0, 1)], most=2) == [(0, 1)]


def test_a_line_without_finite_points_is_left_out() -> None:
    empty = Line("lost", [(1, math.nan)])
    assert line_chart("t", [empty], x_label="x", y_label="y") is None
    chart = line_chart("t", [empty, Line("found", [(1, 2.0), (2, 4.0)])], x_label="x", y_label="y")
    assert chart is not None
    assert "lost" not in chart
    # The line runs from the lower left corner of the axes to the upper right one.
    assert 'points="52.0,192.0 402.0,10.0"' in chart
    assert "(last 4)" in chart


def test_a_text_column_called_like_a_probability(run_folder: Path) -> None:
    rows = [{("p_text" if k == "premise" else k): v for k, v in row.items()} for row in PREDICTIONS]
    pq.write_table(pa.Table.from_pylist(rows), run_folder / "predictions.parquet")
    card = "columns: {text1: p_text, text2: text2, label: label}\nlabels: ['yes', 'no']\n"
    (run_folder / "task.yaml").write_text(card)
    found = read_run(run_folder).predictions
    assert [row["confidence"] for row in found][:2] == [0.95, 0.91]
    assert found[0]["text1"] == PREDICTIONS[0]["premise"]
