"""CSV and TSV as people's programs write them."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pandas as pd
import pytest

from dawgen.errors import UserError
from dawgen.tasks import load_card, load_rows
from dawgen.tasks.files import read_file, stream_file
from dawgen.terminal.harmless import in_spreadsheet, separated_line
from dawgen.use.labelled import as_text

DEMO = load_card("demo")
ODD = [
    "two\nlines",
    "carriage\rreturn",
    "both\r\nof them",
    "a\ttab",
    'a "quoted" word',
    '"all of it"',
    '6" tall',
    "blank\n\nline",
    "a, comma; and a semicolon",
    " NA ",
]


def records(path: Path) -> list[dict[str, object]]:
    found = list(stream_file(str(path)))
    assert read_file(str(path)).records == found
    return found


@pytest.mark.parametrize("ending", ["csv", "tsv"])
@pytest.mark.parametrize("order", [["text", "label"], ["label", "text"], ["a", "text", "b"]])
@pytest.mark.parametrize("writer", ["pandas", "ours", "csv"])
def test_quoted_cells_come_back(tmp_path: Path, ending: str, order: list[str], writer: str) -> None:
    """Line breaks, tabs and quotes in a first, a middle and a last column."""
    rows = [{name: text if name == "text" else f"{name}{i}" for name in order}
            for i, text in enumerate(ODD)]  # fmt: skip
    path = tmp_path / f"x.{ending}"
    mark = "\t" if ending == "tsv" else ","
    if writer == "pandas":  # leaves it bare, as Python's own writer did
        rows = [row for row in rows if row["text"] != "carriage\rreturn"]
        pd.DataFrame(rows).to_csv(path, index=False, sep=mark)
    elif writer == "ours":
        path.write_text(as_text(rows, f".{ending}", heading=True), newline="")
    else:
        with path.open("w", newline="") as file:
            out = csv.DictWriter(file, order, delimiter=mark)
            out.writeheader()
            out.writerows(rows)
    assert records(path) == rows


@pytest.mark.parametrize("first", ["label", "text"])
def test_lone_quotes_swallow_no_rows_of_a_tsv(tmp_path: Path, first: str) -> None:
    """As in GLUE's files, the text in the first or the last column."""
    texts = ['"Unfinished', 'She said "', '6" tall', '"', 'said "so"', '"whole"', 'end"', "plain"]
    lines = [f"{t}\tx" if first == "text" else f"x\t{t}" for t in texts]
    names = ["text", "label"] if first == "text" else ["label", "text"]
    (tmp_path / "x.tsv").write_text("\n".join(["\t".join(names), *lines]) + "\n")
    found = [row["text"] for row in records(tmp_path / "x.tsv")]
    assert found == [text if text != '"whole"' else "whole" for text in texts]


def test_a_heading_of_ours_with_a_line_break_comes_back(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [{"text": "a", "p_one\nlabel": 0.5, "p_\x85\u2028\x7f": 0.25}]
    for ending in (".csv", ".tsv"):
        path = tmp_path / f"x{ending}"
        path.write_text(as_text(rows, ending, heading=True), "utf-8", newline="")
        assert records(path) == [{name: str(cell) for name, cell in rows[0].items()}]


def test_lone_carriage_returns_end_lines_and_are_quoted_in_cells(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(b"text,label\ra,x\rb,y\r")
    assert [row["text"] for row in records(tmp_path / "x.csv")] == ["a", "b"]
    line = separated_line(["a\rb", "c\nd", 'e"f', None, 1.5, True])
    assert line == '"a\rb","c\nd","e""f",,1.5,True\n'
    assert list(csv.reader(io.StringIO(line, newline=""))) == [
        ["a\rb", "c\nd", 'e"f', "", "1.5", "True"]
    ]


@pytest.mark.parametrize(
    ("cell", "safe"),
    [
        ("=1+1", "'=1+1"),
        ("  -2", "'  -2"),
        ("a\n=1", "a\n'=1"),
        ("a\r\n +1", "a\r\n' +1"),
        ("a\r@x", "a\r'@x"),
        ("a\u2028=x", "a\u2028'=x"),
        ("a;=x", "a;'=x"),
        ("a; =x", "a;' =x"),
        ("a\t=x", "a\t'=x"),
        ("\tx", "'\tx"),
        ("\uff1d1", "'\uff1d1"),
        ("\uff0b1", "'\uff0b1"),
        ("\uff0d1", "'\uff0d1"),
        ("\u3000\uff20x", "'\u3000\uff20x"),
        ("a = b - c @ d", "a = b - c @ d"),
        ("ha ;-)", "ha ;-)"),
        ("x; y", "x; y"),
        (-5, -5),
    ],
)
def test_no_part_of_a_cell_is_a_formula(cell: object, safe: object) -> None:
    assert in_spreadsheet(cell) == safe


@pytest.mark.parametrize(
    ("lines", "wanted"),
    [
        (["text;label, gold", "a, b, c;x", "d;y"], {"text": "a, b, c", "label, gold": "x"}),
        (['"text, raw";label', "a;x"], {"text, raw": "a", "label": "x"}),
        (["text\tlabel, gold", "a, b\tx"], {"text": "a, b", "label, gold": "x"}),
        (["text,label; gold", "a; b,x"], {"text": "a; b", "label; gold": "x"}),
        (["text,label", '"a;b",x', "c;d,y"], {"text": "a;b", "label": "x"}),
        (["text;n", "a;1,5", "b;2,5"], {"text": "a", "n": "1,5"}),
    ],
)
def test_the_separator_is_the_one_that_the_rows_fit(
    tmp_path: Path, lines: list[str], wanted: dict[str, str]
) -> None:
    (tmp_path / "x.csv").write_text("\n".join(lines) + "\n")
    assert records(tmp_path / "x.csv")[0] == wanted


def test_a_quote_left_open_is_told_with_its_row_however_the_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text('text1,text2,label\na,b,neutral\n"never closed,c,neutral\nd,e,neutral\n')
    for read in (lambda: load_rows(DEMO, path), lambda: list(stream_file(str(path)))):
        with pytest.raises(UserError, match=r"x.csv, row 2: .*missing double quote"):
            read()


def test_a_short_first_row_has_all_columns(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a,b,c\n1\n2,3,4\n")
    assert records(tmp_path / "x.csv")[0] == {"a": "1", "b": None, "c": None}
