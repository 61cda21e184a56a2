"""Texts and labels as Python callers hold them: read as they are meant, or refused in words."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from dawgen.errors import UserError
from dawgen.tasks.texts import as_labels, as_texts

ONE = [("a b",), ("c d",)]
TWO = [("a b", "c"), ("c d", "e")]
FRAME = pd.DataFrame({"text": ["a b", "c d"], "other": ["c", "e"]}, index=[7, 3])


@pytest.mark.parametrize(
    ("values", "rows"),
    [
        (["a b", " c d\n"], ONE),
        (("a b", "c d"), ONE),
        (iter(["a b", "c d"]), ONE),
        ([["a b"], ("c d",)], ONE),
        (np.array(["a b", "c d"]), ONE),
        (np.array([["a b"], ["c d"]], dtype=object), ONE),
        (FRAME["text"], ONE),
        (FRAME["text"].astype("category"), ONE),
        (FRAME["text"].astype("string"), ONE),
        (FRAME[["text"]], ONE),
        (pa.array(["a b", "c d"]), ONE),
        (pa.table({"text": ["a b", "c d"]}), ONE),
        (TWO, TWO),
        (np.array(TWO), TWO),
        ([np.array(pair) for pair in TWO], TWO),
        (FRAME, TWO),
        (pa.table({"text": ["a b", "c d"], "other": ["c", "e"]}), TWO),
        ([], []),
        (FRAME[["text"]].head(0), []),
    ],
)
def test_texts_are_read_as_they_are_meant(values: Any, rows: list[tuple[str, ...]]) -> None:
    assert as_texts(values) == rows


def test_a_frame_is_read_by_the_names_of_its_columns_where_it_has_them() -> None:
    wide = FRAME[["other", "text"]].assign(id=[1, 2])
    assert as_texts(wide, columns=["text", "other"]) == TWO
    assert as_texts(wide, columns=["text"], width=1) == ONE
    assert as_texts(FRAME, columns=["premise", "hypothesis"]) == TWO


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ("one string", r"a single one: pass \[x\] instead of x"),
        (b"bytes", r"a single one: pass \[x\]"),
        (np.array("one string"), r"a single one: pass \[x\]"),
        (None, "of type NoneType"),
        (3, "of type int"),
        ({"text": ["a", "b"]}, "of type dict"),
        ({"a", "b"}, "of type set"),
        (["a", None], r"row 2: the text is missing \(None\)"),
        (["a", float("nan")], r"row 2: the text is missing \(nan\)"),
        (["a", np.float32("nan")], r"row 2: the text is missing \(nan\)"),
        (["a", pd.NA], r"row 2: the text is missing \(<NA>\)"),
        (["a", pd.NaT], r"row 2: the text is missing \(NaT\)"),
        (["a", Decimal("nan")], "row 2: the text is missing"),
        (pd.Series(["a", np.nan]), "row 2: the text is missing"),
        (pd.Series(["a", None], dtype="string"), "row 2: the text is missing"),
        (pd.DataFrame({"a": ["b"], "c": [None]}), "row 1: the text is missing"),
        (pa.array(["a", None]), "row 2: the text is missing"),
        ([("a", "b"), ("c", np.nan)], "row 2: the text is missing"),
        (["a", "  "], "row 2: the text is empty"),
        (["a", "\ud83d"], "row 2: the text holds half of a character"),
        (["a", "b\x00"], "row 2: the text holds a null character"),
        (["a", ("b", "c")], "row 2: a row must be one text, or a pair of texts, as all others"),
        ([("b", "c"), "a"], "row 2: a row must be a pair of texts"),
        (["a", 5], "row 2: a row must be one text"),
        (["a", b"b"], "row 2: a row must be one text"),
        ([{"text": "a"}], "row 1: a row must be one text"),
        ([("a", "b", "c")], "row 1: a row must be one text"),
        ([[]], "row 1: a row must be one text"),
        ([[1.0, 2.0]], "row 1: a row must be a pair of texts"),
        (FRAME.assign(id=1), "has the columns text, other, id; pass one column"),
        (pd.DataFrame([["a", "b"]], columns=["x", "x"]), "has the columns x, x"),
        (pd.DataFrame(), r"has the columns \(none\)"),
    ],
)
def test_what_is_no_text_is_refused_in_words(values: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence) as caught:
        as_texts(values)
    assert isinstance(caught.value, UserError)


@pytest.mark.parametrize(
    "values",
    [
        ["p", "n"],
        pd.Series(["p", "n"], index=[5, 2]),
        pd.Series(["p", "n"], dtype="category"),
        pd.DataFrame({"label": ["p", "n"]}),
        np.array([["p"], ["n"]]),
        [["p"], ["n"]],
        pa.array(["p", "n"]),
    ],
)
def test_labels_are_read_as_they_are_meant(values: Any) -> None:
    assert as_labels(values, 2).tolist() == ["p", "n"]


def test_numbers_and_truth_values_keep_their_type() -> None:
    assert as_labels(np.array([1, 0], dtype=np.int8), 2).dtype == np.int8
    assert as_labels([1, 2.5], 2).tolist() == [1.0, 2.5]
    assert as_labels([True, np.False_], 2).dtype == bool
    assert as_labels(pd.Series([1, 2], dtype="Int64"), 2).tolist() == [1, 2]


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (None, "Labels must be a list"),
        ("pn", r"pass \[x\] instead of x"),
        (["p"], "2 rows, but 1 labels"),
        (["p", None], r"row 2: the label is missing \(None\)"),
        (["p", np.nan], r"row 2: the label is missing \(nan\)"),
        (pd.Series(["p", np.nan]), "row 2: the label is missing"),
        (pd.Series([1, pd.NA], dtype="Int64"), "row 2: the label is missing"),
        (np.array([1.0, np.nan]), "row 2: the label is missing"),
        (["p", " "], "row 2: the label is empty"),
        (["p", 1], r"several kinds \(numbers and strings\)"),
        ([True, 1], r"several kinds \(booleans and numbers\)"),
        (np.array(["p", 1], dtype=object), "several kinds"),
        ([("p", "n"), ("n", "p")], "row 1: the label is of type tuple"),
        (np.array([["p", "n"], ["n", "p"]]), "row 1: the label is of type list"),
        ([b"p", b"n"], "row 1: the label is of type bytes"),
        (FRAME, "this data frame has 2"),
    ],
)
def test_what_is_no_label_is_refused_in_words(values: Any, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        as_labels(values, 2)
