"""The package from Python: rows in memory, results, classifiers, and what help shows."""

from __future__ import annotations

import inspect
import json
import pydoc
import re
import shutil
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
import pytest

import dawgen as package
from dawgen.errors import UserError
from dawgen.storage.folder import write_json
from tests.invariants.jobs import Outcome, SmallJob, rows

Finished = tuple[SmallJob, Path, Outcome]
PAIR = ("a man runs .", "a man runs , yes")


@pytest.fixture
def folder(finished: Finished, tmp_path: Path) -> Path:
    """A copy of the finished run, which a test may change."""
    return shutil.copytree(finished[1], tmp_path / "copy")


def settings(job: SmallJob) -> dict[str, Any]:
    return job.settings | {"backbone.path": job.model}


@pytest.fixture
def result(finished: Finished) -> package.Result:
    job, folder, _ = finished
    scores = json.loads((folder / "scores.json").read_text())
    assert job.card.is_file()
    return package.Result(folder, scores)


# --- run --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "form",
    [
        list,
        pd.DataFrame,
        datasets.Dataset.from_list,
        lambda part: [tuple(r.values()) for r in part],
    ],
    ids=["dictionaries", "frame", "data set", "tuples"],
)
def test_rows_in_memory_give_the_run_of_the_same_rows_in_files(
    finished: Finished, folder: Path, form: Any
) -> None:
    job = finished[0]
    parts = {name: form(rows(*where)) for name, where in RANGES.items()}
    found = package.run(package.load_card(job.card), **parts, out=folder, settings=settings(job))
    record = json.loads((folder / "run.json").read_text())
    assert all(stage["skipped"] for stage in record["stages"].values())
    assert found.scores["n"] == 30


RANGES = {"train": (0, 8), "dev": (20, 8), "test": (40, 30)}


def test_a_new_card_and_written_rows_in_memory_run(job: SmallJob, tmp_path: Path) -> None:
    frame = pd.DataFrame(rows(0, 16))
    written = pd.DataFrame(rows(60, 12))
    card = package.new_card(frame)
    found = package.run(
        card, train=frame, synthetic=written, out=tmp_path / "run", settings=settings(job)
    )
    assert found.ledger["attempted"] == 12
    made = json.loads((tmp_path / "run" / "synthetic" / "fingerprint.json").read_text())
    assert made["inputs"]["source"]["name"] == "rows in memory"
    wrong = written.assign(hypothesis=pd.Series([["x"]] * 12))
    with pytest.raises(UserError, match="synthetic, row 1: column 'hypothesis'"):
        package.run(card, train=frame, synthetic=wrong, out=tmp_path / "2", settings=settings(job))


# --- what a run gives -------------------------------------------------------------------------


def test_a_result_predicts_one_and_many(result: package.Result) -> None:
    many = result.predict([PAIR, PAIR])
    assert many == [result.predict(PAIR)] * 2
    assert many[0] in ("same", "other")
    assert result.predict(PAIR, abstain_below=1.0) is None
    assert result.classifier is result.classifier


def test_a_result_says_what_it_is(result: package.Result) -> None:
    assert repr(result).startswith(f"Result('{result.folder}': ")
    assert re.search(r"\d\.\d % right on 30 test rows, ships dawgen\)$", repr(result))
    page = result._repr_html_()
    assert page.count("<tr>") == 5
    assert "dawgen, shipped" in page
    assert str(result.folder / "report.html") in page


def test_the_html_of_a_result_is_escaped(result: package.Result, tmp_path: Path) -> None:
    nasty = "<script>alert('x')</script>"
    scores = result.scores | {"task": nasty, "backbone": nasty, "scored_on": nasty}
    scores["confusion"] = {nasty: {nasty: 1, "b": 9}, "b": {nasty: 0, "b": 20}}
    folder = tmp_path / "<img src=x>"
    folder.mkdir()
    write_json(folder / "scores.json", scores)
    page = package.Result(folder, scores)._repr_html_()
    assert "&lt;script&gt;" in page
    assert "<script" not in page
    assert "<img" not in page
    tags = set(re.findall(r"<(\w+)", page))
    assert tags <= {"div", "b", "table", "thead", "tbody", "tr", "th", "td", "ul", "li", "code"}


# --- the classifier ---------------------------------------------------------------------------


def test_a_classifier_takes_one_text_or_many(finished: Finished) -> None:
    classifier = package.Classifier.load(finished[1])
    many = classifier.predict_proba([PAIR])
    np.testing.assert_array_equal(classifier.predict_proba(PAIR), many[0])
    assert classifier.predict(PAIR) == classifier.predict([PAIR])[0]
    with pytest.raises(UserError, match="a row must be a pair of texts"):
        classifier.predict("only one")
    with pytest.raises(UserError, match="a row must be a pair of texts"):
        classifier.predict(["one", "two"])


def test_a_classifier_of_single_texts_takes_a_string(finished: Finished) -> None:
    classifier = package.Classifier.load(finished[1])
    columns = {"text1": "text", "label": "verdict"}
    template = "premise: {text1} answer:"
    single = {"columns": columns, "template": template}
    card = classifier.card.model_copy(update=single)
    models = classifier._models
    one = package.Classifier(
        card, models.backbone, package.Result(finished[1], {}).prompt, models.settings
    )
    label = one.predict("a man runs")
    assert label in card.labels
    assert one.predict(["a man runs", "a dog"])[0] == label
    assert one.predict_proba("a man runs").shape == (2,)
    with pytest.raises(UserError, match="row 1: the text is empty"):
        one.predict(" ")


def test_a_classifier_says_what_it_is(finished: Finished) -> None:
    classifier = package.Classifier.load(finished[1])
    assert repr(classifier) == "Classifier(task 'pairs', prompt; labels 'same', 'other')"
    classifier.labels = [f"label {n}" for n in range(77)]
    assert repr(classifier).endswith("'label 5' and 71 more)")


# --- the commands as functions ----------------------------------------------------------------


def test_evaluate_scores_a_run_or_a_method(finished: Finished, tmp_path: Path) -> None:
    job, folder, _ = finished
    test = pd.DataFrame(rows(*RANGES["test"]))
    card = package.load_card(job.card)
    scores = package.evaluate(
        card, prompt=folder, test=test, out=tmp_path / "a", settings=settings(job)
    )
    assert scores["accuracy"] == json.loads((folder / "scores.json").read_text())["accuracy"]
    zero = package.evaluate(
        card, method="zero-shot", test=test, out=tmp_path / "b", settings=settings(job)
    )
    assert zero["n"] == 30
    with pytest.raises(UserError, match=r"\(prompt=\) or a method"):
        package.evaluate(card, test=test)


def test_synthesize_gives_the_rows(finished: Finished, folder: Path, tmp_path: Path) -> None:
    job = finished[0]
    card = package.load_card(job.card)
    parts = {name: rows(*where) for name, where in RANGES.items()}
    again = package.synthesize(card, **parts, out=folder, settings=settings(job))
    ledger = json.loads((folder / "synthetic" / "ledger.json").read_text())
    assert len(again) == ledger["kept"] > 0
    assert {row.label for row in again} <= {"same", "other"}
    cleaned = package.synthesize(
        card, **parts, rows=rows(60, 12), out=tmp_path / "run", settings=settings(job)
    )
    assert 0 < len(cleaned) <= 12
    assert not (tmp_path / "run" / "generator").exists()


def test_export_has_a_usual_place(folder: Path) -> None:
    assert package.export(folder, "peft") == folder / "exports" / "peft"
    assert (folder / "exports" / "peft" / "predict.py").is_file()


# --- help -------------------------------------------------------------------------------------


def test_help_shows_the_public_names_first() -> None:
    text = pydoc.render_doc(package, renderer=pydoc.plaintext)
    for name in set(package.__all__) - {"__version__"}:
        assert re.search(rf"\b{name}\b", text), name
    head = text.partition("PACKAGE CONTENTS")[0]
    documented = {"run", "predict", "evaluate", "synthesize", "new_card", "export", "Classifier"}
    assert documented <= set(re.findall(r"\w+", head))
    assert "internal" in head
    assert dir(package) == sorted(package.__all__)


def test_the_names_of_the_docstring_are_all_and_no_others() -> None:
    pattern = r"^(?:Everyday|Data|Research|Types): +(.*)$"
    listed = re.findall(pattern, str(package.__doc__), re.MULTILINE)
    names = re.findall(r"\w+", " ".join(listed).replace("(scikit-learn)", ""))
    assert sorted(names) == sorted(set(package.__all__) - {"__version__"})


@pytest.mark.parametrize("name", ["evaluate", "export", "new_card", "run", "synthesize"])
def test_every_parameter_of_a_public_function_is_documented(name: str) -> None:
    thing = getattr(package, name)
    text = str(inspect.getdoc(thing))
    for parameter in inspect.signature(thing).parameters:
        assert re.search(rf"\b{parameter}\b", text), f"{name}: {parameter}"
