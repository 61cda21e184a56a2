"""A head that teaches itself, and what it must not have seen."""

from __future__ import annotations

import numpy as np

from dawgen.selection.features import TextVectors
from dawgen.selection.heads import Recipe, Training, cross_validate, label_numbers
from dawgen.selection.teaching import MOST_TEXTS, SelfTraining
from dawgen.tasks import Row
from tests.tuning.toy import toy_card

LABELS = ("positive", "negative")


def recipe(width: int) -> Recipe:
    """Texts that are numbers, each a vector of its own."""

    def encode(texts):
        return np.stack([np.random.default_rng(int(t)).normal(size=width) for t in texts])

    vectors = TextVectors(lambda texts: encode(texts).astype(np.float32), is_pair=False)
    return Recipe(lambda rows: vectors)


def test_held_out_rows_are_hidden_from_the_teacher_too() -> None:
    """The texts to label are the rows themselves, whose labels nothing tells: a teacher that had
    seen the held-out ones would hand them to the second head."""
    rows = [Row(str(n), None, LABELS[n % 2]) for n in range(40)]
    gold, chosen = label_numbers(toy_card(), rows), recipe(60)
    taught = SelfTraining(chosen, rows)
    held_out = cross_validate(chosen, toy_card(), rows, seed=1, fit=taught).held_out
    assert (held_out.argmax(axis=1) == gold).mean() < 0.7
    whole = Training.of(chosen, toy_card(), rows)
    known = taught(whole, 100.0).probabilities(whole.matrix)
    assert (known.argmax(axis=1) == gold).mean() == 1


def test_texts_move_the_head_and_weigh_no_more_than_the_rows() -> None:
    rows = [Row(str(n), None, LABELS[n % 2]) for n in range(8)]
    chosen = recipe(5)
    training = Training.of(chosen, toy_card(), rows)
    alone = training.head(1.0)
    taught = SelfTraining(chosen, [Row(str(n), None, None) for n in range(100, 200)])(training, 1.0)
    assert np.abs(taught.weight - alone.weight).max() > 0.01
    many = SelfTraining(chosen, [Row(str(n), None, None) for n in range(MOST_TEXTS + 50)])
    assert many.texts == MOST_TEXTS
