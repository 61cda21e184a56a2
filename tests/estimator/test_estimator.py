"""The scikit-learn estimator: scikit-learn's own checks, and the pipeline behind it."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError, SkipTestWarning
from sklearn.model_selection import cross_val_score
from sklearn.utils import estimator_checks

from dawgen.backbone import Backbone
from dawgen.classifier import Classifier
from dawgen.errors import UserError
from dawgen.estimator import DawgenClassifier
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
    found = clone(estimator).set_params(out=tmp_path / "run").fit(pairs, LABELS)
    assert found.predict_proba(pairs).shape == (12, 2)
    assert "text2" in (tmp_path / "run" / "task.yaml").read_text()


def test_before_fit_it_says_so() -> None:
    with pytest.raises(NotFittedError):
        DawgenClassifier().predict(["a text"])


def test_it_is_not_pickled(fitted: DawgenClassifier) -> None:
    with pytest.raises(UserError, match=r"Classifier\.load"):
        pickle.dumps(fitted)


@pytest.mark.parametrize(
    ("texts", "labels", "sentence"),
    [
        (["a"], [1, 2], "1 rows, but 2 labels"),
        (["a", "b"], [1, 1], "two labels at least"),
        (["a", "b", "c"], [1, 1, 2], "two rows of every label"),
        ([], [], "no rows"),
        (["a", ("b", "c")], [1, 2], "row 2: a row is one text"),
        ([[1.0, 2.0], [3.0, 4.0]], [1, 2], "row 1: a row is one text"),
    ],
)
def test_wrong_input_is_named(texts: list[Any], labels: list[int], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        DawgenClassifier().fit(texts, labels)


def test_labels_of_any_script(estimator: DawgenClassifier, tmp_path: Path) -> None:
    """Also of those beyond the first 65,536 characters."""
    labels = ["\U0001f600" if label else "हाँ" for label in LABELS]
    found = clone(estimator).set_params(
        out=tmp_path / "run", label_words={"\U0001f600": "good", "हाँ": "bad"}
    )
    assert set(found.fit(TEXTS, labels).predict(TEXTS)) <= set(labels)
