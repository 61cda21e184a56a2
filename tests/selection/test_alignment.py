"""How the words of two texts match: by hand, and by the encoder's own states."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from dawgen.errors import UserError
from dawgen.selection.alignment import NUMBERS, Alignment, ReadPairs, Tokens, Vectors, aligned
from dawgen.selection.encoder import SentenceEncoder
from dawgen.selection.select import wanted
from dawgen.settings.selection import SelectionSettings
from dawgen.tasks import Row
from tests.methods.small import pair_card
from tests.tuning.toy import toy_card

TEXTS = ["the dog sleeps", "a", "two old men eat in the park near a very old house and it is cold"]


def test_the_numbers_of_a_pair_worked_by_hand() -> None:
    """Tokens of two units: 7 and 8 are at right angles, the second text has 8 twice and a 9 that
    lies between them."""
    half = 0.5**0.5
    first = Tokens([7, 8], np.array([[1, 0], [0, 1]], np.float32))
    second = Tokens([8, 8, 9], np.array([[0, 1], [0, 1], [half, half]], np.float32))
    found = aligned(first, second, 0.25)
    assert len(found) == NUMBERS
    theirs = [(1 + 1 + half) / 3, half]  # best matches 1, 1 and √½
    ours = [(half + 1) / 2, half]  # 7 finds only the 9, and 8 the 8
    shares = [1 / 2, 1 / 2]  # of {8, 9}, of {7, 8}
    lengths = [np.log(2), np.log(3), np.log(3 / 2)]
    np.testing.assert_allclose(found, [*theirs, *ours, *shares, *lengths, 0.25], rtol=1e-6)


def test_a_text_and_itself_match_in_all() -> None:
    states = np.eye(3, dtype=np.float32)
    found = aligned(Tokens([1, 2, 3], states), Tokens([1, 2, 3], states), 1.0)
    np.testing.assert_allclose(found, [1, 1, 1, 1, 1, 1, np.log(3), np.log(3), 0, 1], rtol=1e-6)


@torch.no_grad()
def test_tokens_are_the_encoders_own_without_what_is_put_around(encoder_folder: Path) -> None:
    """Whatever other texts are read beside one."""
    encoder = SentenceEncoder(str(encoder_folder), "cpu")
    vectors, words = encoder.read_words(TEXTS)
    np.testing.assert_allclose(vectors, encoder(TEXTS), atol=1e-6)
    tokenizer = AutoTokenizer.from_pretrained(encoder_folder)
    model = AutoModel.from_pretrained(encoder_folder).eval()
    for text, own in zip(TEXTS, words, strict=True):
        inputs = tokenizer(text, truncation=True, max_length=12, return_tensors="pt")
        states = model(**inputs).last_hidden_state[0, 1:-1]
        assert own.ids == inputs["input_ids"][0, 1:-1].tolist()
        expected = states / states.norm(dim=1, keepdim=True)
        np.testing.assert_allclose(own.states, expected.numpy(), atol=1e-5)


def test_texts_without_a_word_and_long_ones_have_numbers(encoder_folder: Path) -> None:
    features = Alignment(SentenceEncoder(str(encoder_folder), "cpu").pairs)
    rows = [Row("", "", None), Row("the dog", "", None), Row("", "a " * 400, None)]
    found = features.of(rows)
    assert found.shape == (3, NUMBERS)
    assert np.isfinite(found).all()


class Counting:
    """An encoder of random words that counts the texts it reads."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def __call__(self, texts: Sequence[str]) -> Vectors:
        return self.read_words(texts)[0]

    def read_words(self, texts: Sequence[str]) -> tuple[Vectors, list[Tokens]]:
        self.seen += texts
        states = [np.eye(4, dtype=np.float32)[: 1 + len(text) % 4] for text in texts]
        vectors = np.stack([each.sum(axis=0) / len(each) ** 0.5 for each in states])
        words = [Tokens(list(range(len(each))), each) for each in states]
        return vectors, words


def test_a_text_is_read_once_for_vectors_and_words(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = Counting()
    read = ReadPairs(encoder)
    pairs = [("a", "bb"), ("a", "bb"), ("bb", "a")]
    found = read.numbers(pairs)
    assert sorted(encoder.seen) == ["a", "bb"]
    assert (found[0] == found[1]).all()
    assert (found[0] != found[2]).any()
    read(["a", "bb"])
    read.numbers(pairs)
    assert len(encoder.seen) == 2


def test_what_is_not_asked_for_is_forgotten_where_there_is_too_much() -> None:
    """And what a request has read is still there for the rest of it."""
    encoder = Counting()
    read = ReadPairs(encoder, most=3)
    old, new = [("a", "bb")], [("ccc", "dddd"), ("a", "ccc")]
    before = read.numbers(old)
    read.numbers(new)
    read([text for pair in new for text in pair])
    assert encoder.seen == ["a", "bb", "ccc", "dddd", "a"]  # "a" twice, for the words of its pair
    np.testing.assert_array_equal(read.numbers(old), before)
    assert encoder.seen[5:] == ["a", "bb"]


def test_single_texts_have_no_alignment() -> None:
    names = wanted(SelectionSettings(candidates=["alignment", "tfidf"]), toy_card())
    assert names == ["tfidf"]
    assert "alignment" in wanted(SelectionSettings(candidates="all"), pair_card())
    with pytest.raises(UserError, match=r"alignment in selection\.candidates is for tasks of two"):
        wanted(SelectionSettings(candidates=["alignment"]), toy_card())
