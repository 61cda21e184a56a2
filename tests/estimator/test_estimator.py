"""The scikit-learn estimator: scikit-learn's own checks, and the pipeline behind it."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError, SkipTestWarning
from sklearn.model_selection import cross_val_score
from sklearn.utils import estimator_checks

import dawgen
from dawgen.backbone import Backbone
from dawgen.errors import UserError
from dawgen.pipeline.estimator import DawgenClassifier
from dawgen.use.classifier import Classifier
from tests.invariants.jobs import SETTINGS, sentence


@pytest.fixture(scope="module")
def estimator(tiny_bart: Backbone, tmp_path_factory: pytest.TempPathFactory) -> DawgenClassifier:
    """Not fitted, on a small random backbone with few steps."""
    import copy

    folder = tmp_path_factory.mktemp("model")
    model = copy.deepcopy(tiny_bart.model)
    model.final_logits_bias[0, tiny_bart.end_id] = 4.0
    model.save_pretrained(folder)
    tiny_bart.tokenizer.save_pretrained(folder)
    settings = {
        **{k: v for k, v in SETTINGS.items() if k != "shots"},
        "backbone.path": str(folder),
        "synthesis.first_sentences": "generator",
        "synthesis.rows_per_label": 2,
        "generator.epochs": 1,
        "tuning.steps": 2,
        "tuning.eval_every": 2,
    }
    words = {1: "good", 0: "bad"}
    return DawgenClassifier(label_words=words, settings=settings, shots=2)


TEXTS = [f"{sentence(n)} {'yes' if n % 2 else 'not'}" for n in range(12)]
LABELS = [n % 2 for n in range(12)]


@pytest.fixture(scope="module")
def fitted(
    estimator: DawgenClassifier, tmp_path_factory: pytest.TempPathFactory
) -> DawgenClassifier:
    """Fitted into a folder that is kept."""
    out = tmp_path_factory.mktemp("fitted") / "run"
    return clone(estimator).set_params(out=out).fit(TEXTS, LABELS)


APPLICABLE = (
    "check_estimator_cloneable",
    "check_estimator_repr",
    "check_estimator_tags_renamed",
    "check_get_params_invariance",
    "check_mixin_order",
    "check_no_attributes_set_in_init",
    "check_parameters_default_constructible",
    "check_set_params",
    "check_valid_tag_types",
)
"""The checks of check_estimator that fit on nothing: the others fit on tables of numbers, which an
estimator of texts refuses, as its tags say and as scikit-learn's own generator then leaves out."""


@pytest.mark.parametrize("name", APPLICABLE)
def test_scikit_learns_checks_of_the_interface(name: str) -> None:
    getattr(estimator_checks, name)("DawgenClassifier", DawgenClassifier())


def test_scikit_learn_itself_finds_nothing_wrong() -> None:
    with pytest.warns(SkipTestWarning, match="requires input"):
        found = estimator_checks.check_estimator(DawgenClassifier())
    assert {check["status"] for check in found} == {"passed"}


def test_it_predicts_as_the_run_does(fitted: DawgenClassifier) -> None:
    chances = fitted.predict_proba(TEXTS)
    assert chances.shape == (12, 2)
    np.testing.assert_allclose(chances.sum(axis=1), 1.0)
    np.testing.assert_allclose(
        chances, Classifier.load(fitted.run_).predict_proba(TEXTS), rtol=1e-5
    )
    assert fitted.classes_.tolist() == [0, 1]
    found = fitted.predict(TEXTS)
    assert found.tolist() == chances.argmax(axis=1).tolist()
    assert found.dtype == np.asarray(LABELS).dtype
    assert fitted.score(TEXTS, LABELS) == np.mean(found == LABELS)
    assert (fitted.run_ / "report.html").is_file()


def test_it_serves_cross_validation(estimator: DawgenClassifier) -> None:
    scores = cross_val_score(estimator, np.array(TEXTS), LABELS, cv=2)
    assert scores.shape == (2,)
    assert ((scores >= 0) & (scores <= 1)).all()


def test_pairs_are_taken_as_pairs(estimator: DawgenClassifier, tmp_path: Path) -> None:
    pairs = [("the man runs", text) for text in TEXTS]
    frame = pd.DataFrame(pairs, columns=["premise", "hypothesis"])
    found = clone(estimator).set_params(out=tmp_path / "run").fit(frame, pd.Series(LABELS))
    expected = found.predict_proba(pairs)
    assert expected.shape == (12, 2)
    np.testing.assert_array_equal(found.predict_proba(frame[["hypothesis", "premise"]]), expected)
    assert "text2" in (tmp_path / "run" / "task.yaml").read_text()


def test_before_fit_it_says_so() -> None:
    with pytest.raises(NotFittedError):
        DawgenClassifier().predict(["a text"])


def test_a_pickle_names_the_run_folder(
    fitted: DawgenClassifier, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    held = pickle.dumps(fitted)
    assert len(held) < 10_000  # no weights
    monkeypatch.chdir(tmp_path)
    loaded = pickle.loads(held)
    np.testing.assert_array_equal(loaded.predict_proba(TEXTS), fitted.predict_proba(TEXTS))
    loaded.run_ = tmp_path / "gone"
    del loaded._classifier
    with pytest.raises(UserError, match="gone"):
        loaded.predict(TEXTS)


def test_a_run_that_goes_with_the_object_is_not_pickled(fitted: DawgenClassifier) -> None:
    temporary = clone(fitted).set_params(out=None)
    temporary._folder()
    with pytest.raises(UserError, match="out=FOLDER"):
        pickle.dumps(temporary)
    assert not hasattr(clone(fitted), "_temporary")


@pytest.mark.parametrize(
    ("texts", "labels", "sentence"),
    [
        (["a"], [1, 2], "1 rows, but 2 labels"),
        (["a", "b"], [1, 1], "two labels at least"),
        (["a", "b", "c"], [1, 1, 2], "two rows of every label"),
        ([], [], "no rows"),
        (["a", ("b", "c")], [1, 2], "row 2: a row must be one text"),
        ([[1.0, 2.0], [3.0, 4.0]], [1, 2], "row 1: a row must be a pair of texts"),
        (pd.Series(["a", np.nan]), [1, 2], "row 2: the text is missing"),
        (["a", "b"], ["1", 2], "several kinds"),
        (["a", "b"], None, "Labels must be a list"),
    ],
)
def test_wrong_input_is_named(texts: Any, labels: Any, sentence: str) -> None:
    """As a ValueError, which is what scikit-learn's users catch."""
    with pytest.raises(ValueError, match=sentence) as caught:
        DawgenClassifier().fit(texts, labels)
    assert isinstance(caught.value, UserError)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"shots": 0}, "setting 'shots' cannot be 0"),
        ({"seed": "x"}, "setting 'seed' cannot be 'x'"),
        ({"settings": ["tuning.steps=5"]}, "dictionary such as"),
        ({"settings": {"tuning.steps": object()}}, "'tuning.steps' cannot be of type object"),
    ],
)
def test_wrong_parameters_are_named(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        DawgenClassifier(**options).fit(TEXTS, LABELS)


def test_labels_with_more_rows_than_the_rarest_are_used_in_full(
    estimator: DawgenClassifier, tmp_path: Path
) -> None:
    """Four rows of one label and eight of the other: two and two, three and three of `shots`."""
    few = [i for i, label in enumerate(LABELS) if label or i < 8]
    model = clone(estimator).set_params(out=tmp_path / "run", shots=3)
    model.fit([TEXTS[i] for i in few], [LABELS[i] for i in few])
    rows = json.loads((tmp_path / "run" / "run.json").read_text())["rows"]
    assert (rows["train"], rows["dev"]) == (2 + 3, 2 + 3)


def test_series_and_frames_are_read_by_their_rows(fitted: DawgenClassifier) -> None:
    """Not a frame's headings, and nothing by the place in an index."""
    expected = fitted.predict_proba(TEXTS)
    series = pd.Series(TEXTS, index=range(50, 62), name="text")
    for texts in (series, series.to_frame(), np.array(TEXTS)[:, None]):
        np.testing.assert_array_equal(fitted.predict_proba(texts), expected)
    for wrong, message in ((TEXTS[0], "pass"), ([None], "row 1: the text is missing")):
        with pytest.raises(ValueError, match=message):
            fitted.predict(wrong)


def test_run_takes_settings_as_a_dictionary(fitted: DawgenClassifier) -> None:
    """The same ones, so that every stage is there already."""
    given = {**(fitted.settings or {}), "seed": 13, "shots": 2}
    inputs = fitted.run_ / "input"
    result = dawgen.run(
        inputs / "card.yaml", train=inputs / "rows.jsonl", out=fitted.run_, settings=given
    )
    assert result.scores == fitted.scores_
    with pytest.raises(UserError, match=r"setting 'tuning\.steps' cannot be 'many'"):
        dawgen.run("demo", settings={"tuning": {"steps": "many"}})
    with pytest.raises(UserError, match="of type tuple"):
        dawgen.run("demo", settings=dawgen.build_settings())  # type: ignore[arg-type]
    with pytest.raises(UserError, match="no preset 'large'"):
        dawgen.run("demo", preset="large")


def test_a_label_word_is_found_by_its_value(estimator: DawgenClassifier) -> None:
    """The word of 1 is that of 1.0, which a column with a gap makes of it."""
    found = clone(estimator)
    found.classes_, found.is_pair_ = np.array([0.0, 1.0]), False
    assert found._card()["label_words"] == {"0.0": "bad", "1.0": "good"}
    found.set_params(label_words={"0.0": "awful"})
    assert found._card()["label_words"] == {"0.0": "awful", "1.0": "1.0"}


def test_labels_of_any_script(estimator: DawgenClassifier, tmp_path: Path) -> None:
    """Also of those beyond the first 65,536 characters, and of what YAML takes for a new line."""
    labels = ["\U0001f600\x85a" if label else "हाँ" for label in LABELS]
    found = clone(estimator).set_params(
        out=tmp_path / "run", label_words={"\U0001f600\x85a": "good", "हाँ": "bad"}
    )
    assert set(found.fit(TEXTS, labels).predict(TEXTS)) <= set(labels)
