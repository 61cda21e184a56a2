"""A run ships the best of its candidates, says so, and is used through it from then on."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

import dawgen
from dawgen.errors import UserError
from dawgen.pipeline import stages
from tests.invariants.conftest import job, model_folder
from tests.invariants.jobs import Outcome, SmallJob, files_of, rows, write_job, write_rows
from tests.invariants.jobs import dawgen as command

__all__ = ["job", "model_folder"]
TEXTS = [("a man runs .", "a man runs , yes"), ("a man runs .", "a man runs , not")]

NAMES = ["tfidf", "tfidf+written", "states", "zero-shot", "baseline", "prompt", "noisy-channel"]

Run = tuple[SmallJob, Path, Outcome]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, model_folder: Path) -> Run:
    """A run of a task that two words tell, which counting words learns and a prompt does not."""
    job = write_job(tmp_path_factory.mktemp("chosen"), model_folder)
    job.settings.update({"selection.candidates": f"[{', '.join(NAMES)}]"})
    outcome = job.run(job.folder / "run")
    assert outcome.code == 0, outcome.err
    return job, job.folder / "run", outcome


def read(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def test_scores_are_the_shipped_ones_and_list_every_candidate(run: Run) -> None:
    _, folder, _ = run
    scores = read(folder / "scores.json")
    assert scores["choice"] == "tfidf"
    assert scores["accuracy"] == 1.0
    assert scores["prompt"]["accuracy"] < 0.9
    assert {"baseline", "zero_shot", "confusion", "labels"} <= scores.keys()
    names = [each["name"] for each in scores["candidates"]]
    assert names == NAMES
    by_name = {each["name"]: each for each in scores["candidates"]}
    for name, part in (("prompt", scores["prompt"]), ("baseline", scores["baseline"])):
        assert by_name[name]["test_accuracy"] == part["accuracy"]
        assert by_name[name]["held_out_rows"] == 8  # development shots only
    assert by_name["tfidf"]["held_out_rows"] == by_name["zero-shot"]["held_out_rows"] == 16
    assert by_name["tfidf"]["bytes"] > 0
    predictions = pq.read_table(folder / "predictions.parquet").to_pylist()
    assert all(row["prediction"] == row["verdict"] for row in predictions)


def test_test_rows_that_were_read_in_choosing_are_not_read_again(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And those that were not, in a run that goes on after it was stopped, give the same scores."""
    job, folder, _ = run
    scores = (folder / "evaluation" / "scores.json").read_bytes()
    read_again = []
    whole = stages.predict

    def counted(*rows: Any, **others: Any) -> Any:
        read_again.append(rows)
        return whole(*rows, **others)

    monkeypatch.setattr(stages, "predict", counted)
    job.run(job.folder / "again")
    assert not read_again
    assert (job.folder / "again" / "evaluation" / "scores.json").read_bytes() == scores
    shutil.rmtree(job.folder / "again" / "evaluation")
    job.run(job.folder / "again")
    assert len(read_again) == 3  # the prompt, the one of the shots alone, zero-shot
    assert (job.folder / "again" / "evaluation" / "scores.json").read_bytes() == scores


def test_the_record_names_it_and_the_rows_it_has_learnt(run: Run) -> None:
    _, folder, _ = run
    record = read(folder / "run.json")
    assert record["choice"] == read(folder / "choice" / "choice.json")["name"]
    assert record["rows"]["used"] == 16
    assert record["stages"]["selection"]["candidates"].keys() >= {"tfidf", "prompt"}
    assert any(name.startswith("choice/") for name in record["files"])


def test_screen_and_report_say_what_is_shipped(run: Run) -> None:
    _, folder, outcome = run
    for text in (outcome.out + outcome.err, (folder / "report.html").read_text("utf-8")):
        words = " ".join(text.split())
        assert "Shipped: logistic regression on TF-IDF, chosen among 7 candidates" in words
        assert re.search(r"Written rows [a-z ]+ logistic regression on TF-IDF( by|:)", words)


def test_predicting_uses_the_choice_and_on_demand_the_prompt(run: Run) -> None:
    job, folder, _ = run
    classifier = dawgen.Classifier.load(folder)
    assert classifier.predict(TEXTS) == ["same", "other"]
    prompted = dawgen.Classifier.load(folder, use="prompt")
    assert prompted.name == "prompt"
    chances = prompted.predict_proba(TEXTS)
    assert np.abs(chances - classifier.predict_proba(TEXTS)).max() > 1e-3
    chosen = command("predict", folder, job.data("test")).out
    other = command("predict", folder, job.data("test"), "--use", "prompt").out
    assert chosen != other


def test_a_changed_choice_is_refused(run: Run, tmp_path: Path) -> None:
    _, folder, _ = run
    for name, content in files_of(folder).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    (tmp_path / "choice" / "words.json").write_text("[]")
    with pytest.raises(UserError, match=r"choice is damaged: words\.json"):
        dawgen.Classifier.load(tmp_path)


def test_an_export_says_that_the_prompt_is_not_what_the_run_ships(run: Run) -> None:
    _, folder, _ = run
    outcome = command("export", folder, "--to", "peft")
    assert outcome.code == 0
    assert "ships tfidf" in outcome.err
    card = (folder / "exports" / "peft" / "README.md").read_text("utf-8")
    prompt = read(folder / "scores.json")["prompt"]
    assert f"value: {round(prompt['accuracy'], 4)}" in card


def test_the_same_run_again_chooses_the_same_and_paper_ships_the_prompt(run: Run) -> None:
    job, folder, _ = run
    before = (folder / "scores.json").read_bytes()
    assert job.run(folder).code == 0
    assert read(folder / "run.json")["stages"]["selection"]["skipped"]
    assert (folder / "scores.json").read_bytes() == before
    assert job.run(folder, selection__candidates="paper").code == 0
    paper = read(folder / "scores.json")
    assert "choice" not in paper
    assert paper["accuracy"] == json.loads(before)["prompt"]["accuracy"]
    assert dawgen.Classifier.load(folder).name == "prompt"
    assert job.run(folder).code == 0
    assert (folder / "scores.json").read_bytes() == before


def test_without_test_rows_heads_are_scored_as_held_out(
    tmp_path: Path, model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A head that is refitted on the development shots would get each of them right."""
    job = write_job(tmp_path, model_folder)
    monkeypatch.setenv("DAWGEN_CACHE", str(tmp_path / "no-encoder"))
    changes = {"selection.candidates": "quick", "tuning.steps": 3, "tuning.baseline": False}
    job.settings.update(changes)
    for name in ("train", "dev"):  # labels that nothing tells
        rows = [json.loads(line) for line in job.data(name).read_text().splitlines()]
        for n, row in enumerate(rows):
            row["hypothesis"] = f"word{name}{n}"
        job.data(name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    outcome = command("run", job.card, *job.arguments(), "--out", tmp_path / "run")
    assert outcome.code == 0, outcome.err
    scores = read(tmp_path / "run" / "scores.json")
    assert scores["accuracy"] < 1.0
    assert scores["scored_on"] == "development shots"
    names = {each["name"] for each in scores["candidates"]}
    heads = {"tfidf", "embeddings", "alignment", "cross-encoder", "states", "embeddings+states"}
    assert names == heads | {f"{head}+written" for head in heads} | {"zero-shot", "prompt"}
    assert "dawgen backbones get mpnet" in outcome.err
    config = (tmp_path / "run" / "config.yaml").read_text("utf-8")
    assert "encoder: dawgen/tiny" in config  # a larger one may be fetched tomorrow


def test_a_card_may_go_by_macro_f1(tmp_path: Path, model_folder: Path) -> None:
    """Four rows of one label to twelve of the other, and the metric said everywhere."""
    job = write_job(tmp_path, model_folder)
    job.card.write_text(job.card.read_text() + "metric: macro-f1\n")
    job.settings.update(
        {"selection.candidates": "[tfidf, states, prompt]", "tuning.baseline": False, "shots": 12}
    )
    for name, start in (("train", 0), ("dev", 40)):
        rare, common = rows(start, 8)[1::2], rows(start + 8, 24)[::2]
        write_rows(job.data(name), [*rare, *common])
    outcome = job.run(tmp_path / "run")
    assert outcome.code == 0, outcome.err
    scores = read(tmp_path / "run" / "scores.json")
    assert scores["metric"] == "macro_f1"
    low, high = scores["macro_f1_95"]
    assert low <= scores["macro_f1"] <= high
    for each in scores["candidates"]:
        assert {"held_out_macro_f1", "test_macro_f1", "held_out_accuracy"} <= each.keys()
    assert f"macro-F1 {100 * scores['macro_f1']:.1f} % (95 % interval" in outcome.out
    words = " ".join(outcome.out.split())
    assert re.search(r"with a macro-F1 of [\d.]+% on 32 held-out rows", words)
    page = (tmp_path / "run" / "report.html").read_text("utf-8")
    assert "Macro-F1, with 95 % intervals" in page
    assert "held-out macro-F1" in page
    log = [json.loads(line) for line in (tmp_path / "run/prompt/log.jsonl").open()]
    assert all("dev_macro_f1" in record for record in log if "dev_accuracy" in record)


def test_unlabelled_pairs_are_first_texts_and_rows_to_learn_from(
    tmp_path: Path, model_folder: Path, encoder_folder: Path
) -> None:
    job = write_job(tmp_path, model_folder)
    del job.settings["synthesis.first_sentences"]
    changes: dict[str, object] = {
        "selection.candidates": "[embeddings, embeddings+unlabelled, prompt]"
    }
    changes |= {"selection.encoder": encoder_folder, "tuning.baseline": False, "tuning.steps": 3}
    job.settings.update(changes)
    texts = [{k: v for k, v in row.items() if k != "verdict"} for row in rows(80, 60)]
    more = write_rows(tmp_path / "more.jsonl", texts)
    out = tmp_path / "run"
    outcome = job.run(out, "--unlabelled", more)
    assert outcome.code == 0, outcome.err
    names = [each["name"] for each in read(out / "scores.json")["candidates"]]
    assert names == ["embeddings", "embeddings+unlabelled", "prompt"]
    written = pq.read_table(out / "synthetic" / "shard-00000.parquet").to_pylist()
    first = {row["premise"] for row in texts}
    assert written
    assert all(row["text1"] in first for row in written)
    assert str(more) in (out / "config.yaml").read_text()
    assert read(out / "run.json")["data"]["unlabelled"]
    assert "and unlabelled texts" in (out / "report.html").read_text("utf-8")
    again = job.run(out, "--unlabelled", more)
    assert again.code == 0, again.err
    assert read(out / "run.json")["stages"]["selection"]["skipped"]
    write_rows(more, texts[:30])
    assert job.run(out, "--unlabelled", more).code == 0
    assert not read(out / "run.json")["stages"]["selection"]["skipped"]


def test_unlabelled_texts_that_nothing_uses_are_warned_of(job: SmallJob, tmp_path: Path) -> None:
    (tmp_path / "texts.txt").write_text("a man sleeps\n")
    outcome = job.run(tmp_path / "run", "--unlabelled", tmp_path / "texts.txt")
    assert outcome.code == 0, outcome.err
    assert "nothing uses the unlabelled texts" in outcome.err
    changes = {"selection__candidates": "[embeddings+unlabelled]"}
    outcome = job.run(tmp_path / "other", "--unlabelled", tmp_path / "texts.txt", **changes)
    assert outcome.code == 2
    assert "name them with --unlabelled" in outcome.err


def test_synthesize_takes_first_texts_of_pairs_only(job: SmallJob, tmp_path: Path) -> None:
    (tmp_path / "texts.txt").write_text("a man sleeps\n")
    more = ["--unlabelled", tmp_path / "texts.txt", "--out", tmp_path / "run"]
    outcome = command("synthesize", job.card, *job.arguments(), *more)
    assert outcome.code == 2
    assert "exclude each other" in outcome.err
    outcome = command("synthesize", "sst2", *more)
    assert outcome.code == 2
    assert "single texts" in outcome.err
