"""Backbones whose random texts end by themselves, and few shots to go with them."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import pytest
import torch

from dawgen.backbone import Backbone
from dawgen.settings import SynthesisSettings
from dawgen.tasks import Row, TaskCard


@pytest.fixture(scope="package", autouse=True)
def one_thread() -> Iterator[None]:
    """Models of 32 units gain nothing from more, and lose much on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def writer(tiny_bart: Backbone) -> Backbone:
    """The random BART with a bias towards the end mark, so that texts are some words long."""
    model = copy.deepcopy(tiny_bart.model)
    model.final_logits_bias[0, tiny_bart.end_id] = 4.0
    return Backbone(
        model, tiny_bart.tokenizer, name="tests/writer", fingerprint="writer", max_length=128
    )


@pytest.fixture(scope="session")
def pair_card() -> TaskCard:
    return TaskCard(
        name="pairs",
        description="Does the second sentence follow?",
        columns={"text1": "text1", "text2": "text2", "label": "label"},
        labels=["follows", "does_not"],
        template="premise: {text1} hypothesis: {text2} answer:",
        label_words={"follows": "yes", "does_not": "no"},
    )


@pytest.fixture(scope="session")
def single_card() -> TaskCard:
    return TaskCard(
        name="mood",
        columns={"text1": "text1", "label": "label"},
        labels=["good", "bad"],
        template="review: {text1} sentiment:",
        label_words={"good": "great", "bad": "terrible"},
    )


@pytest.fixture(scope="session")
def pair_shots() -> list[Row]:
    return [
        Row("a man runs in the park", "a man is outside", "follows"),
        Row("the dog sleeps", "the dog sleeps under the old house and eats", "follows"),
        Row("two children play", "the children are inside near a blue street", "does_not"),
        Row("a cat eats", "no cat", "does_not"),
    ]


@pytest.fixture(scope="session")
def single_shots() -> list[Row]:
    return [
        Row("a great film", None, "good"),
        Row("the film is very good and funny", None, "good"),
        Row("boring", None, "bad"),
        Row("it is a bad film with no people", None, "bad"),
    ]


@pytest.fixture(scope="session")
def settings() -> SynthesisSettings:
    """Small and quick: 8 rows a label in shards of 5, rejected rows beside them."""
    return SynthesisSettings(
        rows_per_label=8,
        first_sentences="few-shots",
        batch_size=128,
        top_k=0,
        max_new_tokens=16,
        max_attempts_factor=20,
        shard_rows=5,
        keep_rejected=True,
    )
