"""What the rows before a row decide, by hand-written rows and exact counts."""

from __future__ import annotations

from collections import Counter

import pytest

from dawgen.settings.cleaning import CleaningSettings
from dawgen.synthesis import SyntheticRow
from dawgen.synthesis.cleaner import Cleaner
from dawgen.synthesis.cleaning import Candidate


@pytest.fixture
def cleaner(pair_card, pair_shots):
    card = pair_card.model_copy(update={"copies": ["follows"]})

    def make(wanted=10, min_label_ratio=0.0, generated=True, **settings):
        return Cleaner(
            card,
            pair_shots,
            [],
            CleaningSettings(**settings),
            dict.fromkeys(card.labels, wanted),
            min_label_ratio=min_label_ratio,
            generated=generated,
        )

    return make


def row(text2, label="follows", text1="a man runs in the park", ratio=None) -> SyntheticRow:
    return SyntheticRow(text1, text2, label, label_ratio=ratio)


ROWS = [
    row("the man is outside now"),
    row("The man is outside, now!", "does_not"),
    row("the man is outside now."),
    row("the man is outside today"),
    row("a man is very old and red"),
    row("a man is very old and reds"),
    row("a man is very old and reds", "does_not"),
]


def reasons(cleaner, rows) -> Counter:
    return Counter(cleaner.late_reason(r) for r in rows)


def test_duplicates_and_near_duplicates_have_counters_of_their_own(cleaner):
    assert reasons(cleaner(), ROWS) == {None: 4, "duplicate": 2, "near-duplicate": 1}


def test_each_of_them_can_be_left_out(cleaner):
    near = cleaner(skip=("near-duplicate",))
    assert reasons(near, ROWS) == {None: 4, "duplicate": 3}
    exact = cleaner(skip=("duplicate",))
    assert reasons(exact, ROWS) == {None: 5, "near-duplicate": 2}
    assert reasons(cleaner(skip=("duplicate", "near-duplicate")), ROWS) == {None: 7}


def test_rejected_rows_are_no_reason_to_reject_others(cleaner):
    judge = cleaner(min_label_ratio=0.5)
    rows = [row("no dog", ratio=0.4), row("no dog", ratio=0.5), row("no dog", ratio=0.9)]
    assert [judge.late_reason(r) for r in rows] == ["low label ratio", None, "duplicate"]


def test_rows_without_a_ratio_are_not_judged_by_it(cleaner):
    assert cleaner(min_label_ratio=0.5).late_reason(row("no dog")) is None


COPIES = [
    ("follows", "A man runs in the park!", "a man runs in the park"),
    ("does_not", "Two dogs sleep.", "two dogs sleep"),
    ("follows", "The cat eats here.", "the cat eats here"),
    ("follows", "A dog eats here.", "a dog eats here"),
]


@pytest.mark.parametrize(
    ("share", "kept"), [(0.0, []), (0.1, [0]), (0.2, [0, 2]), (0.25, [0, 2]), (0.3, [0, 2, 3])]
)
def test_copies_are_kept_where_the_label_has_them_and_up_to_a_share(cleaner, share, kept):
    """Of ten wanted rows per label; "does_not" is not among the card's copies."""
    judge = cleaner(copy_share=share)
    passed = []
    for i, (label, text1, text2) in enumerate(COPIES):
        why = judge.text_reason(Candidate(text1, text2, True), label)
        why = why or judge.late_reason(row(text2, label, text1))
        assert why in (None, "copy of the first text")
        passed += [i] if why is None else []
    assert passed == kept


def test_copies_of_one_round_share_what_is_left(cleaner):
    """All texts of a round are looked at before the first of them is remembered."""
    judge = cleaner(copy_share=0.1)
    early = [judge.text_reason(Candidate(t1, t2, True), label) for label, t1, t2 in COPIES]
    assert early == [None, "copy of the first text", None, None]
    late = [judge.late_reason(row(t2, label, t1)) for label, t1, t2 in COPIES if label == "follows"]
    assert late == [None, "copy of the first text", "copy of the first text"]


def test_what_only_generation_knows_is_not_asked_of_imported_rows(cleaner):
    cut = Candidate("a dog", "it is outside", False)
    assert cleaner().text_reason(cut, "follows") == "cut off"
    assert cleaner(generated=False).text_reason(cut, "follows") is None


def test_remembered_rows_count_as_if_just_judged(cleaner):
    judge = cleaner(copy_share=0.1)
    judge.remember(row("a dog", text1="A dog."))
    assert judge.late_reason(row("A cat.", text1="a cat")) == "copy of the first text"
    judge.remember(row("no dog"))
    assert judge.late_reason(row("No dog.", label="does_not")) == "duplicate"
