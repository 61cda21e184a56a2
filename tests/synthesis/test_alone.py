"""What the second text alone tells of the label."""

from __future__ import annotations

import subprocess
import sys

import pytest

from dawgen.streams import Streams
from dawgen.synthesis.alone import LEAST, MOST, of_real_rows, telling_words, text_alone, told_alone
from dawgen.tasks import Row

LABELS = ["x", "y"]
WORDS = ("man", "dog", "cat", "park", "house", "street", "field")


def rows(count: int, mark: dict[str, str]) -> list[Row]:
    """Rows of both labels with the same words; ``mark`` goes at the end of a label's text2."""
    return [
        Row(f"first {i}", f"the {WORDS[i % 7]} {WORDS[i // 7 % 7]}{mark.get(label, '')}", label)
        for i in range(count)
        for label in LABELS
    ]


def test_a_word_that_gives_the_label_away_is_found() -> None:
    found = text_alone(rows(LEAST, {"x": " not"}), LABELS, Streams(13))
    assert found == {
        "accuracy": 1.0,
        "chance": 0.5,
        "rows": 2 * LEAST,
        "by_label": {"x": 1.0, "y": 1.0},
    }


def test_texts_that_say_nothing_of_the_label_give_no_more_than_chance() -> None:
    found = text_alone(rows(200, {}), LABELS, Streams(13))
    assert found is not None
    assert found["accuracy"] <= 0.5


def test_the_first_text_is_not_looked_at() -> None:
    given = [Row(f"{row.label} {row.text1}", row.text2, row.label) for row in rows(60, {})]
    assert text_alone(given, LABELS, Streams(13)) == text_alone(rows(60, {}), LABELS, Streams(13))


def test_labels_are_balanced_and_large_sets_drawn_from() -> None:
    many = rows(MOST, {"x": " not"})
    found = text_alone(many, LABELS, Streams(13))
    assert found is not None
    assert found["rows"] == MOST
    uneven = [row for i, row in enumerate(rows(100, {})) if row.label == "x" or i < 120]
    found = text_alone(uneven, LABELS, Streams(13))
    assert found is not None
    assert found["rows"] == 120


@pytest.mark.parametrize(
    "given",
    [
        rows(LEAST - 1, {}),
        [row for row in rows(LEAST, {}) if row.label == "x"],
        [Row(row.text1, None, row.label) for row in rows(LEAST, {})],
        [],
    ],
    ids=["too few", "one label", "single texts", "none"],
)
def test_nothing_is_said_of_what_cannot_be_measured(given: list[Row]) -> None:
    assert text_alone(given, LABELS, Streams(13)) is None


def test_labelling_rows_does_not_import_scikit_learn() -> None:
    code = (
        "import sys, dawgen.use.predicting, dawgen.use.classifier\n"
        "print([m for m in sys.modules if m.startswith('sklearn')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_rows_whose_words_tell_their_label_have_the_higher_share() -> None:
    telling, plain = rows(40, {"x": " not"}), rows(40, {})
    shares = told_alone([*telling, *plain])
    assert sum(shares[:80]) / 80 > sum(shares[80:]) / 80 + 0.1
    assert all(0 <= share <= 1 for share in shares)


@pytest.mark.parametrize(
    "some", [[], rows(4, {}), rows(40, {})[::2], [Row("a", None, label) for label in LABELS * 9]]
)
def test_few_rows_of_one_label_and_single_texts_tell_nothing(some: list[Row]) -> None:
    assert told_alone(some) == [0.0] * len(some)


def test_either_text_can_be_looked_at() -> None:
    turned = [Row(str(row.text2), row.text1, row.label) for row in rows(LEAST, {"x": " not"})]
    found = text_alone(turned, LABELS, Streams(13), "text1")
    assert found is not None
    assert found["accuracy"] == 1.0


def test_the_word_that_sets_a_label_apart_stands_beside_the_few_shots() -> None:
    labels = ["no", "yes", "maybe"]
    texts = {
        "no": ["not a dog", "not it"],
        "yes": ["a dog", "it is"],
        "maybe": ["a cat", "not a cat"],
    }
    written = [Row("first", text, label) for label, own in texts.items() for text in own] * 10
    shots = [
        Row("a", "not so", "no"),
        Row("b", "so", "no"),
        Row("c", "so", "yes"),
        Row("d", "a", "maybe"),
    ]
    found = telling_words(written, shots, labels)
    assert found is not None
    assert found["no"] == {
        "word": "not",
        "rows": 1.0,
        "elsewhere": 0.25,
        "shots": 0.5,
        "shots_elsewhere": 0.0,
    }
    assert found["maybe"]["word"] == "cat"
    assert telling_words(written, shots, ["no", "other"]).keys() == {"no"}  # type: ignore[union-attr]
    assert telling_words(written[:50], shots, labels) == {}


def test_single_texts_have_no_telling_words() -> None:
    single = [Row("a", None, "x"), Row("b", None, "y")]
    assert telling_words(single, single, LABELS) is None


def test_figures_of_real_rows_are_those_of_shipped_tasks() -> None:
    known = of_real_rows("sick")
    assert known is not None
    assert 0.33 < known["text2_alone"] < 0.5
    assert of_real_rows("a task of the user's") is None
