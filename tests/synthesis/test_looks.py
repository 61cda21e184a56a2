"""Sentences of a packaged corpus begin and end as the task's own texts do."""

from __future__ import annotations

import pytest

from dawgen.synthesis.looks import Looks
from dawgen.synthesis.sources import usable_sentences
from dawgen.tasks import Row


@pytest.mark.parametrize(
    ("texts", "looks"),
    [
        (["A dog runs.", "Two men sit."], Looks(capital=True, lower=False, stop=True)),
        (["A dog runs", "Two men sit"], Looks(capital=True, lower=False, stop=False)),
        (["a dog runs .", "two men sit ."], Looks(capital=False, lower=True, stop=True)),
        (["a dog of Anna runs.", "Two men sit"], Looks(capital=None, lower=False, stop=None)),
        (["Why?", "Who is it?"], Looks(capital=True, lower=False, stop=None)),  # no statement
        (["3 dogs.", "漢字."], Looks(capital=None, lower=True, stop=True)),  # no first letter
        ([], Looks()),
    ],
)
def test_looks_by_hand(texts: list[str], looks: Looks) -> None:
    assert Looks.of(texts) == looks


def test_four_in_five_decide() -> None:
    texts = ["A dog runs."] * 4
    assert Looks.of([*texts, "a cat"]) == Looks(capital=True, lower=False, stop=True)
    assert Looks.of([*texts, "a cat", "a cow"]) == Looks()


@pytest.mark.parametrize(
    ("looks", "text", "dressed"),
    [
        (Looks(capital=True, stop=True), "a man in U.S. uniform", "A man in U.S. uniform."),
        (Looks(capital=True, stop=True), "a man says hello!", "A man says hello!"),
        (Looks(capital=True, stop=False), "a man runs .", "A man runs"),
        (Looks(stop=False), "a man in the U.S.", "a man in the U.S."),  # no full stop
        (Looks(lower=True, capital=False), "In 2005 Anna ran.", "in 2005 anna ran."),
        (Looks(capital=False), "Anna ran.", "Anna ran."),  # names keep theirs
        (Looks(), "a Man.", "a Man."),
    ],
)
def test_dressed_by_hand(looks: Looks, text: str, dressed: str) -> None:
    assert looks.dressed(text) == dressed


def test_a_packaged_corpus_is_dressed_and_a_file_is_not(pair_card, tmp_path) -> None:
    shots = [Row("A dog runs fast", "b", "follows"), Row("Two men sit here", "b", "follows")]
    captions = usable_sentences("captions", pair_card, shots, "any")
    assert all(each.text[0].isupper() or not each.text[0].isalpha() for each in captions)
    assert not any(each.text.endswith(".") and each.text.count(".") == 1 for each in captions)
    file = tmp_path / "mine.txt"
    file.write_text("a man runs home.\n")
    assert [each.text for each in usable_sentences(str(file), pair_card, shots, "any")] == [
        "a man runs home."
    ]
