"""Text-to-text: the texts joined, the label whose whole name is likeliest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from dawgen.backbone import Backbone
from dawgen.methods import Task
from dawgen.methods.fine_tuning import fine_tuning, name_ids, name_losses, without_template
from dawgen.streams import Streams
from dawgen.tasks import Row, Shots, TaskCard
from tests.methods.small import (
    MODELS,
    pair_card,
    pair_rows,
    pair_shots,
    reference,
    short_rows,
    small_settings,
)
from tests.tuning.toy import toy_card

FINE = "methods.fine_tuning"


def polite_card() -> TaskCard:
    """Label names of which one starts with the other."""
    names = {"labels": ["yes", "yes sir"], "label_words": {"yes": "yes", "yes sir": "no"}}
    return toy_card().model_copy(update=names)


def polite_rows(count: int, seed: int) -> list[Row]:
    return short_rows(count, seed, polite_card().labels)


def joined(backbone: Backbone, row: Row) -> str:
    """What the method says that the model reads, in words of its own."""
    if not backbone.is_encoder_decoder:
        return f"{row.text1}\n{row.text2}\n" if row.text2 else f"{row.text1}\n"
    mark = backbone.tokenizer.eos_token
    return f"{row.text1} {mark} {row.text2}" if row.text2 else row.text1


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("kind", ["pair", "prefix"])
def test_names_are_scored_as_by_hand(name: str, kind: str, request: pytest.FixtureRequest) -> None:
    """After one step of no length the scores are the untouched model's."""
    backbone: Backbone = request.getfixturevalue(name)
    if kind == "pair":
        card, rows, shots = pair_card(), pair_rows(5, seed=4), pair_shots(2)
    else:
        card, rows = polite_card(), polite_rows(5, seed=4)
        shots = Shots(polite_rows(2, seed=1), polite_rows(2, seed=2))
    settings = small_settings(f"{FINE}.steps=1", f"{FINE}.learning_rate=1e-30")
    task = Task(card, rows, Path("unused"))
    found = fine_tuning(task, shots, backbone, settings, Streams(13)).probabilities
    end = backbone.tokenizer.eos_token
    expected = np.stack(
        [reference(backbone, joined(backbone, row), card.labels, end).numpy() for row in rows]
    )
    np.testing.assert_allclose(np.log(found), np.log(expected), atol=1e-3)
    without_end = [reference(backbone, joined(backbone, row), card.labels).numpy() for row in rows]
    assert np.abs(np.log(found) - np.log(without_end)).max() > 0.01


@pytest.mark.parametrize("name", MODELS)
def test_the_loss_is_the_own_names_log_probability(
    name: str, request: pytest.FixtureRequest
) -> None:
    backbone: Backbone = request.getfixturevalue(name)
    card, rows = without_template(pair_card(), backbone), pair_rows(4, seed=4)
    names, none = name_ids(card, backbone), torch.zeros(4, 0, backbone.hidden_size)
    ids = backbone.encode_rows(card, rows, 20)
    labels = torch.tensor([card.label_index(str(row.label)) for row in rows])
    targets = torch.nn.functional.one_hot(labels, 2).float()
    found = name_losses(backbone, none, ids, targets, names)
    scores = backbone.label_scores(None, ids, names)
    torch.testing.assert_close(found, -scores[torch.arange(4), labels], atol=1e-4, rtol=1e-4)
    assert labels.tolist() == [0, 1, 0, 1]


def test_the_longer_of_two_names_can_win(tiny_bart: Backbone) -> None:
    shots = Shots(polite_rows(8, seed=1), polite_rows(8, seed=2))
    rows = polite_rows(20, seed=7)
    settings = small_settings(
        f"{FINE}.optimizer=adamw",
        f"{FINE}.learning_rate=0.01",
        f"{FINE}.steps=16",
        f"{FINE}.eval_every=4",
        f"{FINE}.batch_size=8",
    )
    task = Task(polite_card(), rows, Path("unused"))
    found = fine_tuning(task, shots, tiny_bart, settings, Streams(13)).probabilities
    gold = [polite_card().label_index(str(row.label)) for row in rows]
    assert (found.argmax(axis=1) == gold).mean() >= 0.9


@pytest.mark.parametrize("name", ["tiny_bart", "tiny_gpt2"])
def test_long_texts_are_cut_and_leave_room_for_the_name(
    name: str, request: pytest.FixtureRequest
) -> None:
    backbone: Backbone = request.getfixturevalue(name)
    rows = [Row("the dog " * 200, "a man " * 200, None)]
    settings = small_settings(f"{FINE}.steps=1")
    task = Task(pair_card(), rows, Path("unused"))
    found = fine_tuning(task, pair_shots(2), backbone, settings, Streams(13)).probabilities
    assert np.isfinite(found).all()
    card = without_template(pair_card(), backbone)
    room = 0 if backbone.is_encoder_decoder else max(map(len, name_ids(card, backbone)))
    (ids,) = backbone.encode_rows(card, rows, room)
    assert len(ids) + room <= backbone.max_length
