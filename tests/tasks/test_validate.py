"""A card shown at work."""

from __future__ import annotations

from pathlib import Path

from dawgen.tasks import Row, example_rows, load_card, render_card


def test_a_row_of_every_label_is_rendered(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_text("text1,label\nfine,positive\ngood,positive\npoor,negative\n")
    card = load_card("sst2")
    rows = example_rows(card, str(path))
    assert rows == [Row("fine", None, "positive"), Row("poor", None, "negative")]
    lines = render_card(card, rows)
    assert "the model reads:  review: fine sentiment:" in lines
    assert "and answers:      great   (positive)" in lines
    assert "the model reads:  review: poor sentiment:" in lines
    assert "and answers:      terrible   (negative)" in lines
    assert "  negative: A negative review:" in lines
    assert not any("good" in line for line in lines)


def test_without_a_file_a_shipped_row_stands_in() -> None:
    (row,) = example_rows(load_card("sst2"))
    assert row.text2 is None
    assert row.label is None
    lines = render_card(load_card("sst2"), [row])
    assert f"the model reads:  review: {row.text1} sentiment:" in lines
    assert "and answers one of: great (positive), terrible (negative)" in lines
    (pair,) = example_rows(load_card("mrpc"))
    assert pair.text2
    assert [row.label for row in example_rows(load_card("demo"))] == load_card("demo").labels


def test_the_kind_of_first_sentences_is_told() -> None:
    assert "first sentences come from: captions" in render_card(load_card("sick"), [])
    assert any("the few shots" in line for line in render_card(load_card("sst2"), []))
