"""One question per label is scikit-learn's one-vs-rest, and its figures by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier

from dawgen.backbone import Backbone
from dawgen.many.heads import cross_validate_many, fit_many, many_loss
from dawgen.many.run import ManyJob, _choice, _validated
from dawgen.many.scores import score_many
from dawgen.selection.heads import Recipe
from dawgen.selection.parts import Models
from dawgen.selection.store import load_choice
from dawgen.selection.words import WordCounts
from tests.many.test_rows import card, rows
from tests.selection.test_store import settings_with

RANDOM = np.random.default_rng(0)


def test_probabilities_are_scikit_learns() -> None:
    features, gold = RANDOM.normal(size=(40, 5)), RANDOM.random((40, 3)) < 0.4
    found = fit_many(features, gold, 1.0, "accuracy").probabilities(features)
    theirs = OneVsRestClassifier(LogisticRegression(max_iter=1000)).fit(features, gold)
    np.testing.assert_allclose(found, theirs.predict_proba(features), atol=1e-5)


def test_by_macro_f1_a_rare_yes_weighs_as_much_as_the_many_nos() -> None:
    features, gold = np.zeros((40, 2)), np.arange(40)[:, None] < 4
    plain, fair = (
        fit_many(features, gold, 1.0, metric).probabilities(features)[0, 0]
        for metric in ("accuracy", "macro-f1")
    )
    assert plain == pytest.approx(0.1, abs=0.01)
    assert fair == pytest.approx(0.5, abs=0.01)


def test_a_question_with_one_answer_has_no_head_to_fit() -> None:
    gold = np.stack([np.zeros(9, bool), np.ones(9, bool)], axis=1)
    found = fit_many(RANDOM.normal(size=(9, 3)), gold, 1.0, "accuracy")
    np.testing.assert_allclose(found.probabilities(np.ones((1, 3))), [[0.05, 0.95]], atol=1e-6)


def test_a_head_never_sees_the_rows_it_is_scored_on() -> None:
    labels = ["urgent", "spam", "urgent spam", ""] * 10
    two = card().model_copy(update={"labels": ["urgent", "spam"]})
    found = rows(*[labels[place] for place in RANDOM.permutation(40)])
    recipe = Recipe(lambda given: WordCounts.learn(two, given))
    held_out = cross_validate_many(recipe, two, found, seed=1).held_out
    assert np.abs(held_out - 0.5).max() < 0.25  # texts of a number each, which tells nothing


def test_figures_by_hand() -> None:
    two = card().model_copy(update={"labels": ["urgent", "spam"]})
    gold = np.array([[1, 1], [1, 0], [0, 0], [0, 1]], bool)
    chances = np.array([[0.9, 0.2], [0.6, 0.1], [0.1, 0.3], [0.7, 0.5]], np.float32)
    found = score_many(two, gold, chances)
    assert found["accuracy"] == 2 / 4
    assert found["labels"]["urgent"] == pytest.approx(
        {"precision": 2 / 3, "recall": 1, "f1": 0.8, "n": 2, "predicted": 3}
    )
    assert found["labels"]["spam"]["f1"] == pytest.approx(2 / 3)
    assert found["macro_f1"] == pytest.approx((0.8 + 2 / 3) / 2)
    assert found["micro_f1"] == pytest.approx(2 * 3 / (4 + 4))
    right = [0.9, 0.6, 0.9, 0.3, 0.2, 0.9, 0.7, 0.5]
    assert many_loss(chances, gold, "accuracy") == pytest.approx(-np.log(right).mean(), rel=1e-5)


def test_two_heads_are_multiplied_question_by_question(
    tiny_t5: Backbone, encoder_folder: Path, tmp_path: Path
) -> None:
    labels = ["urgent", "spam", "urgent spam", ""] * 5
    job = ManyJob(card(), rows(*labels), None)
    models = Models(card(), settings_with(encoder_folder), tiny_t5)
    names = ["embeddings", "states", "embeddings+states"]
    found = _validated(job, models, names)
    texts = [each.row for each in job.rows]
    powers = found["embeddings+states"].powers
    one, other, both = (
        _choice(name, found[name], job, models).probabilities(texts).astype(float) for name in names
    )
    yes = one ** powers[0] * other ** powers[1]
    no = (1 - one) ** powers[0] * (1 - other) ** powers[1]
    np.testing.assert_allclose(both, yes / (yes + no), atol=1e-5)
    choice = _choice("embeddings+states", found["embeddings+states"], job, models)
    choice.save(tmp_path, models, {})
    np.testing.assert_allclose(load_choice(tmp_path, models).probabilities(texts), both, atol=1e-5)
    losses = [found[name].together.loss for name in names]
    assert losses[2] < max(losses[:2])
