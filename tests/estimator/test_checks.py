"""scikit-learn's own checks of the estimator.

They fit on tables of numbers, which an estimator of texts refuses, so scikit-learn leaves nearly
all of them out. Here an estimator claims to take such tables: each check then passes, or is listed
with the reason why it cannot.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import check_estimator, parametrize_with_checks

from dawgen.errors import UserError
from dawgen.pipeline.estimator import DawgenClassifier
from tests.estimator.test_estimator import LABELS, TEXTS, estimator  # noqa: F401


class Claims(DawgenClassifier):
    """Says that it takes tables of numbers, so that no check is left out."""

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = True
        return tags


_NUMBERS = "fits on a table of numbers, which an estimator of texts refuses, naming the row"
_SPARSE = "wants sparse tables of numbers, or an error that speaks of them; no text is sparse"
_ARRAY = "wraps numbers in an object that is no list, array, Series or data frame"
_ONE_LABEL = "fits on numbers of one label; a task of texts needs two, and the message says so"
_FEW = "wants the words n_samples or n_features, which mean nothing for texts"
EXPECTED = {
    "check_fit_score_takes_y": _NUMBERS,
    "check_estimators_overwrite_params": _NUMBERS,
    "check_dont_overwrite_parameters": _NUMBERS,
    "check_estimators_fit_returns_self": _NUMBERS,
    "check_readonly_memmap_input": _NUMBERS,
    "check_positive_only_tag_during_fit": _NUMBERS,
    "check_estimators_dtypes": _NUMBERS,
    "check_estimator_sparse_tag": _SPARSE,
    "check_estimator_sparse_array": _SPARSE,
    "check_estimator_sparse_matrix": _SPARSE,
    "check_estimators_pickle": _NUMBERS,
    "check_f_contiguous_array_estimator": _NUMBERS,
    "check_classifier_data_not_an_array": _ARRAY,
    "check_classifiers_one_label": _ONE_LABEL,
    "check_classifiers_classes": _NUMBERS,
    "check_classifiers_train": _NUMBERS,
    "check_fit2d_1sample": _FEW,
    "check_fit2d_1feature": _FEW,
    "check_dict_unchanged": _NUMBERS,
    "check_fit_idempotent": _NUMBERS,
    "check_fit_check_is_fitted": _NUMBERS,
}
"""Checks that fail because they fit on numbers; :data:`IN_WORDS` are run on words instead."""


@parametrize_with_checks([Claims()], expected_failed_checks=lambda _: EXPECTED, xfail_strict=True)  # type: ignore[untyped-decorator]
def test_every_check_passes_or_is_listed(estimator: Any, check: Any) -> None:  # noqa: F811
    check(estimator)


def test_the_listed_checks_fail_for_the_reason_that_is_given() -> None:
    """Each by our own error, and none by chance."""
    failed = {
        found["check_name"]: found["exception"]
        for found in check_estimator(Claims(), on_fail=None, on_skip=None)
        if found["status"] == "failed"
    }
    assert set(failed) == set(EXPECTED)
    for name, error in failed.items():
        while not isinstance(error, UserError):
            assert error is not None, name
            error = error.__cause__ or error.__context__
        assert re.search("a row must be|must be a list, an array", str(error)), name


class InWords(DawgenClassifier):
    """Reads each row of a table of numbers as words, so that checks of any estimator can fit."""

    def fit(self, X: Any, y: Any) -> InWords:
        super().fit(self._words(X), y)
        return self

    def predict_proba(self, X: Any) -> Any:
        return super().predict_proba(self._words(X))

    def _words(self, X: Any) -> list[str]:
        return [" ".join(f"x{n} {float(v):.3f}" for n, v in enumerate(row)) for row in X]


IN_WORDS = (
    "check_dict_unchanged",
    "check_dont_overwrite_parameters",
    "check_estimators_fit_returns_self",
    "check_estimators_overwrite_params",
    "check_fit_check_is_fitted",
    "check_fit_idempotent",
    "check_fit_score_takes_y",
    "check_readonly_memmap_input",
)


@pytest.mark.slow
@pytest.mark.parametrize("name", IN_WORDS)
def test_checks_of_fitting_pass_on_words(estimator: DawgenClassifier, name: str) -> None:  # noqa: F811
    given = estimator.get_params() | {"label_words": None}
    getattr(estimator_checks, name)("InWords", InWords(**given))


def test_the_reason_is_true() -> None:
    with pytest.raises(UserError, match="row 1: a row must be a pair of texts"):
        DawgenClassifier().fit(np.zeros((4, 2)), [0, 1, 0, 1])
    with pytest.raises(UserError, match="row 1: a row must be one text"):
        DawgenClassifier().fit(np.zeros((4, 3)), [0, 1, 0, 1])


def test_a_grid_is_searched_over_a_pipeline(estimator: DawgenClassifier) -> None:  # noqa: F811
    def lower(texts: Any) -> list[str]:
        return [text.lower() for text in texts]

    steps = [("lower", FunctionTransformer(lower)), ("dawgen", clone(estimator))]
    search = GridSearchCV(Pipeline(steps), {"dawgen__seed": [13, 21]}, cv=2, error_score="raise")
    search.fit([text.upper() for text in TEXTS], LABELS)
    assert search.best_params_["dawgen__seed"] in (13, 21)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    found = search.predict(TEXTS)
    assert set(found) <= {0, 1}
    assert search.best_estimator_["dawgen"].seed == search.best_params_["dawgen__seed"]
    np.testing.assert_array_equal(found, search.best_estimator_["dawgen"].predict(TEXTS))
