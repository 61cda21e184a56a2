"""Variety and distance: hand-worked figures, and nltk as the reference of self-BLEU."""

from __future__ import annotations

import math

import pytest

from dawgen.synthesis.measures import (
    distinct,
    jensen_shannon,
    length_distance,
    self_bleu,
    tokens,
)

TEXTS = [
    tokens(text)
    for text in (
        "A man is playing a guitar on the stage.",
        "A man is playing a guitar on a stage!",
        "Two dogs, a cat and a dog are in the park near the house.",
        "Two dogs are in the park.",
        "No.",
        "the the the cat the the",
        "A man",
        "",
    )
]


def test_tokens_are_words_and_single_marks():
    assert tokens("He's a DOG, no?") == ["he", "'", "s", "a", "dog", ",", "no", "?"]


def test_distinct_by_hand():
    texts = [["a", "b", "a"], ["a", "b"]]
    assert distinct(texts, 1) == 2 / 5
    assert distinct(texts, 2) == 2 / 3  # ab, ba, ab
    assert distinct([["a"]], 2) is None


@pytest.mark.parametrize("order", [1, 2, 4])
@pytest.mark.parametrize("texts", [TEXTS, TEXTS[:2], TEXTS[4:7], [["a", "b"]] * 3])
def test_self_bleu_is_nltks(texts, order):
    bleu = pytest.importorskip("nltk.translate.bleu_score")
    smooth = bleu.SmoothingFunction().method1
    weights = (1 / order,) * order
    expected = [
        bleu.sentence_bleu(texts[:i] + texts[i + 1 :], text, weights, smooth)
        for i, text in enumerate(texts)
    ]
    assert self_bleu(texts, order) == pytest.approx(math.fsum(expected) / len(texts), abs=1e-12)


def test_self_bleu_of_equal_texts_is_one_and_of_strangers_none():
    assert self_bleu([["a", "b", "c", "d"]] * 2) == pytest.approx(1.0)
    assert self_bleu([["a", "b"], ["c", "d"]]) == 0.0
    assert self_bleu([["a"]]) is None


def test_jensen_shannon_by_hand():
    assert jensen_shannon([["a", "b"]], [["b", "a"]], 1) == pytest.approx(0.0)
    assert jensen_shannon([["a"]], [["b"]], 1) == pytest.approx(1.0)
    # p = (1, 0), q = (1/2, 1/2): 1/2 log2(1 / .75) + 1/2 (1/2 log2(.5 / .75) + 1/2 log2(.5 / .25))
    expected = 0.5 * math.log2(4 / 3) + 0.25 * math.log2(2 / 3) + 0.25
    assert jensen_shannon([["a"]], [["a", "b"]], 1) == pytest.approx(expected)
    assert jensen_shannon([["a"]], [["a"]], 2) is None


def test_jensen_shannon_is_scipys_distance_squared():
    from scipy.spatial.distance import jensenshannon

    words = sorted({word for text in TEXTS for word in text})
    one, other = TEXTS[:3], TEXTS[3:]
    p, q = ([sum(t.count(w) for t in texts) for w in words] for texts in (one, other))
    assert jensen_shannon(one, other, 1) == pytest.approx(jensenshannon(p, q, 2) ** 2)


def test_length_distance_by_hand():
    assert length_distance([2, 4], [3, 5]) == pytest.approx(1.0)
    assert length_distance([1, 1, 1, 5], [1]) == pytest.approx(1.0)
    assert length_distance([], [1]) is None
