"""Texts without labels, from tables and text files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dawgen.errors import UserError
from dawgen.tasks import Row, TaskCard
from dawgen.tasks.unlabelled import load_unlabelled
from tests.methods.small import pair_card
from tests.tuning.toy import toy_card


def write(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_table_gives_rows_without_their_labels_and_first_sentences(tmp_path: Path) -> None:
    card = toy_card()
    column, label = card.columns["text1"], card.columns["label"]
    file = write(
        tmp_path / "texts.jsonl",
        [{column: "a good film", label: "no such label"}, {column: " "}, {column: "a dog"}],
    )
    found = load_unlabelled(card, file)
    assert found.rows == [Row("a good film", None, None), Row("a dog", None, None)]
    assert found.first_sentences == f"{file}#{column}"


def test_rows_that_are_labelled_or_twice_there_are_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "texts.txt"
    file.write_text("A dog .\n\nthe cat\nThe  cat\nnew\n")
    found = load_unlabelled(toy_card(), file, [Row("a dog.", None, "positive")])
    assert [row.text1 for row in found.rows] == ["the cat", "new"]
    assert "1 of its 4 rows are labelled or test rows; left out" in capsys.readouterr().err
    assert found.first_sentences == str(file)


def test_first_texts_alone_are_no_rows_of_a_pair_task(tmp_path: Path) -> None:
    card: TaskCard = pair_card()
    first, second = card.columns["text1"], card.columns["text2"]
    alone = load_unlabelled(card, write(tmp_path / "a.jsonl", [{first: "a dog"}]))
    assert alone.rows == []
    assert alone.first_sentences.endswith(f"a.jsonl#{first}")
    both = load_unlabelled(card, write(tmp_path / "b.jsonl", [{first: "a dog", second: "a cat"}]))
    assert both.rows == [Row("a dog", "a cat", None)]
    (tmp_path / "c.txt").write_text("a dog\n")
    assert load_unlabelled(card, tmp_path / "c.txt").rows == []


def test_what_is_wrong_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere\.txt cannot be read"):
        load_unlabelled(toy_card(), tmp_path / "nowhere.txt")
    (tmp_path / "latin.txt").write_bytes("schön".encode("latin-1"))
    with pytest.raises(UserError, match=r"latin\.txt is not text in UTF-8"):
        load_unlabelled(toy_card(), tmp_path / "latin.txt")
    (tmp_path / "empty.txt").write_text(" \n\n")
    with pytest.raises(UserError, match=r"empty\.txt has no texts"):
        load_unlabelled(toy_card(), tmp_path / "empty.txt")
    with pytest.raises(UserError, match=r"has no column .* which the card reads text1 from"):
        load_unlabelled(toy_card(), write(tmp_path / "other.jsonl", [{"title": "a"}]))
