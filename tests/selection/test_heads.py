"""Linear heads are scikit-learn's logistic regression, and score no row they were fitted on."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from dawgen.selection.heads import (
    WRITTEN_SHARE,
    Form,
    Recipe,
    Training,
    cross_validate,
    fit_head,
    folds,
    label_numbers,
)
from dawgen.selection.words import WordCounts
from dawgen.tasks import Row
from tests.tuning.toy import toy_card, toy_rows

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize("labels", [2, 3])
def test_probabilities_are_scikit_learns(labels: int) -> None:
    features, gold = RANDOM.normal(size=(30, 5)), np.arange(30) % labels
    head = fit_head(features, gold, labels, 1.0)
    theirs = LogisticRegression(C=1.0, max_iter=1000).fit(features, gold)
    np.testing.assert_allclose(
        head.probabilities(features), theirs.predict_proba(features), atol=1e-5
    )


def test_scaling_does_not_depend_on_the_features_units() -> None:
    features, gold = RANDOM.normal(size=(30, 4)), np.arange(30) % 3
    stretched = features * [1, 1000, 0.01, 5] + [3, -7, 0, 100]
    one = fit_head(features, gold, 3, 10.0, form=Form(scaled=True)).probabilities(features)
    other = fit_head(stretched, gold, 3, 10.0, form=Form(scaled=True)).probabilities(stretched)
    np.testing.assert_allclose(one, other, atol=1e-3)
    theirs = make_pipeline(StandardScaler(), LogisticRegression(C=2.5)).fit(features, gold)
    np.testing.assert_allclose(one, theirs.predict_proba(features), atol=1e-3)  # C / F


def test_a_head_never_sees_the_rows_it_is_scored_on() -> None:
    """Labels drawn at random cannot be foretold; a head that had seen its rows would know them."""
    rows = [Row(f"word{n}", None, ["positive", "negative"][n % 2]) for n in range(20)]
    card = toy_card()
    recipe = Recipe(lambda given: WordCounts.learn(card, given))
    found = cross_validate(recipe, card, rows, seed=1)
    gold = label_numbers(card, rows)
    assert np.abs(found.held_out - 0.5).max() < 0.2
    seen = Training.of(recipe, card, rows).head(100.0)
    assert (seen.probabilities(WordCounts.learn(card, rows).of(rows)).argmax(1) == gold).all()


def test_every_row_is_held_out_once_and_labels_are_spread_evenly() -> None:
    gold = np.array([0] * 5 + [1] * 10)
    parts = list(folds(gold, seed=3))
    assert sorted(np.concatenate([test for _, test in parts]).tolist()) == list(range(15))
    assert all((gold[test] == 0).sum() == 1 for _, test in parts)


def test_written_rows_weigh_half_of_the_real_ones_however_many_they_are() -> None:
    card = toy_card()
    recipe = Recipe(lambda given: WordCounts.learn(card, given))
    for count in (4, 400):
        weights = Training.of(recipe, card, toy_rows(10, 1), toy_rows(count, 2)).weights
        assert weights[:10].sum() == 10
        assert weights[10:].sum() == pytest.approx(10 * WRITTEN_SHARE)


def test_by_macro_f1_a_rare_label_weighs_as_much_as_a_common_one() -> None:
    card = toy_card().model_copy(update={"metric": "macro-f1"})
    recipe = Recipe(lambda given: WordCounts.learn(card, given))
    rows = [Row(f"word{n}", None, "positive" if n < 9 else "negative") for n in range(12)]
    training = Training.of(recipe, card, rows, toy_rows(4, 2))
    np.testing.assert_allclose(training.weights[:12], [12 / 18] * 9 + [2.0] * 3)
    assert training.weights[12:].sum() == pytest.approx(12 * WRITTEN_SHARE)
    # Of words that no row has had, nothing is known but how many rows each label has.
    alone = [Training.of(recipe, each, rows) for each in (card, toy_card())]
    unknown = [each.features.of([Row("unseen", None, None)]) for each in alone]
    balanced, plain = (t.head(0.1).probabilities(u)[0] for t, u in zip(alone, unknown, strict=True))
    assert balanced == pytest.approx([0.5, 0.5], abs=0.05)
    assert plain.max() == pytest.approx(0.75, abs=0.05)
