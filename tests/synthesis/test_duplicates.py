"""Near-duplicates by hand: seven texts, exact counts."""

from __future__ import annotations

import pytest

from dawgen.synthesis.duplicates import Duplicates, jaccard, shingles

TEXTS = [
    "A man is playing an old guitar on the stage.",
    "a man is playing an old guitar, on the stage",  # the same but for marks
    "A man is playing an old guitar on a stage.",  # near: one word
    "A man is not playing an old guitar on the stage.",  # near: one word more
    "A woman is cutting onions in the kitchen.",
    "A dog.",
    "A cat.",
]


def test_shingles_are_runs_of_five_or_the_whole():
    assert shingles("abcdefg") == {"abcde", "bcdef", "cdefg"}
    assert shingles("abc") == {"abc"}
    assert shingles("") == {""}


def test_jaccard_by_hand():
    assert jaccard("abcdefg", "abcdefh") == pytest.approx(2 / 4)
    assert jaccard("abc", "abc") == 1.0
    assert jaccard("", "abc") == 0.0


def counts(threshold: float, label=lambda i: "x") -> tuple[int, int]:
    """(exact duplicates, near ones) of the texts as single texts, each held against those kept."""
    seen, exact, near = Duplicates(threshold), 0, 0
    for i, text in enumerate(TEXTS):
        if seen.has(text, None):
            exact += 1
        elif seen.has_near(text, None, label(i)):
            near += 1
        else:
            seen.add(text, None, label(i))
    return exact, near


def test_seven_texts_are_counted_exactly():
    assert counts(0.6) == (1, 2)  # "a" for "the": 23 of 35 runs shared
    assert counts(0.7) == (1, 1)  # "not": 26 of 37
    assert counts(0.8) == (1, 0)


def test_labels_have_near_duplicates_of_their_own():
    """One word more and another label: what the task is about."""
    assert counts(0.6, label=str) == (1, 0)


def test_both_texts_of_a_pair_must_be_near():
    seen = Duplicates(0.6)
    seen.add(TEXTS[0], TEXTS[4], "x")
    assert seen.has_near(TEXTS[2], TEXTS[4], "x")
    assert not seen.has_near(TEXTS[0], TEXTS[5], "x")
    assert not seen.has_near(TEXTS[5], TEXTS[4], "x")
    assert not seen.has_near(TEXTS[4], TEXTS[0], "x")  # the order counts
    assert not seen.has_near(TEXTS[2], TEXTS[4], "y")


def test_a_text_of_two_labels_is_near_in_both():
    seen = Duplicates(0.6)
    for label in ("x", "y"):
        seen.add(TEXTS[0], None, label)
        seen.add(TEXTS[0], None, label)
        assert seen.has_near(TEXTS[2], None, label)


def test_sketches_miss_no_near_row():
    """Two hundred texts, each with a neighbour that has a letter more."""
    primes = (7919, 104729, 1299709, 31)
    texts = [" ".join(f"{i * p % 9973:04d}" for p in primes) for i in range(1, 201)]
    seen = Duplicates(0.8)
    for text in texts:
        seen.add(text, None, "x")
    assert sum(seen.has_near(f"{text}s", None, "x") for text in texts) == 200
    assert sum(seen.has_near(f"{text[10:]} {text[:10]}", None, "x") for text in texts) == 0
