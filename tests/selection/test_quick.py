"""A quick run chooses a classifier by the labelled rows alone."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

import dawgen
from dawgen.pipeline.quick import with_all_rows
from dawgen.pipeline.summary import summary
from dawgen.serving.app import make_app
from dawgen.serving.limits import Limits
from dawgen.serving.tasks import open_tasks
from dawgen.settings import Settings
from dawgen.tasks import load_card
from tests.invariants.conftest import job, model_folder
from tests.invariants.jobs import Outcome, SmallJob, files_of, rows, write_job, write_rows
from tests.invariants.jobs import dawgen as command

__all__ = ["job", "model_folder"]
TEXTS = [("a man runs .", "a man runs , yes"), ("a man runs .", "a man runs , not")]
NAMES = ["tfidf", "tfidf+written", "states", "zero-shot", "baseline", "prompt", "noisy-channel"]
ALONE = ["tfidf", "states", "zero-shot"]

Run = tuple[SmallJob, Path, Outcome]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, model_folder: Path) -> Run:
    job = write_job(tmp_path_factory.mktemp("quick"), model_folder)
    job.settings.update({"selection.candidates": f"[{', '.join(NAMES)}]"})
    outcome = job.run(job.folder / "run", "--quick")
    assert outcome.code == 0, outcome.err
    return job, job.folder / "run", outcome


def read(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def test_only_the_choice_is_made(run: Run) -> None:
    _, folder, outcome = run
    assert "1/1 choosing the best classifier" in outcome.err
    assert {path.name for path in folder.iterdir() if path.name[0] != "."} == {
        *("choice", "config.yaml", "task.yaml", "run.json"),
        *("scores.json", "predictions.parquet", "report.html"),
    }
    assert list(read(folder / "run.json")["stages"]) == ["selection"]
    assert "quick: true" in (folder / "config.yaml").read_text("utf-8")


def test_it_scores_as_a_whole_run_does(run: Run, tmp_path: Path) -> None:
    job, folder, _ = run
    assert job.run(tmp_path / "whole").code == 0
    quick, whole = read(folder / "scores.json"), read(tmp_path / "whole" / "scores.json")
    assert quick.keys() == whole.keys() - {"prompt", "baseline"}
    assert [each["name"] for each in quick["candidates"]] == ALONE
    by_name = {each["name"]: each for each in whole["candidates"]}
    for each in quick["candidates"]:
        same = [name for name in each if "shipped" not in name and name != "p"]
        assert {n: each[n] for n in same} == {n: by_name[each["name"]][n] for n in same}
    assert quick["choice"] == whole["choice"] == "tfidf"
    assert quick["accuracy"] == whole["accuracy"] == 1.0
    assert quick["zero_shot"]["accuracy"] == whole["zero_shot"]["accuracy"]


def test_the_screen_lists_the_candidates_and_fits(run: Run) -> None:
    _, folder, outcome = run
    text = " ".join(outcome.out.split())
    assert "From 16 labelled rows: no rows were written; seed 13" in text
    assert re.search(r"\* logistic regression on TF-IDF \d+\.\d % 100\.0 %", text)
    assert "prompt tuned" not in outcome.out
    assert "without --quick also writes labelled rows" in outcome.out
    for columns in (40, 80):
        assert len(summary(folder, columns)) <= 30


def test_the_report_has_no_part_of_what_was_not_made(run: Run) -> None:
    page = (run[1] / "report.html").read_text("utf-8")
    assert "Shipped: logistic regression on TF-IDF, chosen among 3 candidates" in page
    for absent in ('href="#rows"', 'href="#tuning"', "prompt tuning on the real shots alone"):
        assert absent not in page


def test_it_predicts_exports_and_is_compared(run: Run, tmp_path: Path) -> None:
    job, folder, _ = run
    assert dawgen.Classifier.load(folder).predict(TEXTS) == ["same", "other"]
    labelled = command("predict", folder, job.data("test"))
    assert labelled.code == 0, labelled.err
    for use in ("export", "report"):
        outcome = command(use, folder, *(["--out", tmp_path / use] if use == "export" else []))
        assert outcome.code == 0, outcome.err
    model_card = (tmp_path / "export" / "README.md").read_text("utf-8")
    assert "| labelled rows that it learnt from | 16 |" in model_card
    assert "from a handful of rows. It labels every row" in " ".join(model_card.split())
    for absent in ("| generator |", "machine-written", "written rows"):
        assert absent not in model_card
    prompted = command("predict", folder, job.data("test"), "--use", "prompt")
    assert prompted.code == 2
    assert "prompt" in prompted.err


def test_it_is_served(run: Run) -> None:
    _, folder, _ = run
    with TestClient(make_app(open_tasks([folder]), Limits())) as client:
        assert client.get("/tasks").json()["tasks"][0]["classifier"] == "tfidf"
        answer = client.post("/tasks/run/predict", json={"rows": TEXTS})
    assert [row["label"] for row in answer.json()["rows"]] == ["same", "other"]


def test_a_whole_run_goes_on_in_its_folder_and_back(run: Run, tmp_path: Path) -> None:
    job, folder, _ = run
    here = shutil.copytree(folder, tmp_path / "run")
    assert job.run(here).code == 0
    assert (here / "synthetic" / "ledger.json").is_file()
    again = job.run(here, "--quick")
    assert again.code == 0, again.err
    assert not (here / "synthetic").exists()
    kept = {name: text for name, text in files_of(folder).items() if name.startswith("choice/")}
    found = files_of(here)
    assert {name: found[name] for name in kept} == kept


def test_without_test_rows_development_rows_are_scored(job: SmallJob, tmp_path: Path) -> None:
    settings = {"selection.candidates": "[tfidf, states]"}
    outcome = command(
        "run", job.card, *job.arguments(**settings), "--quick", "--out", tmp_path / "run"
    )
    assert outcome.code == 0, outcome.err
    scores = read(tmp_path / "run" / "scores.json")
    assert scores["scored_on"] == "development shots"
    assert scores["n"] == 8
    assert "zero_shot" not in scores


def test_json_has_no_rows(job: SmallJob, tmp_path: Path) -> None:
    outcome = job.run(tmp_path / "run", "--quick", "--json", **{"selection__candidates": "[tfidf]"})
    found = json.loads(outcome.out)
    assert found["rows"] == {}
    assert found["scores"]["choice"] == "tfidf"


def test_it_is_an_argument_in_python(job: SmallJob, tmp_path: Path) -> None:
    settings = {"selection.candidates": ["tfidf", "states"], "backbone.path": str(job.model)}
    files = {name: str(job.data(name)) for name in ("train", "dev", "test")}
    result = dawgen.run(str(job.card), **files, out=tmp_path, settings=settings, quick=True)
    assert result.ledger == {}
    assert "ships logistic regression on TF-IDF" in repr(result)
    assert "Shipped: logistic regression on TF-IDF" in result._repr_html_()
    assert result.predict(TEXTS) == ["same", "other"]


@pytest.mark.parametrize(
    ("options", "candidates", "says"),
    [
        ([], "paper", "no rows are written and no prompt is tuned"),
        ([], "[prompt, tfidf+written]", "has nothing else (tfidf+written, prompt)"),
        (["--synthetic", "more.jsonl"], "[tfidf]", "leave out --quick, or --synthetic"),
    ],
)
def test_what_it_cannot_do_is_refused_before_any_work(
    job: SmallJob, tmp_path: Path, options: list[str], candidates: str, says: str
) -> None:
    write_rows(tmp_path / "more.jsonl", rows(90, 4))
    given = [str(tmp_path / each) if each.endswith("l") else each for each in options]
    outcome = job.run(tmp_path / "run", "--quick", *given, selection__candidates=candidates)
    assert outcome.code == 2
    assert says in " ".join(outcome.err.split())
    assert not (tmp_path / "run").exists()


def test_it_takes_more_rows_than_a_whole_run_unless_shots_is_set(
    job: SmallJob, tmp_path: Path
) -> None:
    write_rows(job.data("train"), rows(0, 120))
    settings = {**job.settings, "selection.candidates": "[tfidf]", "backbone.path": job.model}
    found = {}
    for name, shots in (("all", None), ("few", 5)):
        changes = {**settings, "shots": shots}
        sets = [f"{key}={value}" for key, value in changes.items() if value is not None]
        outcome = command(
            *("run", job.card, "--train", job.data("train"), "--test", job.data("test"), "--quick"),
            *(part for each in sets for part in ("-s", each)),
            *("--out", tmp_path / name),
        )
        assert outcome.code == 0, outcome.err
        found[name] = read(tmp_path / name / "run.json")["rows"]["used"]
        says = {
            "all": "all 120 are learned from",
            "few": "10 at most are used, drawn with seed 13.",
        }
        assert says[name] in " ".join(outcome.err.split())
    assert found == {"all": 120, "few": 20}


def test_many_labels_share_the_rows_of_a_quick_run() -> None:
    card = load_card("banking77")
    settings = Settings(quick=True)
    assert with_all_rows(settings, card).shots == 16
    assert with_all_rows(settings, load_card("agnews")).shots == 128
    assert with_all_rows(Settings(quick=True, shots=8), card).shots == 8
    assert with_all_rows(Settings(), card).shots == 16


def test_the_plan_has_one_stage(job: SmallJob) -> None:
    settings = {"selection.candidates": f"[{', '.join(NAMES)}]"}
    outcome = command("plan", job.card, *job.arguments(**settings), "--quick")
    assert outcome.code == 0, outcome.err
    stage, whole, *_ = (line.split()[0] for line in outcome.out.splitlines()[1:])
    assert (stage, whole) == ("selection", "all")
    (line,) = (line for line in outcome.out.splitlines() if line.startswith("selection: "))
    assert all(f" {name} " in line for name in ALONE)
    assert "prompt" not in line
