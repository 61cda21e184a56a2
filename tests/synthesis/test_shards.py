from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dawgen.errors import UserError
from dawgen.synthesis import SyntheticRow, load_synthetic
from dawgen.synthesis.shards import shard_path, write_shard
from dawgen.tasks import Row, load_card
from tests.synthesis.helpers import read_shards

ROWS = [
    SyntheticRow("a", "b", "follows", True, None, 0.9, -3.25, "captions:4", 0, 2**62),
    SyntheticRow("a", "", "does_not", False, "empty", None, None, "shots:0", 0, 5),
    SyntheticRow("ü|<b>", "\u2028d", "does_not", True, None, 0.5, -1.0, "generator", 0, 6),
]


def test_rows_come_back_as_they_were(tmp_path):
    write_shard(tmp_path, 0, ROWS[:2])
    write_shard(tmp_path, 1, ROWS[2:])
    assert read_shards(tmp_path) == ROWS
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "shard-00000.parquet",
        "shard-00001.parquet",
    ]


def test_a_shard_of_an_earlier_version_has_no_relabelled_rows(tmp_path):
    write_shard(tmp_path, 0, [ROWS[0].relabelled("does_not")])
    (row,) = read_shards(tmp_path)
    assert (row.label, row.written_for) == ("does_not", "follows")
    path = shard_path(tmp_path, 0)
    table = pq.read_table(path).drop_columns(["written_for", "reader_probability"])
    pq.write_table(table, path)
    (row,) = read_shards(tmp_path)
    assert row.asked_for == "does_not"


def test_rejected_rows_of_an_earlier_version_stay_rejected(tmp_path, pair_card):
    rejected = ROWS[0].rejected("duplicate")
    path = write_shard(tmp_path, 0, [ROWS[0], rejected])
    pq.write_table(pq.read_table(path).drop_columns(["written_for", "reader_probability"]), path)
    assert load_synthetic(tmp_path, pair_card) == [ROWS[0]]


def test_equal_rows_give_equal_bytes(tmp_path):
    one = write_shard(tmp_path, 0, ROWS).read_bytes()
    other = write_shard(tmp_path, 0, ROWS).read_bytes()
    assert one == other


def test_a_failed_write_leaves_the_old_shard_and_no_draft(tmp_path, monkeypatch):
    before = write_shard(tmp_path, 0, ROWS).read_bytes()

    def full(table, path, **options):
        path.write(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(pq, "write_table", full)
    with pytest.raises(OSError, match="No space"):
        write_shard(tmp_path, 0, ROWS[:1])
    assert [p.name for p in tmp_path.iterdir()] == ["shard-00000.parquet"]
    assert shard_path(tmp_path, 0).read_bytes() == before


def test_loading_takes_the_kept_rows_as_rows(tmp_path, pair_card):
    write_shard(tmp_path, 0, ROWS)
    for source in (tmp_path, str(shard_path(tmp_path, 0))):
        rows = load_synthetic(source, pair_card)
        assert rows == [ROWS[0], ROWS[2]]
        assert all(isinstance(row, Row) for row in rows)
        assert rows[0].label_ratio == 0.9


# --- other people's rows -----------------------------------------------------------------

FEWGEN = [
    {"text1": "What is a king?", "text2": "How many queens can there be?", "label": "0"},
    {"text1": "What is a king?", "text2": "What does king mean?", "label": "1"},
]


def test_fewgens_json_numbers_labels_as_glue_does(tmp_path):
    file = tmp_path / "qqp-gen-train.json"
    file.write_text(json.dumps(FEWGEN), "utf-8")
    rows = load_synthetic(file, load_card("qqp"))
    assert [(r.text1, r.text2, r.label) for r in rows] == [
        ("What is a king?", "How many queens can there be?", "not_equivalent"),
        ("What is a king?", "What does king mean?", "equivalent"),
    ]
    assert [r.first_sentence for r in rows] == [f"{file.name}:1", f"{file.name}:2"]
    assert all(r.kept and r.label_ratio is None for r in rows)


def test_numbers_without_a_hub_source_follow_the_cards_order(tmp_path, pair_card):
    file = tmp_path / "x.json"
    file.write_text(json.dumps([{"text1": "a", "text2": "b", "label": 1}]), "utf-8")
    assert load_synthetic(file, pair_card)[0].label == "does_not"


@pytest.mark.parametrize("task", ["mnli", "mrpc", "qnli", "qqp", "rte"])
def test_fewgens_published_rows_load_whole_and_balanced(shared, task):
    card = load_card(task)
    rows = load_synthetic(shared / "peers" / "fewgen" / f"{task}-16-13-gen-train.json", card)
    assert len(rows) == 3000
    per_label = 3000 // len(card.labels)
    assert [sum(r.label == label for r in rows) for label in card.labels] == [per_label] * len(
        card.labels
    )
    if task in ("mrpc", "qqp"):  # copies of the first text are the equivalent ones
        copies = [r.label for r in rows if r.text1 == r.text2]
        assert copies.count("equivalent") > 10 * copies.count("not_equivalent")


@pytest.mark.parametrize("ending", ["jsonl", "csv", "tsv"])
def test_plain_files_by_the_cards_columns(tmp_path, pair_card, ending):
    file = tmp_path / f"rows.{ending}"
    if ending == "jsonl":
        file.write_text('{"text1": "a b", "text2": "c", "label": "follows"}\n', "utf-8")
    else:
        mark = {"csv": ",", "tsv": "\t"}[ending]
        file.write_text(f"text1{mark}text2{mark}label\na b{mark}c{mark}follows\n", "utf-8")
    (row,) = load_synthetic(file, pair_card)
    assert (row.text1, row.text2, row.label) == ("a b", "c", "follows")


def test_parquet_with_other_columns_is_not_taken_for_a_shard(tmp_path, pair_card):
    import pyarrow as pa

    file = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"text1": ["a"], "text2": ["b"], "label": ["does_not"]}), file)
    (row,) = load_synthetic(file, pair_card)
    assert (row.text2, row.label) == ("b", "does_not")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('[{"text1": "a", "label": "follows"}]', "has no column 'text2'.* columns are 'text1'"),
        ('[{"text1": "a", "text2": "b", "label": "maybe"}]', "row 1: unknown label 'maybe'"),
        ('[{"text1": "a", "text2": "b", "label": "7"}]', "row 1: unknown label '7'"),
        ('["a"]', "row 1: each row must be a JSON object"),
        ('[{"text1": ', "this is not JSON"),
        ("[]", "has no rows"),
    ],
)
def test_bad_json_lists_are_refused_in_a_sentence(tmp_path, pair_card, content, message):
    file = tmp_path / "rows.json"
    file.write_text(content, "utf-8")
    with pytest.raises(UserError, match=message):
        load_synthetic(file, pair_card)


def test_other_bad_sources(tmp_path, pair_card, single_card):
    with pytest.raises(UserError, match="no shard-00000"):
        load_synthetic(tmp_path, pair_card)
    shard_path(tmp_path, 0).write_bytes(b"PAR1 not really")
    with pytest.raises(UserError, match=r"not a readable Parquet file.*; synthesise again"):
        load_synthetic(tmp_path, pair_card)
    write_shard(tmp_path, 0, [SyntheticRow("a", None, "follows")])
    with pytest.raises(UserError, match="needs a second text"):
        load_synthetic(tmp_path, pair_card)
    with pytest.raises(UserError, match="'follows' is no label"):
        load_synthetic(tmp_path, single_card)


def test_somebody_elses_shards_are_read_by_the_cards_columns(tmp_path, pair_card):
    columns = pair_card.columns
    named = [{columns["text1"]: "a", columns["text2"]: "b", columns["label"]: pair_card.labels[0]}]
    pq.write_table(pa.Table.from_pylist(named), tmp_path / "shard-00000.parquet")
    (found,) = load_synthetic(tmp_path, pair_card)
    assert (found.text1, found.text2, found.label) == ("a", "b", pair_card.labels[0])
