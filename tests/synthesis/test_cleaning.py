"""Every rule by hand-written texts."""

from __future__ import annotations

from collections import Counter
from typing import get_args

import pytest

from dawgen.settings.cleaning import CleaningSettings, RuleName
from dawgen.synthesis.cleaner import Cleaner
from dawgen.synthesis.cleaning import (
    RULES,
    Candidate,
    Reference,
    first_sentence_reason,
    reason,
)
from dawgen.tasks import Row, load_card, load_rows

SHOTS = [
    Row("A man plays a guitar.", "A man makes some music.", "yes"),
    Row("A dog runs in the park.", "The dog is asleep on the old sofa.", "no"),
]
FORBIDDEN = [Row("Two cats eat fish.", "Two cats are having a meal.", "yes")]
AGAINST = Reference(SHOTS, FORBIDDEN)


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
        ("Two “cats eat fish.", "unbalanced brackets or quotes"),
        ("Two „cats eat fish.", "unbalanced brackets or quotes"),
        ("Two „cats“ have dinner.", None),
        ("Two „cats” have dinner.", None),
        ("Two ”cats” have dinner.", None),
        ("Two ”cats have dinner.", "unbalanced brackets or quotes"),
        ("Two cats\nhave dinner.", "broken text"),
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


def test_line_breaks_are_as_readable_as_in_the_shots():
    against = Reference([*SHOTS, Row("A man sings.", "He sings.\nIt is late.", "yes")])
    assert reason(Candidate("Two cats eat.", "Two cats\nhave dinner.", True), against) is None
    broken = Candidate("Two cats eat.", "Two cats\x00\nhave dinner.", True)
    assert reason(broken, against) == "broken text"


def test_words_with_vowel_signs_are_whole():
    shots = [Row("नाना आए।", "नानी ने नाना को घर पर बुलाया।", "yes")]
    row = Candidate("घर है।", "नाना ने नानी को बुलाया।", True)
    assert reason(row, Reference(shots)) is None


def test_a_text_without_its_end_mark_is_cut_off():
    assert judge("Two cats have dinner.", finished=False) == "cut off"


def test_letters_of_the_first_text_may_come_again():
    assert judge("Alpha is α.", text1="The letter α comes first.") is None
    assert judge("Alpha is α.") == "other script"


def test_an_evaluation_text_after_another_first_sentence_is_no_repetition():
    assert judge("Two cats are having a meal.", text1="Cats sit at a table.") is None


def test_single_texts_are_judged_by_themselves():
    against = Reference([Row("A fine film.", None, "good")], [Row("It was dull.", None, "bad")])

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


def test_rules_have_names_of_their_own_that_the_settings_know():
    names = [name for name, _ in RULES]
    assert len(set(names)) == len(names) == 15
    assert {*names, "duplicate", "near-duplicate"} == set(get_args(RuleName))


@pytest.mark.parametrize("rule", [name for name, _ in RULES])
def test_every_rule_can_be_left_out(rule):
    """A row for each rule that this rule alone rejects."""
    words8 = "one two three four five six seven eight"
    against = Reference(
        [Row(words8 + " nine.", "A man makes some music.", "yes"), SHOTS[1]],
        [*FORBIDDEN, Row("It rained.", "Here " + words8[4:] + " nine ten.", "no")],
        request="Write a text for this task: is it old?",
    )
    first, text, finished = {
        "empty": ("Two cats eat fish.", "", True),
        "cut off": ("Two cats eat fish.", "Two cats have dinner.", False),
        "broken text": ("Two cats eat fish.", "Two \ufffd eat.", True),
        "unbalanced brackets or quotes": ("Two cats eat fish.", "Two (cats eat.", True),
        "repeats itself": ("Two cats eat fish.", "Two cats cats cats eat.", True),
        "bad end": ("Two cats eat fish.", "Two cats eat,", True),
        "other script": ("Two cats eat fish.", "Two коты eat.", True),
        "copy of the first text": ("Cats eat fish.", "Cats eat fish.", True),
        "repeats the request": ("Two cats eat.", "Write a text for this task: is it.", True),
        "too short": ("Two cats eat fish.", "Cats.", True),
        "too long": ("Two cats eat fish.", "a b c d e f g h i j k l m n o p q", True),
        "repeats a few-shot text": ("Two cats eat fish.", "a man makes some music", True),
        "repeats an evaluation row": ("two cats eat fish", "Two cats are having a meal", True),
        "overlaps a few-shot text": ("Two cats eat.", "See " + words8 + ".", True),
        "overlaps an evaluation row": ("A b c.", "Two three four five six seven eight nine.", True),
    }[rule]
    row = Candidate(first, text, finished)
    others = {  # a row that two rules reject
        "empty": {"broken text", "too short"},
        "overlaps an evaluation row": {"overlaps a few-shot text"},
    }
    skip = others.get(rule, set())
    assert reason(row, against, skip) == rule
    assert reason(row, against, {*skip, rule}) is None


def test_words_running_that_the_given_first_text_has_are_its_own():
    """A few shot's text1 may be given again; what is written may take it up, unless both were
    written. An evaluation row's words count wherever they stand."""
    first = "A man in a red coat is standing on the roof."
    shots, text = [Row(first, "Somebody is high up.", "yes")], first.replace("man", "boy")
    against = Reference(shots)
    assert reason(Candidate(first, text, True), against) == "too long"
    skip = {"too long"}
    assert reason(Candidate(first, text, True), against, skip) is None
    both = Candidate(first, text, True, wrote_first=True)
    assert reason(both, against, skip) == "overlaps a few-shot text"
    assert reason(Candidate("A roof.", text, True), against, skip) == "overlaps a few-shot text"
    measured = Reference([SHOTS[0]], shots)
    for row in (Candidate(first, "He is cold.", True), Candidate("A roof.", text, True)):
        assert reason(row, measured, skip) == "overlaps an evaluation row"
    assert reason(Candidate("A roof.", "He is cold.", True), measured) is None


def test_an_overlap_is_as_long_as_it_is_set():
    shots = [Row("x", "one two three four five", "yes")]
    row = Candidate("y", "see one two three four six", True)
    assert reason(row, Reference(shots, n=4)) == "overlaps a few-shot text"
    assert reason(row, Reference(shots, n=5)) is None


def test_first_sentences_need_not_be_of_a_second_texts_length():
    assert first_sentence_reason("Cats.", True, AGAINST) is None
    assert first_sentence_reason("", True, AGAINST) == "first sentence empty"
    assert first_sentence_reason("Cats eat", False, AGAINST) == "first sentence cut off"
    assert first_sentence_reason("Cats,", True, AGAINST) == "first sentence bad end"


@pytest.mark.parametrize("task", ["mnli", "mrpc", "qnli", "qqp", "rte", "sick", "snli"])
def test_rows_that_people_wrote_pass(shared, task):
    card = load_card(task)
    folder = shared / "data" / task
    against = Reference(load_rows(card, folder / "16-13" / "train.jsonl"))
    rows = load_rows(card, folder / "test.jsonl")[:500]
    passed = sum(reason(Candidate(r.text1, r.text2, True), against) is None for r in rows)
    assert passed / len(rows) > 0.94


def test_a_row_or_first_sentence_that_repeats_its_request_is_rejected() -> None:
    """8 words running; fewer may be chance."""
    card = load_card("sst2")
    cleaner = Cleaner(card, SHOTS, [], CleaningSettings(), dict.fromkeys(card.labels, 1))
    request = "repeats the request"
    assert reason(Candidate(card.request, None, True), cleaner.reference) == request
    assert cleaner.first_reason(f"Sure! {card.request}") == f"first sentence {request}"
    few = " ".join(card.request.split()[:7])
    assert cleaner.first_reason(few) is None
