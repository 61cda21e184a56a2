from __future__ import annotations

import math

import pytest
import torch

from dawgen.errors import UserError
from dawgen.generator import examples
from dawgen.synthesis import SyntheticRow, scoring
from dawgen.synthesis.scoring import Scorer, label_ratios, log_likelihoods
from dawgen.tasks import load_card
from tests.synthesis.helpers import random_prompts

TEXTS = [
    ("a dog runs", "it is outside"),
    ("", "a man"),
    ("two young children play in the old park", "no"),
    ("a cat", ""),
    ("a dog runs", "no one is inside"),
]


@pytest.mark.parametrize("name", ["tiny_bart", "tiny_t5", "tiny_gpt2"])
def test_batched_scores_equal_one_text_at_a_time(name, request, monkeypatch):
    backbone = request.getfixturevalue(name)
    prompts = random_prompts(backbone, 3)
    monkeypatch.setattr(scoring, "TOKENS_PER_BATCH", 120)
    found = log_likelihoods(backbone, prompts, TEXTS)
    assert found.shape == (5, 3)
    assert found.dtype == torch.float64
    for i, (source, target) in enumerate(TEXTS):
        for label in range(3):
            scores = backbone.token_log_probs(
                prompts[label : label + 1],
                [backbone.encode_source(source, 3)],
                [backbone.encode_target(target)],
            )
            assert found[i, label] == pytest.approx(scores.log_probs.sum().item(), abs=1e-3)


def test_a_source_of_several_texts_is_encoded_once_a_label(tiny_bart, monkeypatch):
    encoded = []
    encode = tiny_bart._encode
    monkeypatch.setattr(
        tiny_bart, "_encode", lambda p, rows: (encoded.extend(rows), encode(p, rows))[1]
    )
    log_likelihoods(tiny_bart, random_prompts(tiny_bart, 3), TEXTS)
    assert len(encoded) == 4 * 3


def test_a_score_that_is_not_finite_stops_with_its_text(tiny_bart):
    prompts = random_prompts(tiny_bart, 2)
    prompts[1, 0, 0] = float("nan")
    with pytest.raises(UserError, match="it is outside"):
        log_likelihoods(tiny_bart, prompts, TEXTS[:1])


def test_batches_hold_every_text_once_and_keep_the_budget():
    sizes = [5, 30, 7, 7, 200, 3]
    batches = list(scoring._buckets(sizes, 40, [5, 0, 2, 3, 1, 4]))
    assert sorted(i for batch in batches for i in batch) == list(range(6))
    for batch in batches:
        assert len(batch) == 1 or max(sizes[i] for i in batch) * len(batch) <= 40
    assert batches[0] == [5, 0, 2, 3]


def test_ratio_is_the_share_of_the_labels_own_probability():
    likelihoods = torch.tensor([[math.log(0.2), math.log(0.6)], [-2000.0, -2000.0]])
    torch.testing.assert_close(
        label_ratios(likelihoods), torch.tensor([[0.25, 0.75], [0.5, 0.5]]), atol=1e-6, rtol=0
    )


def test_a_row_of_many_labels_is_compared_with_its_group(tiny_bart, monkeypatch):
    card = load_card("trec")
    rows = [SyntheticRow(f"a dog runs {i % 4}", None, card.labels[(5 * i) % 6]) for i in range(9)]
    scorer = Scorer(card, tiny_bart, random_prompts(tiny_bart, 6))
    whole = scorer(rows)
    monkeypatch.setattr(examples, "MOST_COMPARED", 3)
    for found, one in zip(scorer(rows), whole, strict=True):
        assert found.log_likelihood == pytest.approx(one.log_likelihood, abs=1e-3)
        scores = log_likelihoods(tiny_bart, scorer.prompts, [("", one.text1)])[0]
        label = card.label_index(str(one.label))
        group = range(3 * (label // 3), 3 * (label // 3) + 3)
        expected = (scores[label] - scores[list(group)].logsumexp(0)).exp()
        assert found.label_ratio == pytest.approx(float(expected), rel=1e-3)
        assert found.label_ratio > one.label_ratio
    assert scorer([]) == []
