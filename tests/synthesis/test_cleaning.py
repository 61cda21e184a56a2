"""Every rule by hand-written texts."""

from __future__ import annotations

from collections import Counter

import pytest

from dawgen.synthesis.cleaning import (
    RULES,
    Candidate,
    first_sentence_reason,
    reason,
    reference,
)
from dawgen.tasks import Row, load_card, load_rows

SHOTS = [
    Row("A man plays a guitar.", "A man makes some music.", "yes"),
    Row("A dog runs in the park.", "The dog is asleep on the old sofa.", "no"),
]
FORBIDDEN = [Row("Two cats eat fish.", "Two cats are having a meal.", "yes")]
AGAINST = reference(SHOTS, FORBIDDEN)


def judge(text2: str, text1: str = "Two cats eat fish.", finished: bool = True) -> str | None:
    return reason(Candidate(text1, text2, finished), AGAINST)


def test_reference_measures_the_second_texts():
    assert AGAINST.words == (2, 16)  # half of 5 words, twice 8 words
    assert AGAINST.scripts == {"LATIN"}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("Two cats have dinner.", None),
        ("There is no cat (or dog).", None),
        ('A "cat" is very very hungry...', None),
        ("", "empty"),
        ("  ", "empty"),
        ("Two cats \ufffd fish", "broken text"),
        ("Two cats\x00 eat", "broken text"),
        ("12 34.", "broken text"),
        ("Two [UNK] eat fish.", "broken text"),
        ("Two <extra_id_3> eat", "broken text"),
        ("##s eat fish.", "broken text"),
        ("Two cats (and a dog eat.", "unbalanced brackets or quotes"),
        ("Two cats) eat (fish.", "unbalanced brackets or quotes"),
        ('Two "cats eat fish.', "unbalanced brackets or quotes"),
        ("Two cats cats cats eat.", "repeats itself"),
        ("A cat eats fish eats fish today.", "repeats itself"),
        ("Two caaaaaaats eat", "repeats itself"),
        ("Two cats eat fish,", "bad end"),
        ("Two cats eat fish and", "bad end"),
        ("Two cats eat the", "bad end"),
        ("Two коты eat fish.", "other script"),
        ("two cats , eat fish", "copy of the first text"),
        ("Cats.", "too short"),
        ("a b c d e f g h i j k l m n o p q", "too long"),
        ("a b c d e f g h i j k l m n o p", None),
        ("a man makes some music", "repeats a few-shot text"),
        ("Two cats are having a meal", "repeats an evaluation row"),
    ],
)
def test_each_rule(text, why):
    assert judge(text) == why


def test_a_text_without_its_end_mark_is_cut_off():
    assert judge("Two cats have dinner.", finished=False) == "cut off"


def test_letters_of_the_first_text_may_come_again():
    assert judge("Alpha is α.", text1="The letter α comes first.") is None
    assert judge("Alpha is α.") == "other script"


def test_an_evaluation_text_after_another_first_sentence_is_no_repetition():
    assert judge("Two cats are having a meal.", text1="Cats sit at a table.") is None


def test_single_texts_are_judged_by_themselves():
    against = reference([Row("A fine film.", None, "good")], [Row("It was dull.", None, "bad")])

    def single(text: str) -> str | None:
        return reason(Candidate(text, None, True), against)

    assert single("A dull film.") is None
    assert single("a fine film") == "repeats a few-shot text"
    assert single("It was dull") == "repeats an evaluation row"
    assert single("") == "empty"


def test_hand_written_rows_are_counted_exactly():
    texts = ["", "", "Fish.", "Cats (eat.", "Two cats eat fish.", "Cats eat.", "Fish is eaten."]
    counts = Counter(judge(text) for text in texts)
    assert counts == {
        None: 2,
        "empty": 2,
        "too short": 1,
        "unbalanced brackets or quotes": 1,
        "copy of the first text": 1,
    }


def test_rules_have_names_of_their_own():
    names = [name for name, _ in RULES]
    assert len(set(names)) == len(names) == 12


def test_first_sentences_need_not_be_of_a_second_texts_length():
    assert first_sentence_reason("Cats.", True, AGAINST) is None
    assert first_sentence_reason("", True, AGAINST) == "first sentence empty"
    assert first_sentence_reason("Cats eat", False, AGAINST) == "first sentence cut off"
    assert first_sentence_reason("Cats,", True, AGAINST) == "first sentence bad end"


@pytest.mark.parametrize("task", ["mnli", "mrpc", "qnli", "qqp", "rte", "sick", "snli"])
def test_rows_that_people_wrote_pass(shared, task):
    card = load_card(task)
    folder = shared / "data" / task
    against = reference(load_rows(card, folder / "16-13" / "train.jsonl"))
    rows = load_rows(card, folder / "test.jsonl")[:500]
    passed = sum(reason(Candidate(r.text1, r.text2, True), against) is None for r in rows)
    assert passed / len(rows) > 0.94
