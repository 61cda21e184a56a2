"""Rows in memory are read as the same rows of a file are."""

from __future__ import annotations

from typing import Any

import datasets
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from dawgen.errors import UserError
from dawgen.tasks import Row, load_rows, new_card, parse_card
from dawgen.tasks.in_memory import as_table

CARD = parse_card(
    'columns: {text1: comment, label: mood}\nlabels: [up, down]\ntemplate: "{text1} mood:"\n'
    "label_words: {up: good, down: bad}",
    "card",
    "moods",
)
PAIRS = parse_card(
    "columns: {text1: a, text2: b, label: verdict}\nlabels: ['0', '1']\n"
    "template: '{text1} {text2}'\nlabel_words: {'0': 'no', '1': 'yes'}",
    "card",
    "pairs",
)
RECORDS = [{"comment": "so good", "mood": "up"}, {"comment": "so sad", "mood": "down"}]
ROWS = [Row("so good", None, "up"), Row("so sad", None, "down")]
TUPLES = [("so good", "up"), ("so sad", "down")]


@pytest.mark.parametrize(
    "source",
    [
        RECORDS,
        TUPLES,
        zip(*zip(*TUPLES, strict=True), strict=True),
        ROWS,
        np.array(TUPLES),
        {"comment": ["so good", "so sad"], "mood": ["up", "down"]},
        pd.DataFrame(RECORDS, index=[7, 9]),
        pa.Table.from_pylist(RECORDS),
        datasets.Dataset.from_list(RECORDS),
    ],
    ids=lambda source: type(source).__name__,
)
def test_every_form_gives_the_same_rows(source: Any) -> None:
    assert load_rows(CARD, source) == ROWS


def test_pairs_and_numbers() -> None:
    wanted = [Row("x", "y", "1"), Row("p", "q", "0")]
    assert load_rows(PAIRS, [("x", "y", 1), ("p", "q", np.int64(0))]) == wanted
    frame = pd.DataFrame({"verdict": [1.0, 0.0], "b": ["y", "q"], "a": ["x", "p"]})
    assert load_rows(PAIRS, frame) == wanted


def test_class_names_of_a_data_set_are_read() -> None:
    features = datasets.Features(
        {"comment": datasets.Value("string"), "mood": datasets.ClassLabel(names=["down", "up"])}
    )
    data = datasets.Dataset.from_dict({"comment": ["a", "b"], "mood": [1, 0]}, features=features)
    assert [row.label for row in load_rows(CARD, data)] == ["up", "down"]
    assert new_card(data).card.labels == ["down", "up"]


@pytest.mark.parametrize("missing", [None, float("nan"), pd.NA, pd.NaT, "  "])
def test_a_missing_text_names_its_row(missing: Any) -> None:
    records = [*RECORDS, {"comment": missing, "mood": "up"}]
    for source in (records, pd.DataFrame(records)):
        with pytest.raises(UserError, match="test, row 3: column 'comment' is empty"):
            load_rows(CARD, source, split="test")
    assert len(load_rows(CARD, records, skip_empty=True)) == 2


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ([], "train has no rows"),
        (pd.DataFrame(RECORDS)[:0], "train has no rows"),
        (7, "train is of type int; rows in memory are a list"),
        (["so good"], r"train, row 1: a row must be a dictionary or a tuple of \(comment, mood\)"),
        ([("so good", "up", "x")], "train, row 1: a row must be"),
        ({"comment": ["a", "b"], "mood": ["up"]}, "not of columns of one length"),
        ({"comment": "ab", "mood": ["up"]}, "not of columns of one length"),
        (pd.DataFrame([["a", "b"]], columns=["mood", "mood"]), "two columns of the same name"),
        ([{"text": "a", "label": "up"}], "train has no column 'mood'"),
        ([("so good", "upp")], "train, row 1: unknown label 'upp'"),
        (
            datasets.DatasetDict({"dev": datasets.Dataset.from_list(RECORDS)}),
            "train has several splits .'dev'.; pass one of them",
        ),
    ],
)
def test_what_is_wrong_is_named(source: Any, words: str) -> None:
    with pytest.raises(UserError, match=words):
        load_rows(CARD, source)


def test_a_card_of_rows_in_memory() -> None:
    rows = [("I liked it a lot", "pos"), ("I did not like it", "neg")] * 3
    made = new_card(rows)
    assert made.card.columns == {"text1": "text", "label": "label"}
    assert made.card.name == "my-task"
    assert new_card(rows, name="films").card.name == "films"
    assert load_rows(made.card, rows)[0] == Row("I liked it a lot", None, "pos")


def test_tuples_have_usual_names_where_no_card_names_them() -> None:
    assert as_table([("a", "b", 1)], "train").columns == ["text1", "text2", "label"]
