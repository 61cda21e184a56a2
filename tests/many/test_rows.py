"""Cells of several labels, and rows that cannot be learned from."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dawgen.errors import UserError
from dawgen.many.rows import ManyRow, check_many, distinct, gold_of, load_many, names_of
from dawgen.tasks import Row, TaskCard, load_rows, parse_card

CARD = """\
name: mail
columns: {text1: text, label: tags}
labels: [urgent, "bill, paid", spam]
template: "{text1} It is"
label_words: {urgent: urgent, "bill, paid": bill, spam: spam}
labels_per_text: many
"""


def card() -> TaskCard:
    return parse_card(CARD, "card")


@pytest.mark.parametrize(
    ("cell", "labels"),
    [
        (["urgent", "spam"], {"urgent", "spam"}),
        ('["urgent", "bill, paid"]', {"urgent", "bill, paid"}),
        ("urgent | spam", {"urgent", "spam"}),
        ("spam;urgent", {"urgent", "spam"}),
        ("spam, urgent", {"urgent", "spam"}),
        ("bill, paid", {"bill, paid"}),
        ([0, 2], {"urgent", "spam"}),
        ("", set()),
        ([], set()),
        (None, set()),
    ],
)
def test_a_cell_holds_a_list_or_labels_with_a_mark_between(
    cell: object, labels: set[str], tmp_path: Path
) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps({"text": "pay", "tags": cell}) + "\n")
    assert load_many(card(), file) == [ManyRow(Row("pay", None, None), frozenset(labels))]


def test_an_unknown_label_is_named_with_its_row(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("text,tags\na,urgent\nb,urgent|late\n")
    with pytest.raises(UserError, match=r"row 2: 'late' in column 'tags' is no label"):
        load_many(card(), file)


def test_what_tunes_or_writes_refuses_such_a_card(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("text,tags\na,urgent\n")
    with pytest.raises(UserError, match="several labels"):
        load_rows(card(), file)
    one = card().model_copy(update={"labels_per_text": "one"})
    (tmp_path / "rows.jsonl").write_text('{"text": "a", "tags": ["urgent"]}\n')
    with pytest.raises(UserError, match="labels_per_text: many"):
        load_rows(one, tmp_path / "rows.jsonl")


def test_a_label_with_a_mark_in_it_is_refused() -> None:
    with pytest.raises(UserError, match=r"labels cannot contain \|"):
        parse_card(CARD.replace('"bill, paid"', '"bill|paid"'), "card")


def rows(*labels: str) -> list[ManyRow]:
    return [
        ManyRow(Row(f"text {n}", None, None), frozenset(found.split()))
        for n, found in enumerate(labels)
    ]


def test_each_label_needs_rows_with_and_rows_without() -> None:
    two = card().model_copy(update={"labels": ["urgent", "spam"]})
    check_many(two, rows(*["urgent"] * 4, *["spam"] * 4), "file")
    with pytest.raises(UserError, match="3 different rows with the label 'spam'"):
        check_many(two, rows(*["urgent"] * 4, *["spam"] * 3, ""), "file")
    with pytest.raises(UserError, match="0 different rows without the label 'urgent'"):
        check_many(two, rows(*["urgent spam"] * 4, *["urgent"] * 4), "file")


def test_labels_are_written_in_the_cards_order_and_read_back() -> None:
    found = rows("spam urgent", "", "spam")
    gold = gold_of(card(), found)
    np.testing.assert_array_equal(gold, [[1, 0, 1], [0, 0, 0], [0, 0, 1]])
    assert names_of(card(), gold) == ["urgent|spam", "", "spam"]
    assert distinct([*found, ManyRow(Row("TEXT  0", None, None), frozenset())]) == found
