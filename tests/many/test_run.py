"""Several labels per text from the command line: run, predict, evaluate, validate, and no more."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import dawgen
from dawgen.errors import UserError
from tests.invariants.jobs import Outcome, files_of
from tests.invariants.jobs import dawgen as command
from tests.many.test_rows import CARD

WORDS = {"urgent": "now", "bill, paid": "invoice", "spam": "winner"}
Made = tuple[Path, Path, Outcome]


def write(path: Path, start: int, count: int) -> Path:
    """Rows whose labels are told by a word each; an eighth of them has none."""
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["text", "tags"])
        for n in range(start, start + count):
            labels = [label for place, label in enumerate(WORDS) if n >> place & 1]
            words = " ".join(WORDS[label] for label in labels)
            table.writerow([f"mail of day {n} {words} thanks", "|".join(labels)])
    return path


def read(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("many")
    (folder / "mail.yaml").write_text(CARD)
    write(folder / "train.csv", 0, 64)
    write(folder / "test.csv", 100, 40)
    outcome = start(folder, folder / "run")
    assert outcome.code == 0, outcome.err
    return folder, folder / "run", outcome


def start(folder: Path, out: Path, *more: object) -> Outcome:
    files = ["--train", folder / "train.csv", "--test", folder / "test.csv"]
    chosen = ["-s", "selection.candidates=[tfidf]"]
    return command("run", folder / "mail.yaml", *files, "--out", out, *chosen, *more)


def test_a_run_scores_what_it_ships(run: Made) -> None:
    _, out, outcome = run
    scores = read(out / "scores.json")
    assert scores["choice"] == "tfidf"
    assert scores["macro_f1"] > 0.95
    assert scores["scored_on"] == "test rows"
    assert [each["name"] for each in scores["candidates"]] == ["tfidf"]
    assert "macro-F1" in outcome.out
    assert "dawgen predict" in outcome.out
    assert read(out / "run.json")["rows"]["used"] == 64
    rows = pq.read_table(out / "predictions.parquet").to_pylist()
    assert rows[3]["tags"] == "urgent|bill, paid|spam"  # row 103
    assert sum(row["tags"] == row["prediction"] for row in rows) == scores["accuracy"] * 40


def test_predicting_gives_all_labels_of_a_text(run: Made, tmp_path: Path) -> None:
    folder, out, _ = run
    classifier = dawgen.Classifier.load(out)
    texts = ["mail now winner", "mail of thanks"]
    assert classifier.predict(texts) == ["urgent|spam", ""]
    assert classifier.predict_proba(texts)[0].sum() > 1.2
    outcome = command("predict", out, folder / "test.csv", "--out", tmp_path / "out.csv")
    assert outcome.code == 0, outcome.err
    with (tmp_path / "out.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert rows[3]["prediction"] == "urgent|bill, paid|spam"
    with pytest.raises(UserError, match="may have none"):
        classifier.predict(texts, abstain_below=0.5)
    with pytest.raises(UserError, match="no tuned prompt"):
        dawgen.Classifier.load(out, use="prompt")


def test_evaluating_a_run_gives_its_scores(run: Made, tmp_path: Path) -> None:
    folder, out, _ = run
    asked = ["--test", folder / "test.csv", "--prompt", out, "--out", tmp_path / "found"]
    outcome = command("evaluate", folder / "mail.yaml", *asked)
    assert outcome.code == 0, outcome.err
    found, scores = read(tmp_path / "found" / "scores.json"), read(out / "scores.json")
    assert {name: found[name] for name in ("accuracy", "micro_f1", "labels")} == {
        name: scores[name] for name in ("accuracy", "micro_f1", "labels")
    }


def test_validating_counts_labels_and_labels_per_row(run: Made) -> None:
    folder, *_ = run
    outcome = command("validate", folder / "mail.yaml", "--data", folder / "train.csv")
    assert outcome.code == 0, outcome.err
    assert "32 rows" in outcome.out
    assert "8 rows with no label" in outcome.out


def test_the_same_run_again_is_there_already(run: Made) -> None:
    folder, out, _ = run
    before = files_of(out / "choice")
    assert start(folder, out).code == 0
    assert read(out / "run.json")["stages"]["selection"]["skipped"]
    assert files_of(out / "choice") == before


def test_a_changed_choice_is_refused(run: Made, tmp_path: Path) -> None:
    folder, _, _ = run
    out = tmp_path / "run"
    assert start(folder, out).code == 0
    (out / "choice" / "words.json").write_text("[]")
    with pytest.raises(UserError, match=r"damaged: words\.json"):
        dawgen.Classifier.load(out)


@pytest.mark.parametrize(
    ("name", "more", "says"),
    [
        ("plan", [], "several labels"),
        ("fit-generator", [], "several labels"),
        ("tune", [], "several labels"),
        ("prompt-for", [], "several labels"),
        ("run", ["--synthetic", "x.csv"], "no rows are written"),
        ("run", ["-s", "selection.candidates=paper"], "heads on frozen models; name"),
    ],
)
def test_what_cannot_be_done_is_said(
    run: Made, tmp_path: Path, name: str, more: list[str], says: str
) -> None:
    folder, *_ = run
    out = [] if name in ("plan", "prompt-for") else ["--out", tmp_path / "out"]
    outcome = command(name, folder / "mail.yaml", "--train", folder / "train.csv", *out, *more)
    assert outcome.code == 2
    assert says in outcome.err


def test_report_and_export_of_such_a_run_are_refused(run: Made) -> None:
    _, out, _ = run
    for words in (["report", out], ["export", out, "--to", "peft"]):
        outcome = command(*words)
        assert outcome.code == 2, outcome.out
        assert "several labels per text" in outcome.err
