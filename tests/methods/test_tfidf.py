"""TF-IDF and logistic regression: words, their place, and overlap."""

from __future__ import annotations

import random
from importlib import import_module
from typing import Any

import numpy as np
import pytest

from dawgen.errors import UserError
from dawgen.methods import Prediction, Task
from dawgen.methods.tfidf import REGULARISATION, tfidf
from dawgen.selection.words import overlap
from dawgen.streams import Streams
from dawgen.tasks import Row, Shots, TaskCard, load_card
from tests.methods.small import pair_card, sentence_shots, sentence_task, small_settings
from tests.tuning.toy import toy_rows

NONE: Any = None  # it needs no backbone


def run(task: Task, shots: Shots, seed: int = 13) -> Prediction:
    return tfidf(task, shots, NONE, small_settings(), Streams(seed))


def accuracy(task: Task, found: Prediction) -> float:
    gold = [task.card.label_index(str(row.label)) for row in task.rows]
    return float((found.probabilities.argmax(axis=1) == gold).mean())


def placed_rows(count: int, seed: int) -> list[Row]:
    """The label is told by which of the two texts has the word."""
    stream = random.Random(seed)
    rows = []
    for place in range(count):
        texts = [" ".join(stream.choices("abcdefgh", k=4)) for _ in range(2)]
        texts[place % 2] += " good"
        rows.append(Row(*texts, pair_card().labels[place % 2]))
    return rows


def echo_rows(count: int, seed: int) -> list[Row]:
    """The label is told by whether the texts share words; no row shares words with another."""
    rows = []
    for place in range(count):
        words = [f"w{seed}x{place}x{i}" for i in range(8)]
        second = words[:4] if place % 2 == 0 else words[4:]
        rows.append(Row(" ".join(words[:4]), " ".join(second[::-1]), pair_card().labels[place % 2]))
    return rows


def pair(rows: list[Row], card: TaskCard | None = None) -> Task:
    return Task(card or pair_card(), rows, NONE)


def test_single_sentences_are_learnt() -> None:
    task = sentence_task(toy_rows(200, seed=5))
    found = run(task, sentence_shots(32))
    assert accuracy(task, found) > 0.9
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1, atol=1e-6)
    assert found.probabilities.dtype == np.float32


@pytest.mark.parametrize("rows", [placed_rows, echo_rows])
def test_pairs_are_learnt_by_place_and_by_overlap(rows: Any) -> None:
    task = pair(rows(100, 5))
    assert accuracy(task, run(task, Shots(rows(32, 1), rows(32, 2)))) > 0.8


def test_words_alone_tell_nothing_where_labels_are_drawn() -> None:
    shots = Shots(toy_rows(32, seed=1), toy_rows(32, seed=2))
    stream = random.Random(0)
    train = [Row(r.text1, None, stream.choice(["positive", "negative"])) for r in shots.train]
    task = sentence_task(toy_rows(200, seed=5))
    assert accuracy(task, run(task, Shots(train, shots.dev))) < 0.8


def test_overlap_by_hand() -> None:
    row = Row("A man sleeps.", "a dog sleeps", None)
    # {a, man, sleeps, .} and {a, dog, sleeps}: 2 shared of 5; 4 and 3 words
    assert overlap(row.text1, row.text2 or "") == pytest.approx([2 / 5, 2 / 4, 2 / 3, 3 / 4])
    assert overlap("", "") == [0, 0, 0, 0]


def test_the_development_rows_choose_c(monkeypatch: pytest.MonkeyPatch) -> None:
    task, shots = sentence_task(), Shots(toy_rows(8, seed=1), toy_rows(30, seed=2))
    module = import_module("dawgen.methods.tfidf")  # not the method of the same name
    chosen = run(task, shots).details
    alone = {}
    for strength in REGULARISATION:
        monkeypatch.setattr(module, "REGULARISATION", (strength,))
        details = run(task, shots).details
        alone[strength] = (-details["dev_accuracy"], details["dev_loss"])
    assert len(set(alone.values())) == len(REGULARISATION)
    assert chosen["C"] == min(alone, key=lambda c: alone[c])
    assert chosen["C"] != REGULARISATION[0]


def test_a_label_that_no_row_has_gets_nothing_and_three_labels_are_in_order() -> None:
    card = load_card("sick")
    rows = [Row(f"{label} text", "word", label) for label in card.labels] * 4
    found = run(pair(rows, card), Shots(rows, rows))
    assert accuracy(pair(rows, card), found) == 1
    two = [row for row in rows if row.label != card.labels[1]]
    found = run(pair(rows, card), Shots(two, rows))
    assert (found.probabilities[:, 1] == 0).all()
    assert accuracy(pair(two, card), run(pair(two, card), Shots(two, rows))) == 1


def test_the_seed_enters_by_the_shots_alone() -> None:
    task, shots = sentence_task(), sentence_shots(16)
    one, other = run(task, shots, 13), run(task, shots, 21)
    assert one.probabilities.tobytes() == other.probabilities.tobytes()
    third = run(task, Shots(toy_rows(16, seed=9), shots.dev))
    assert third.probabilities.tobytes() != one.probabilities.tobytes()


def test_nothing_to_learn_from_or_to_label() -> None:
    with pytest.raises(UserError, match="TF-IDF needs rows"):
        run(sentence_task(), Shots([], []))
    empty = Task(sentence_task().card, [], NONE)
    assert run(empty, sentence_shots()).probabilities.shape == (0, 2)
