"""A card shown at work."""

from __future__ import annotations

from pathlib import Path

from dawgen.tasks import Row, example_rows, load_card, parse_card, render_card
from dawgen.tasks.look import look_lines
from dawgen.tasks.validate import all_rows


def examples(name: str) -> list[Row]:
    card = load_card(name)
    return example_rows(card, all_rows(card))


def test_a_row_of_every_label_is_rendered(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_text("text1,label\nfine,positive\ngood,positive\npoor,negative\n")
    card = load_card("sst2")
    rows = example_rows(card, all_rows(card, str(path)))
    assert rows == [Row("fine", None, "positive"), Row("poor", None, "negative")]
    lines = render_card(card, rows)
    assert "the model reads:  review: fine sentiment:" in lines
    assert "and answers:      great   (positive)" in lines
    assert "the model reads:  review: poor sentiment:" in lines
    assert "and answers:      terrible   (negative)" in lines
    assert "  negative: A negative review:" in lines
    assert not any("good" in line for line in lines)


def test_without_a_file_a_shipped_row_stands_in() -> None:
    (row,) = examples("sst2")
    assert row.text2 is None
    assert row.label is None
    lines = render_card(load_card("sst2"), [row])
    assert f"the model reads:  review: {row.text1} sentiment:" in lines
    assert "and answers one of: great (positive), terrible (negative)" in lines
    (pair,) = examples("mrpc")
    assert pair.text2
    assert [row.label for row in examples("demo")] == load_card("demo").labels


def test_the_kind_of_first_sentences_is_told() -> None:
    assert "first sentences come from: captions" in render_card(load_card("sick"), [])
    assert any("the few shots" in line for line in render_card(load_card("sst2"), []))


# --- all rows ---------------------------------------------------------------------------------

CARD = parse_card(
    'columns: {text1: text, label: mood}\nlabels: [up, down, flat]\ntemplate: "{text1} mood:"\n'
    "label_words: {up: good, down: bad, flat: dull}",
    "card",
    "moods",
)


def test_all_rows_are_counted_and_odd_ones_named() -> None:
    rows = [
        Row("a b c", None, "up"),
        Row("one", None, "down"),
        Row("A  b c", None, "down"),
        Row("", None, "up"),
        Row("one", None, "down"),
        Row("five words are in here", None, "up"),
    ]
    lines = look_lines("rows.csv", CARD, rows, [5])
    assert lines[0] == "rows.csv: 6 rows, 3 labels"
    table = [line.split() for line in lines[2:7]]
    assert table[0][:5] == ["label", "rows", "words", "of", "text"]
    assert table[1] == ["up", "3", "0", "/", "3", "/", "5"]
    assert table[2] == ["down", "3", "1", "/", "1", "/", "3"]
    assert table[3] == ["flat", "0", "-"]
    assert table[4][:2] == ["all", "6"]
    assert lines[8:] == [
        "  labels without a row: 1 (flat)",
        "  rows with an empty text: 1 (row 4)",
        "  rows longer than the model reads (the end is cut): 1 (row 6)",
        "  rows that repeat an earlier text: 2 (rows 3, 5)",
        "  texts with several labels: 1 (row 1 up and row 3 down)",
    ]


def test_nothing_odd_is_said_too() -> None:
    rows = [Row(f"text {label}", None, label) for label in CARD.labels]
    assert look_lines("rows.csv", CARD, rows, [])[-1].startswith("  no empty, cut or repeated")


def test_of_many_labels_the_rarest_are_shown() -> None:
    labels = [f"label {n}" for n in range(50)]
    card = CARD.model_copy(update={"labels": labels})
    rows = [Row(f"text {n} {i}", None, label) for n, label in enumerate(labels) for i in range(n)]
    lines = look_lines("rows.csv", card, rows, [])
    assert len(lines) < 30
    assert any("(30 more labels, none with fewer rows)" in line for line in lines)
    assert any(line.startswith("  label 3 ") for line in lines)
