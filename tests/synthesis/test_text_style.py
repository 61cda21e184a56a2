"""Sentences of a packaged corpus begin and end as the task's own texts do."""

from __future__ import annotations

import pytest

from dawgen.synthesis.sources import usable_sentences
from dawgen.synthesis.text_style import TextStyle
from dawgen.tasks import Row


@pytest.mark.parametrize(
    ("texts", "style"),
    [
        (["A dog runs.", "Two men sit."], TextStyle(capital=True, lower=False, stop=True)),
        (["A dog runs", "Two men sit"], TextStyle(capital=True, lower=False, stop=False)),
        (["a dog runs .", "two men sit ."], TextStyle(capital=False, lower=True, stop=True)),
        (["a dog of Anna runs.", "Two men sit"], TextStyle(capital=None, lower=False, stop=None)),
        (["Why?", "Who is it?"], TextStyle(capital=True, lower=False, stop=None)),  # no statement
        (["3 dogs.", "漢字."], TextStyle(capital=None, lower=True, stop=True)),  # no first letter
        ([], TextStyle()),
    ],
)
def test_style_by_hand(texts: list[str], style: TextStyle) -> None:
    assert TextStyle.of(texts) == style


def test_four_in_five_decide() -> None:
    texts = ["A dog runs."] * 4
    assert TextStyle.of([*texts, "a cat"]) == TextStyle(capital=True, lower=False, stop=True)
    assert TextStyle.of([*texts, "a cat", "a cow"]) == TextStyle()


@pytest.mark.parametrize(
    ("style", "text", "styled"),
    [
        (TextStyle(capital=True, stop=True), "a man in U.S. uniform", "A man in U.S. uniform."),
        (TextStyle(capital=True, stop=True), "a man says hello!", "A man says hello!"),
        (TextStyle(capital=True, stop=False), "a man runs .", "A man runs"),
        (TextStyle(stop=False), "a man in the U.S.", "a man in the U.S."),  # no full stop
        (TextStyle(lower=True, capital=False), "In 2005 Anna ran.", "in 2005 anna ran."),
        (TextStyle(capital=False), "Anna ran.", "Anna ran."),  # names keep theirs
        (TextStyle(), "a Man.", "a Man."),
    ],
)
def test_applied_by_hand(style: TextStyle, text: str, styled: str) -> None:
    assert style.apply(text) == styled


def test_a_packaged_corpus_is_styled_and_a_file_is_not(pair_card, tmp_path) -> None:
    shots = [Row("A dog runs fast", "b", "follows"), Row("Two men sit here", "b", "follows")]
    captions = usable_sentences("captions", pair_card, shots, "any")
    assert all(each.text[0].isupper() or not each.text[0].isalpha() for each in captions)
    assert not any(each.text.endswith(".") and each.text.count(".") == 1 for each in captions)
    file = tmp_path / "mine.txt"
    file.write_text("a man runs home.\n")
    assert [each.text for each in usable_sentences(str(file), pair_card, shots, "any")] == [
        "a man runs home."
    ]
