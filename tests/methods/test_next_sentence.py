"""Pairs for next-sentence prediction: labels by construction, balance, documents."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from dawgen.errors import UserError
from dawgen.methods.next_sentence import (
    NextSentencePairs,
    clauses,
    kinds_of,
    read_documents,
    split_documents,
)
from dawgen.tasks import TaskCard, load_card

# Sentence "b2" is the third of document b.
TEXT = "a0\na1\na2\na3\n\n\nb0\n b1 \nb2\n\nc0\nc1\n\nd0\n"


def pairs(card: TaskCard, count: int, seed: int = 0, text: str = TEXT) -> list:
    documents = split_documents(text.splitlines())
    drawn = NextSentencePairs(documents, kinds_of(card), np.random.default_rng(seed)).take(count)
    return [(row.text1, row.text2, row.label) for row in drawn]


def test_blank_lines_part_documents():
    assert split_documents(TEXT.splitlines()) == [
        ["a0", "a1", "a2", "a3"],
        ["b0", "b1", "b2"],
        ["c0", "c1"],
        ["d0"],
    ]
    assert split_documents([]) == []


def test_three_kinds_are_what_their_labels_say_and_balanced():
    seen = pairs(load_card("snli"), 300)
    for first, second, label in seen:
        distance = int(second[1]) - int(first[1])
        if label == "entailment":
            assert first[0] == second[0]
            assert distance == 1
        elif label == "neutral":
            assert first[0] == second[0]
            assert distance >= 2
        else:
            assert label == "contradiction"
            assert first[0] != second[0]
        assert second[1] != "0"
        assert first[0] in "ab"
        assert second[0] in "ab"
    assert Counter(label for *_, label in seen) == {
        "entailment": 100,
        "neutral": 100,
        "contradiction": 100,
    }
    # All that can be drawn is drawn.
    near = {(first, second) for first, second, label in seen if label == "entailment"}
    assert near == {("a0", "a1"), ("a1", "a2"), ("b0", "b1")}
    far = {(first, second) for first, second, label in seen if label == "neutral"}
    assert far == {("a0", "a2"), ("a0", "a3"), ("a1", "a3"), ("b0", "b2")}


def test_two_kinds_leave_out_the_middle_one():
    seen = pairs(load_card("mrpc"), 200)
    for first, second, label in seen:
        follows = first[0] == second[0] and int(second[1]) - int(first[1]) == 1
        assert label == ("equivalent" if follows else "not_equivalent")
        if not follows:
            assert first[0] != second[0]
    assert Counter(label for *_, label in seen) == {"equivalent": 100, "not_equivalent": 100}
    assert {second for _, second, _ in seen} == {"a1", "a2", "a3", "b1", "b2", "c1"}


def test_any_batch_is_balanced_and_the_stream_decides_the_draw():
    for count in (3, 4, 5, 64):
        numbers = Counter(label for *_, label in pairs(load_card("snli"), count)).values()
        assert max(numbers) - min(numbers) <= 1
    assert pairs(load_card("snli"), 30) == pairs(load_card("snli"), 30)
    assert pairs(load_card("snli"), 30) != pairs(load_card("snli"), 30, seed=1)


def test_yes_and_no_say_which_label_is_near_whatever_their_order():
    card = load_card("snli")
    turned = card.model_copy(update={"labels": ["neutral", "contradiction", "entailment"]})
    wanted = {"next": "entailment", "same": "neutral", "other": "contradiction"}
    assert kinds_of(card) == kinds_of(turned) == wanted
    other_words = card.model_copy(
        update={
            "labels": ["neutral", "contradiction", "entailment"],
            "label_words": {"entailment": "good", "neutral": "so", "contradiction": "bad"},
        }
    )
    assert kinds_of(other_words) == {
        "next": "neutral",
        "same": "contradiction",
        "other": "entailment",
    }


def test_tasks_without_pairs_or_with_many_labels_are_refused():
    with pytest.raises(UserError, match="sst2 has a single text a row"):
        kinds_of(load_card("sst2"))
    card = load_card("snli")
    many = card.model_copy(update={"labels": [*card.labels, "other"]})
    with pytest.raises(UserError, match="snli has 4 labels"):
        kinds_of(many)


def test_a_file_of_documents(tmp_path: Path):
    file = tmp_path / "text.txt"
    file.write_text(TEXT, "utf-8")
    assert [len(document) for document in read_documents(str(file))] == [4, 3, 2, 1]
    file.write_text("one\ntwo\nthree\n", "utf-8")
    with pytest.raises(UserError, match=r"text\.txt holds 1 document\(s\)"):
        read_documents(str(file))
    with pytest.raises(UserError, match=r"no text file .*gone\.txt to pre-train on"):
        read_documents(str(tmp_path / "gone.txt"))


def test_documents_that_are_too_short_are_refused():
    with pytest.raises(UserError, match="two documents of 3 sentences at least, and there are 1"):
        pairs(load_card("snli"), 1, text="a0\na1\na2\n\nb0\nb1\n")
    assert len(pairs(load_card("mrpc"), 2, text="a0\na1\na2\n\nb0\nb1\n")) == 2


def test_a_sentence_is_cut_at_its_clauses():
    assert clauses("She had one of the tiny rooms, which was cold; but she liked it well.") == [
        "She had one of the tiny rooms",
        "which was cold; but she liked it well",
    ]
    assert clauses("However, the man who came - as we all know now - was late.") == [
        "However, the man who came",
        "as we all know now - was late",
    ]
    assert clauses("There were 3,151 people living in 557 well-known households.") == [
        "There were 3,151 people living in 557 well-known households"
    ]


def test_the_packaged_corpus_gives_clauses_enough():
    documents = read_documents("wikipedia")
    assert sum(len(one) >= 2 for one in documents) == len(documents) > 10_000
    assert sum(len(one) >= 3 for one in documents) > 3_000
    assert all(len(clause.split()) >= 3 for one in documents for clause in one)
