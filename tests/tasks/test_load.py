"""Rows come out of every format as they went in, and bad files are one clear sentence."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import datasets
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dawgen.errors import UserError
from dawgen.tasks import Row, TaskCard, load_card, load_rows, packaged_data, parse_card
from dawgen.tasks.stream import stream_cells

SICK = load_card("sick")
SST2 = load_card("sst2")
ROWS = [
    Row('He said "hi, all"', "It's 5 o'clock", "entailment"),
    Row("NA", "007", "neutral"),
    Row("zwölf Bäume", "a\\tb", "contradiction"),
]


def table() -> pd.DataFrame:
    return pd.DataFrame([{"text1": r.text1, "text2": r.text2, "label": r.label} for r in ROWS])


def write_jsonl(path: Path, *records: object) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def streamed(card: TaskCard, source: Path) -> list[Row]:
    return [row for row, _ in stream_cells(card, str(source))]


def error_of(card: TaskCard, source: Path | str, **options: Any) -> str:
    with pytest.raises(UserError) as caught:
        load_rows(card, source, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert message.endswith(".")
    return message


def test_every_format_gives_the_same_rows(tmp_path: Path) -> None:
    frame = table()
    frame.to_json(tmp_path / "r.jsonl", orient="records", lines=True, force_ascii=False)
    frame.to_csv(tmp_path / "r.csv", index=False)
    frame.to_csv(tmp_path / "r.tsv", index=False, sep="\t")
    frame.to_parquet(tmp_path / "r.parquet")
    for ending in ("jsonl", "csv", "tsv", "parquet"):
        assert load_rows(SICK, tmp_path / f"r.{ending}") == ROWS, ending


def test_an_index_column_a_byte_order_mark_and_windows_line_ends_do_no_harm(
    tmp_path: Path,
) -> None:
    table().to_csv(tmp_path / "index.csv")
    assert load_rows(SICK, tmp_path / "index.csv") == ROWS
    text = (tmp_path / "index.csv").read_text("utf-8").replace("\n", "\r\n")
    (tmp_path / "bom.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert load_rows(SICK, tmp_path / "bom.csv") == ROWS
    lines = b"\xef\xbb\xbf" + b'{"text1": "a", "label": "positive"}\r\n\r\n'
    (tmp_path / "bom.jsonl").write_bytes(lines)
    assert load_rows(SST2, tmp_path / "bom.jsonl") == [Row("a", None, "positive")]


@pytest.mark.parametrize("column", ["text", "text1", "sentence"])
def test_a_single_text_is_read_from_the_usual_columns(tmp_path: Path, column: str) -> None:
    path = write_jsonl(tmp_path / "r.jsonl", {"id": 7, column: "a film", "label": "positive"})
    assert load_rows(SST2, path) == [Row("a film", None, "positive")]
    assert streamed(SST2, path) == [Row("a film", None, None)]


def test_of_two_usual_columns_none_is_guessed(tmp_path: Path) -> None:
    record = {"text": "a", "sentence": "b", "label": "positive"}
    assert "has no column 'text1'" in error_of(SST2, write_jsonl(tmp_path / "r.jsonl", record))


def test_lone_quotes_in_tsv_are_plain_characters(tmp_path: Path) -> None:
    path = tmp_path / "glue.tsv"
    path.write_text('text1\tlabel\n"Unfinished\tpositive\n6" tall\tnegative\n""\tnegative\n')
    assert "row 3: column 'text1' is empty" in error_of(SST2, path)
    path.write_text('text1\tlabel\n"Unfinished\tpositive\n6" tall\tnegative\n')
    assert [row.text1 for row in load_rows(SST2, path)] == ['"Unfinished', '6" tall']


def test_odd_file_names_are_taken_literally(tmp_path: Path) -> None:
    folder = tmp_path / ".hidden [x]"
    folder.mkdir()
    path = write_jsonl(folder / "a[1]*.jsonl", {"text1": "a", "label": "positive"})
    assert load_rows(SST2, path) == [Row("a", None, "positive")]


def test_numbers_as_texts_and_ids_as_labels(tmp_path: Path) -> None:
    path = write_jsonl(
        tmp_path / "n.jsonl",
        {"text1": 12, "label": 0},
        {"text1": 1.5, "label": 1.0},
        {"text1": "x", "label": " positive "},
    )
    # the card's hub class ids: 0 is negative, though the card lists positive first
    assert load_rows(SST2, path) == [
        Row("12", None, "negative"),
        Row("1.5", None, "positive"),
        Row("x", None, "positive"),
    ]


def test_ids_follow_the_cards_order_where_it_has_no_hub_source(tmp_path: Path) -> None:
    demo = load_card("demo")
    path = tmp_path / "ids.csv"
    path.write_text("text1,text2,label\na,b,2\n")
    assert load_rows(demo, path) == [Row("a", "b", "contradiction")]


def test_a_label_that_is_itself_a_number_is_a_name_first(tmp_path: Path) -> None:
    card = TaskCard(
        name="stars",
        columns={"text1": "t", "label": "y"},
        labels=["1", "0"],
        template="{text1} :",
        label_words={"1": "good", "0": "bad"},
    )
    path = tmp_path / "stars.csv"
    path.write_text("t,y\na,0\nb,1\n")
    assert [row.label for row in load_rows(card, path)] == ["0", "1"]


def test_class_names_in_a_parquet_file_win(tmp_path: Path) -> None:
    features = datasets.Features(
        {
            "text1": datasets.Value("string"),
            "label": datasets.ClassLabel(names=["positive", "negative"]),
        }
    )
    data = datasets.Dataset.from_dict({"text1": ["a", "b"], "label": [0, 1]}, features=features)
    data.to_parquet(str(tmp_path / "c.parquet"))
    rows = load_rows(SST2, tmp_path / "c.parquet")
    assert [row.label for row in rows] == ["positive", "negative"]


def test_unlabelled_rows(tmp_path: Path) -> None:
    path = write_jsonl(
        tmp_path / "u.jsonl",
        {"text1": "a"},
        {"text1": "b", "label": "positive"},
        {"text1": "c", "label": "who knows"},
    )
    labels = [row.label for row in load_rows(SST2, path, labelled=False)]
    assert labels == [None, "positive", None]
    assert "row 1: the label column 'label' is empty" in error_of(SST2, path)
    bare = write_jsonl(tmp_path / "bare.jsonl", {"text1": "a"})
    assert load_rows(SST2, bare, labelled=False) == [Row("a", None, None)]
    assert "no column 'label'" in error_of(SST2, bare)


def test_the_shipped_rows(shared: Path) -> None:
    demo = load_card("demo")
    found = {split: load_rows(demo, path) for split, path in packaged_data(demo).items()}
    assert {split: len(rows) for split, rows in found.items()} == {
        "train": 48,
        "dev": 48,
        "test": 600,
    }
    assert found["train"] == load_rows(demo, shared / "data/snli/16-13/train.jsonl")
    assert set(found["test"]) <= set(load_rows(demo, shared / "data/snli/test.jsonl"))
    assert packaged_data(SICK) == {}


def test_a_local_file_needs_no_network_and_no_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("a local file was looked up in the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    cache = tmp_path / "cache"
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(cache))
    path = write_jsonl(tmp_path / "a.jsonl", {"text1": "a", "label": "positive"})
    assert len(load_rows(SST2, path)) == 1
    assert not cache.exists()


# --- bad files ---------------------------------------------------------------------------


def test_missing_file_folder_and_ending(tmp_path: Path) -> None:
    assert "There is no file" in error_of(SICK, tmp_path / "none.jsonl")
    assert "is a folder" in error_of(SICK, tmp_path)
    (tmp_path / "a.txt").write_text("x")
    assert "'.txt' is unknown; it must be .jsonl, .json, .csv, .tsv or .parquet" in error_of(
        SICK, tmp_path / "a.txt"
    )


@pytest.mark.parametrize("ending", ["jsonl", "csv", "tsv", "parquet"])
def test_empty_file(tmp_path: Path, ending: str) -> None:
    (tmp_path / f"e.{ending}").touch()
    assert "is empty" in error_of(SICK, tmp_path / f"e.{ending}")


def test_files_without_rows(tmp_path: Path) -> None:
    (tmp_path / "h.csv").write_text("text1,text2,label\n")
    assert "has no rows" in error_of(SICK, tmp_path / "h.csv")
    (tmp_path / "h.jsonl").write_text("\n\n")
    assert "has no rows" in error_of(SICK, tmp_path / "h.jsonl")
    table().iloc[:0].to_parquet(tmp_path / "h.parquet")
    assert "has no rows" in error_of(SICK, tmp_path / "h.parquet")


@pytest.mark.parametrize("ending", ["jsonl", "csv", "tsv", "parquet"])
def test_missing_column_is_named_with_those_found(tmp_path: Path, ending: str) -> None:
    frame = table().rename(columns={"text2": "hypothesis"})
    path = tmp_path / f"m.{ending}"
    {
        "jsonl": lambda: frame.to_json(path, orient="records", lines=True),
        "csv": lambda: frame.to_csv(path, index=False),
        "tsv": lambda: frame.to_csv(path, index=False, sep="\t"),
        "parquet": lambda: frame.to_parquet(path),
    }[ending]()
    message = error_of(SICK, path)
    assert "no column 'text2'" in message
    assert "its columns are 'text1', 'hypothesis', 'label'" in message


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
def test_unknown_label_and_empty_text_name_the_row(tmp_path: Path, ending: str) -> None:
    def save(frame: pd.DataFrame) -> Path:
        path = tmp_path / f"x.{ending}"
        if ending == "jsonl":
            frame.to_json(path, orient="records", lines=True)
        elif ending == "csv":
            frame.to_csv(path, index=False)
        else:
            frame.to_parquet(path)
        return path

    frame = table()
    frame.loc[1, "label"] = "Neutrals"
    message = error_of(SICK, save(frame))
    assert "row 2: unknown label 'Neutrals' (did you mean 'neutral'?)" in message
    assert "entailment, neutral, contradiction" in message
    frame = table()
    frame.loc[2, "text2"] = "  "
    assert "row 3: column 'text2' is empty" in error_of(SICK, save(frame))
    frame = table()
    frame.loc[0, "text1"] = None
    assert "row 1: column 'text1' is empty" in error_of(SICK, save(frame))


def test_rows_with_an_empty_text_are_left_out_and_counted_where_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr("dawgen.tasks.load.say", said.append)
    rows = [("a", "b", "neutral"), ("", "b", "neutral"), ("a", None, "who knows"), ("c", "d", "-")]
    path = write_jsonl(
        tmp_path / "x.jsonl", *({"text1": a, "text2": b, "label": c} for a, b, c in rows)
    )
    assert "row 2: column 'text1' is empty" in error_of(SICK, path)
    assert "skip such rows (on_empty=skip)" in error_of(SICK, path)
    assert load_rows(SICK, path, skip_empty=True) == [Row("a", "b", "neutral")]
    assert said == [
        f"{path}: 1 of 4 rows have no label; skipped.",
        f"{path}: 2 of 4 rows have an empty text; skipped.",
    ]


@pytest.mark.parametrize("label", [3, -1, "--", 1.5, True])
def test_ids_out_of_range_are_unknown_labels(tmp_path: Path, label: object) -> None:
    path = write_jsonl(tmp_path / "x.jsonl", {"text1": "a", "text2": "b", "label": label})
    assert "row 1: unknown label" in error_of(SICK, path)


def test_a_broken_json_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "b.jsonl"
    path.write_text('{"text1": "a", "label": "positive"}\n{"text1": "b", \n')
    assert "b.jsonl, line 2: this is not JSON" in error_of(SST2, path)
    path.write_text('["a", "positive"]\n')
    assert "line 1: each line must be one JSON object" in error_of(SST2, path)


@pytest.mark.parametrize("mark", [";", "\t"])
def test_a_csv_of_semicolons_or_tabs_is_read_as_one(tmp_path: Path, mark: str) -> None:
    path = tmp_path / "x.csv"
    path.write_text(
        f'\ufefftext1{mark}text2{mark}label\n"a{mark} b, c"{mark}d, e{mark}neutral\n', "utf-8"
    )
    assert load_rows(SICK, path) == [Row(f"a{mark} b, c", "d, e", "neutral")]
    assert streamed(SICK, path) == [Row(f"a{mark} b, c", "d, e", None)]
    path.write_text(f"text1{mark}text2{mark}label\na{mark}b{mark}c{mark}neutral\n")
    assert "row 1: 4 cells where the heading has 3" in error_of(SICK, path)


@pytest.mark.parametrize("ending", ["csv", "tsv"])
def test_half_a_byte_order_mark_is_no_heading(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"x.{ending}"
    path.write_bytes(b"\xef")
    assert "has no heading" in error_of(SICK, path)
    with pytest.raises(UserError, match="has no heading"):
        streamed(SICK, path)


@pytest.mark.parametrize(("ending", "mark"), [("csv", ","), ("csv", ";"), ("tsv", "\t")])
def test_blank_lines_before_the_heading_are_skipped(tmp_path: Path, ending: str, mark: str) -> None:
    path = tmp_path / f"x.{ending}"
    path.write_text(f"\n  \ntext1{mark}text2{mark}label\n\na{mark}b{mark}neutral\n")
    assert load_rows(SICK, path) == [Row("a", "b", "neutral")]
    assert streamed(SICK, path) == [Row("a", "b", None)]


def test_one_column_needs_no_separator(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("text1\nso; so\n")
    assert [row.text1 for row in load_rows(SST2, path, labelled=False)] == ["so; so"]
    assert [row.text1 for row in streamed(SST2, path)] == ["so; so"]


def test_a_json_file_is_one_list_or_an_object_a_line(tmp_path: Path) -> None:
    """Both give the rows of the same JSONL, labels as ids or by name, keys in any order."""
    records = [
        {"text1": "fine", "label": "positive"},
        {"label": 0, "text1": "dull", "more": [1]},
    ]
    whole = load_rows(SST2, write_jsonl(tmp_path / "x.jsonl", *records))
    lines = write_jsonl(tmp_path / "lines.json", *records)
    listed = tmp_path / "LIST.JSON"
    listed.write_text("\ufeff\n " + json.dumps(records, indent=1), "utf-8")
    for path in (lines, listed):
        assert load_rows(SST2, path) == whole
        unlabelled = load_rows(SST2, path, labelled=False)
        assert [(row.text1, row.label) for row in streamed(SST2, path)] == [
            (row.text1, None) for row in unlabelled
        ]


def test_a_wrong_json_list_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text('[{"text1": "a", "label": "positive"},\n {"text1": "b", ]')
    assert "x.json: this is not JSON" in error_of(SST2, path)
    assert "line 2, column 17); the file must be one list" in error_of(SST2, path)
    path.write_text('[{"text1": "a", "label": "positive"}, ["b", "positive"]]')
    assert "row 2: each row must be a JSON object" in error_of(SST2, path)
    path.write_text('[{"text1": "a", "label": "positive"}, {"text1": "b"}]')
    assert "row 2: the label column 'label' is empty" in error_of(SST2, path)
    path.write_text("[" * 100_000 + "]" * 100_000)
    assert "nesting too deep" in error_of(SST2, path)


def test_texts_must_be_text(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "l.jsonl", {"text1": ["a"], "label": "positive"})
    assert "row 1: column 'text1' holds a list, not text" in error_of(SST2, path)
    path = write_jsonl(tmp_path / "l.jsonl", {"text1": True, "label": "positive"})
    assert "holds a bool" in error_of(SST2, path)


@pytest.mark.parametrize("place", [1, 2])
def test_a_row_with_too_many_cells_is_named(tmp_path: Path, place: int) -> None:
    lines = ["a,positive", "b,negative"]
    lines.insert(place - 1, "well, yes,positive")
    path = tmp_path / "w.csv"
    path.write_text("\n".join(["text1,label", *lines]) + "\n")
    assert f"row {place}: 3 cells where the heading has 2" in error_of(SST2, path)


def test_broken_tables(tmp_path: Path) -> None:
    (tmp_path / "q.csv").write_text('text1,label\n"never closed,positive\nb,negative\n')
    assert "missing double quote" in error_of(SST2, tmp_path / "q.csv")
    (tmp_path / "d.csv").write_text("text1,text1,label\na,b,positive\n")
    assert "two columns called 'text1'" in error_of(SST2, tmp_path / "d.csv")
    (tmp_path / "p.parquet").write_text("not parquet at all")
    assert "not a readable Parquet file" in error_of(SST2, tmp_path / "p.parquet")
    for ending in ("jsonl", "csv", "tsv"):
        (tmp_path / f"l.{ending}").write_bytes(b"text1,label\n\xff\xfe,positive\n")
        assert "not text in UTF-8" in error_of(SST2, tmp_path / f"l.{ending}")


# --- the hub -----------------------------------------------------------------------------


class Hub:
    """Stands in for the hub: records what was asked, answers with a table or an error."""

    def __init__(self, answer: datasets.Dataset | Exception) -> None:
        self.answer = answer
        self.asked: list[tuple[object, ...]] = []

    def __call__(
        self, path: str, config: str | None, *, split: str, revision: str | None
    ) -> datasets.Dataset:
        self.asked.append((path, config, split, revision))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def hub_table(labels: list[int], names: list[str]) -> datasets.Dataset:
    features = datasets.Features(
        {
            "sentence1": datasets.Value("string"),
            "sentence2": datasets.Value("string"),
            "label": datasets.ClassLabel(names=names),
        }
    )
    rows = {
        "sentence1": [f"a{i}" for i in range(len(labels))],
        "sentence2": [f"b{i}" for i in range(len(labels))],
        "label": labels,
    }
    return datasets.Dataset.from_dict(rows, features=features)


def test_the_cards_own_hub_source(monkeypatch: pytest.MonkeyPatch) -> None:
    hub = Hub(hub_table([0, 1], ["zero", "one"]))
    monkeypatch.setattr(datasets, "load_dataset", hub)
    rows = load_rows(load_card("mrpc"), "hub", split="test")
    assert hub.asked == [("nyu-mll/glue", "mrpc", "test", None)]
    assert rows == [Row("a0", "b0", "not_equivalent"), Row("a1", "b1", "equivalent")]
    load_rows(load_card("rte"), "hub:nyu-mll/glue/rte", split="test")
    assert hub.asked[-1] == ("nyu-mll/glue", "rte", "validation", None)


def test_any_hub_data_set(monkeypatch: pytest.MonkeyPatch) -> None:
    card = TaskCard(
        name="own",
        columns={"text1": "sentence1", "text2": "sentence2", "label": "label"},
        labels=["same", "other"],
        template="{text1} {text2}",
        label_words={"same": "yes", "other": "no"},
    )
    hub = Hub(hub_table([0, 1], ["other", "same"]))
    monkeypatch.setattr(datasets, "load_dataset", hub)
    rows = load_rows(card, "hub:me/mine/v2@extra")
    assert hub.asked == [("me/mine", "v2", "extra", None)]
    assert [row.label for row in rows] == ["other", "same"]
    load_rows(card, "hub:mine", split="dev")
    assert hub.asked[-1] == ("mine", None, "dev", None)


def test_hub_rows_without_a_label_are_left_out_and_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said: list[str] = []
    monkeypatch.setattr("dawgen.tasks.load.say", said.append)
    monkeypatch.setattr(datasets, "load_dataset", Hub(hub_table([-1, 1], ["x", "y"])))
    assert [row.text1 for row in load_rows(load_card("mrpc"), "hub")] == ["a1"]
    assert "1 of 2 rows have no label" in said[0]
    monkeypatch.setattr(datasets, "load_dataset", Hub(hub_table([-1, -1], ["x", "y"])))
    assert "has no labelled rows" in error_of(load_card("mrpc"), "hub")


def test_hub_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets, "load_dataset", Hub(ConnectionError("no route\nmore")))
    message = error_of(SICK, "hub")
    assert "hub:RobZamp/sick@train could not be loaded from the hub (no route)" in message
    assert "no dev rows on the hub; it has train, test" in error_of(SICK, "hub", split="dev")
    assert "names no hub data set" in error_of(load_card("demo"), "hub")
    assert "no hub source" in error_of(SICK, "hub:a/b/c/d")


def stars(labels: str) -> TaskCard:
    return parse_card(
        f"name: stars\ncolumns: {{text1: text1, label: label}}\nlabels: [{labels}]\n"
        "template: '{text1}'\nlabel_words: {"
        + ", ".join(f"{label}: w{n}" for n, label in enumerate(labels.split(", ")))
        + "}\n",
        "here",
    )


def test_labels_that_are_numbers_are_no_places(tmp_path: Path) -> None:
    """0 is not the first of five stars; 1.0 is the label "1.0", or else "1"."""
    path = write_jsonl(tmp_path / "x.jsonl", {"text1": "a", "label": 0})
    assert "unknown label '0'" in error_of(stars("'1', '2', '3'"), path)
    path = write_jsonl(tmp_path / "x.jsonl", {"text1": "a", "label": 1.0})
    assert load_rows(stars("'0.0', '1.0', '2.0'"), path)[0].label == "1.0"
    assert load_rows(stars("'1', '2', '3'"), path)[0].label == "1"


def test_ids_that_a_data_set_names_itself_are_ids(tmp_path: Path) -> None:
    features = datasets.Features(
        {"text1": datasets.Value("string"), "label": datasets.ClassLabel(names=["1", "2", "3"])}
    )
    path = tmp_path / "x.parquet"
    datasets.Dataset.from_dict({"text1": ["a"], "label": [1]}, features=features).to_parquet(path)
    assert load_rows(stars("'1', '2', '3'"), path)[0].label == "2"


def test_columns_of_types_that_nobody_asks_for_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    table = pa.table(
        {
            "text1": ["a"],
            "label": ["positive"],
            "map": pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int32())),
            "id": pa.array([b"0" * 16], pa.binary(16)).cast(pa.uuid()),
        }
    )
    pq.write_table(table, path)
    assert load_rows(SST2, path) == [Row("a", None, "positive")]
    assert [row.text1 for row in streamed(SST2, path)] == ["a"]


def test_columns_without_a_title_are_the_same_to_all(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text(",text1,,label\n0,a,1,positive\n")
    assert load_rows(SST2, path)[0].text1 == "a"
    assert [row.text1 for row in streamed(SST2, path)] == ["a"]
