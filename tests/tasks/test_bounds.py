"""Files that are small on disk and vast in memory are refused before they fill it."""

from __future__ import annotations

import json
import lzma
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dawgen.errors import UserError
from dawgen.synthesis import sources
from dawgen.tasks import bounds, load_card, load_rows, parquet
from dawgen.tasks.files import stream_file
from dawgen.tasks.parquet import decoded_bytes, parquet_records

SST2 = load_card("sst2")
MIB = 1 << 20
_READ = """
import json, resource, sys
from pathlib import Path
from dawgen.errors import UserError
from dawgen.synthesis.shards import read_shard
from dawgen.synthesis.sources import file_lines
from dawgen.tasks import load_card, load_rows
from dawgen.tasks.files import stream_file
import datasets, pyarrow.parquet

readers = {
    "table": lambda path: load_rows(load_card("sst2"), path),
    "stream": lambda path: list(stream_file(path)),
    "sentences": lambda path: list(file_lines(Path(path))),
    "shard": lambda path: read_shard(Path(path)),
}
(held,) = (line for line in open("/proc/self/status") if line.startswith("VmSize"))
most = (int(held.split()[1]) << 10) + (2 << 30)
resource.setrlimit(resource.RLIMIT_AS, (most, most))
for how, path in json.load(sys.stdin):
    try:
        readers[how](path)
        print("read")
    except UserError as error:
        print(error)
"""


def write_parquet(path: Path, text: pa.Array, rows: int, **options: object) -> Path:
    """A file of one text over and over."""
    table = pa.table({"text1": text, "label": pa.array(["positive"] * rows)})
    pq.write_table(table, path, compression="zstd", **options)
    assert path.stat().st_size < MIB
    return path


def repeated(text: str, rows: int) -> pa.Array:
    indices = pa.array([0] * rows, pa.int32())
    return pa.DictionaryArray.from_arrays(indices, pa.array([text]))


def endless(path: Path, start: bytes) -> Path:
    """A sparse file whose last line goes on for 3 GiB."""
    with path.open("wb") as file:
        file.write(start + b"x" * (bounds.LONGEST_LINE + 1))
        file.truncate(3 << 30)
    return path


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for the memory it has")
def test_nothing_small_on_disk_fills_the_memory(tmp_path: Path) -> None:
    """4 GiB of text in one dictionary, and endless lines, where 2 GiB may be had."""
    repeats = write_parquet(tmp_path / "x.parquet", repeated("x" * (8 * MIB), 500), 500)
    with lzma.open(tmp_path / "x.xz", "wb", preset=0) as file:
        file.write(b"x" * (17 * MIB))
    cases = [
        *((how, repeats) for how in ("table", "stream", "shard")),
        ("sentences", tmp_path / "x.xz"),
        ("sentences", endless(tmp_path / "x.txt", b"")),
        ("stream", endless(tmp_path / "x.jsonl", b"")),
        ("stream", endless(tmp_path / "x.csv", b"text1,label\n")),
        ("stream", endless(tmp_path / "x.tsv", b"text1\tlabel\n")),
    ]
    done = subprocess.run(
        [sys.executable, "-c", _READ],
        input=json.dumps([(how, str(path)) for how, path in cases]),
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    said = done.stdout.splitlines()
    assert len(said) == len(cases)
    for (how, path), sentence in zip(cases, said, strict=True):
        vast = "rows 1 to 500: 3 GiB or more, and at most 512 MiB are read"
        wanted = vast if path == repeats else "a line of more than 16 MiB"
        assert str(path) in sentence, (how, sentence)
        assert wanted in sentence, (how, sentence)


def test_a_packed_text_of_far_more_than_text_packs_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "_SMALL", MIB)
    with lzma.open(tmp_path / "x.xz", "wb", preset=0) as file:
        for _ in range(3):
            file.write(b"a sentence like this one\n" * (MIB // 25))
    with pytest.raises(UserError, match=r"x.xz \(unpacked\): 1 MiB or more, and at most 1 MiB"):
        list(sources.file_lines(tmp_path / "x.xz"))


def test_more_rows_than_a_table_may_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parquet says its rows beforehand; of others they are counted while they are read."""
    path = write_parquet(tmp_path / "x.parquet", repeated("x", 1000), 1000)
    (tmp_path / "x.csv").write_text("text1,label\n" + "x,positive\n" * 1000)
    assert len(load_rows(SST2, path)) == len(load_rows(SST2, tmp_path / "x.csv")) == 1000
    monkeypatch.setattr(bounds, "MOST_ROWS", 999)
    with pytest.raises(UserError, match=r"x.csv has more than 999 rows"):
        load_rows(SST2, tmp_path / "x.csv")
    monkeypatch.setattr("dawgen.tasks.files.stream_file", None)
    with pytest.raises(UserError, match=r"x.parquet has more than 999 rows"):
        load_rows(SST2, path)


def test_a_cell_that_grows_over_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.csv"
    path.write_text('text1,label\nfine,positive\n"' + "a line\n" * 500)
    monkeypatch.setattr("dawgen.tasks.separated.LONGEST_LINE", 1000)
    with pytest.raises(UserError, match=r"after row 1: .*field limit.*missing double quote"):
        list(stream_file(str(path)))


def test_all_texts_of_a_table_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_parquet(tmp_path / "x.parquet", repeated("x" * 900, 100), 100)
    most = 5 * path.stat().st_size
    monkeypatch.setattr(bounds, "MOST_BYTES", most)
    with pytest.raises(UserError, match=r"x.parquet: 0 MiB or more"):
        load_rows(SST2, path)
    assert len(list(stream_file(str(path)))) == 100


def test_decoded_bytes_see_through_dictionaries_and_nesting(tmp_path: Path) -> None:
    """As many as the same table has without dictionaries, but for offsets and masks."""
    texts = ["x" * 1000, None, "y" * 10]
    values: dict[str, pa.Array] = {
        "text": pa.array(texts * 20),
        "large": pa.array(texts * 20, pa.large_string()),
        "bytes": pa.array([b"z" * 500] * 60),
        "list": pa.array([texts] * 60),
        "fixed": pa.array([["a" * 50, "b"]] * 60, pa.list_(pa.string(), 2)),
        "struct": pa.array([{"a": "q" * 100, "b": 1}] * 60),
        "map": pa.array([[("k" * 7, "v" * 70)]] * 60, pa.map_(pa.string(), pa.string())),
        "number": pa.array([1.5] * 60),
    }
    pq.write_table(pa.table(values), tmp_path / "x.parquet")
    with pq.ParquetFile(tmp_path / "x.parquet") as file:
        names, size = parquet._how_to_read("x", file.metadata)
    assert size == 1024
    with pq.ParquetFile(tmp_path / "x.parquet", read_dictionary=names) as file:
        (batch,) = file.iter_batches()
    for name, wanted in values.items():
        found = decoded_bytes(batch.column(name))
        assert 0.8 * wanted.nbytes <= found <= 1.05 * wanted.nbytes, name
    rows = list(parquet_records(tmp_path / "x.parquet"))
    assert rows == pa.table(values).to_pylist()


def test_texts_that_share_their_beginnings_are_read_a_few_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "MOST_OF_BATCH", MIB)
    texts = pa.array([f"{'x' * 20_000}{i}" for i in range(300)])
    options = {"use_dictionary": ["label"], "column_encoding": {"text1": "DELTA_BYTE_ARRAY"}}
    path = write_parquet(tmp_path / "x.parquet", texts, 300, **options)
    with pq.ParquetFile(path) as file:
        names, size = parquet._how_to_read("x", file.metadata)
    assert names == ["label"]
    assert 1 < size * 20_000 <= MIB
    assert len(list(parquet_records(path))) == 300


def test_parquet_with_two_columns_of_one_name(tmp_path: Path) -> None:
    table = pa.table([["a"], ["b"], ["positive"]], names=["text1", "text1", "label"])
    pq.write_table(table, tmp_path / "x.parquet")
    for read in (lambda p: load_rows(SST2, p), lambda p: list(stream_file(str(p)))):
        with pytest.raises(UserError, match="two columns called 'text1'; rename one"):
            read(tmp_path / "x.parquet")
