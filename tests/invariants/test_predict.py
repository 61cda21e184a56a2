"""Labelling files: order, formats, abstaining, going on where it was stopped, memory."""

from __future__ import annotations

import csv
import json
import shutil
import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import safetensors.torch

from dawgen.errors import UserError
from dawgen.evaluation.output import output_names
from dawgen.tasks import Row, load_card, load_rows, parse_card
from dawgen.tasks.files import stream_file
from dawgen.tasks.stream import stream_cells
from dawgen.use import predicting
from dawgen.use.classifier import Classifier
from tests.invariants.jobs import Outcome, SmallJob, dawgen, rows, write_rows

Finished = tuple[SmallJob, Path, Outcome]

TRICKY = [
    {"premise": 'a "quoted" cat, and', "hypothesis": "NA"},
    {"premise": "two\nlines", "hypothesis": "ünï — 007"},
    {"premise": "  spaces  ", "hypothesis": "1.0"},
]


def write_tricky(path: Path) -> Path:
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(TRICKY), path)
    elif path.suffix == ".jsonl":
        path.write_text("\n".join(json.dumps(row) for row in TRICKY) + "\n\n")
    else:
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(
                file, ["premise", "hypothesis"], delimiter="\t" if path.suffix == ".tsv" else ","
            )
            writer.writeheader()
            writer.writerows(TRICKY)
    return path


@pytest.mark.parametrize("ending", [".jsonl", ".csv", ".tsv", ".parquet"])
def test_a_streamed_file_has_the_rows_of_a_loaded_one(
    finished: Finished, tmp_path: Path, ending: str
) -> None:
    card = load_card(finished[0].card)
    path = write_tricky(tmp_path / f"rows{ending}")
    rows = [row for row, _ in stream_cells(card, str(path))]
    assert rows == load_rows(card, path, labelled=False)
    assert rows[0].text1 == 'a "quoted" cat, and'


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("rows.csv", "premise,hypothesis\na,b,c\n", "row 1: 3 cells where the heading has 2"),
        ("rows.csv", "premise,premise\na,b\n", "two columns called 'premise'"),
        ("rows.csv", "premise\na\n", "has no column 'hypothesis'"),
        ("rows.csv", "premise,hypothesis\n", "has no rows"),
        ("rows.csv", "premise,hypothesis\na,b\nc,\n", "row 2: column 'hypothesis' is empty"),
        ("rows.jsonl", '{"premise": "a"\n', "line 1: this is not JSON"),
        ("rows.jsonl", "[1]\n", "each line must be one JSON object"),
        ("rows.parquet", "not parquet", "not a readable Parquet file"),
        ("rows.csv", "", "is empty"),
        ("rows.doc", "a", "is unknown"),
    ],
)
def test_a_wrong_file_is_named(
    finished: Finished, tmp_path: Path, name: str, content: str, sentence: str
) -> None:
    card = load_card(finished[0].card)
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=sentence):
        list(stream_cells(card, str(tmp_path / name)))


def test_a_blank_line_between_rows_of_one_column_is_a_row_without_a_text(tmp_path: Path) -> None:
    card = parse_card(
        "name: moods\ncolumns: {text1: comment, label: mood}\nlabels: [a, b]\n"
        "template: '{text1}'\nlabel_words: {a: good, b: bad}\n",
        "here",
    )
    (tmp_path / "rows.csv").write_text('comment\nfine\n   \n\n""\nbad\n""\n\n\n')
    found = [row for row, _ in stream_cells(card, str(tmp_path / "rows.csv"), "null")]
    assert found == load_rows(card, tmp_path / "rows.csv", labelled=False, allow_empty=True)
    assert [row.text1 for row in found] == ["fine", "", "", "", "bad", ""]


def test_settings_of_the_machine(finished: Finished, tmp_path: Path) -> None:
    """Where the model lies and computes is no part of a run; what made the prompt is."""
    job, folder, _ = finished
    source = write_rows(tmp_path / "new.jsonl", rows(60, 3))
    here = dawgen("predict", folder, source)
    moved = tmp_path / "elsewhere" / job.model.name
    shutil.copytree(job.model, moved)
    sets = ["-s", f"backbone.path={moved}", "-s", "backbone.device=cpu"]
    again = dawgen("predict", folder, source, *sets)
    assert (again.code, again.out, again.err) == (0, here.out, "")
    refused = dawgen("predict", folder, source, "-s", "tuning.steps=3")
    assert refused.code == 2
    assert "only backbone.*, generator.backbone, evaluation.* and" in refused.err
    assert dawgen("export", folder, "--to", "peft", "--out", tmp_path / "x", *sets).code == 0


def test_a_changed_backbone_is_told_of(finished: Finished, tmp_path: Path) -> None:
    job, folder, _ = finished
    source = write_rows(tmp_path / "new.jsonl", rows(60, 3))
    changed = tmp_path / job.model.name
    shutil.copytree(job.model, changed)
    tensors = safetensors.torch.load_file(changed / "model.safetensors")
    name = sorted(tensors)[len(tensors) // 2]
    tensors[name] = tensors[name] + 0.5
    safetensors.torch.save_file(tensors, changed / "model.safetensors", {"format": "pt"})
    outcome = dawgen("predict", folder, source, "-s", f"backbone.path={changed}")
    assert outcome.code == 0
    assert "is not as it was when the prompt" in outcome.err


MORE = [
    {"id": 7, "premise": " a man ", "hypothesis": "b", "verdict": "same", "p_same": 3, "odd": [1]},
    {"hypothesis": "c", "premise": "d", "id": "x8", "verdict": None, "odd": None, "late": 1},
    {"premise": "e", "hypothesis": "f"},
]


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_every_column_of_the_file_is_kept(
    finished: Finished, tmp_path: Path, ending: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """In its order, labels and ids too; a column called like one of ours gives way to it."""
    source, out = tmp_path / "rows.jsonl", tmp_path / f"out{ending}"
    source.write_text("".join(json.dumps(row) + "\n" for row in MORE))
    outcome = dawgen("predict", finished[1], source, "--out", out)
    assert outcome.code == 0, outcome.err
    assert "row 2 has 'late', which row 1 does not have" in outcome.err
    if ending == ".parquet":
        found = pq.read_table(out).to_pylist()
    elif ending == ".jsonl":
        found = [json.loads(line) for line in out.read_text().splitlines()]
    else:
        with out.open(newline="") as file:
            found = list(csv.DictReader(file, delimiter="\t" if ending == ".tsv" else ","))
    names = ["id", "premise", "hypothesis", "verdict", "odd", "prediction", "p_same", "p_other"]
    assert [list(row) for row in found] == [names] * 3
    nothing = "" if ending in (".csv", ".tsv") else None
    assert [str(row["id"]) for row in found] == ["7", "x8", str(nothing)]
    assert [row["premise"] for row in found] == ["a man", "d", "e"]
    assert [row["verdict"] for row in found] == ["same", nothing, nothing]
    assert [row["odd"] for row in found] == ["[1]", nothing, nothing]
    assert float(found[0]["p_same"]) <= 1.0
    (first, *_) = predicting.predict(finished[1], source)
    assert list(first) == names


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_rows_with_an_empty_text_keep_their_place(
    finished: Finished, tmp_path: Path, ending: str
) -> None:
    """The other rows get what they get without them; two of the five have no text."""
    _, folder, _ = finished
    lines = [row | {"id": i} for i, row in enumerate(rows(60, 5))]
    lines[1]["premise"], lines[3]["hypothesis"] = "  ", None
    source, out = tmp_path / f"new{ending}", tmp_path / f"out{ending}"
    frame = pd.DataFrame(lines)
    if ending == ".parquet":
        frame.to_parquet(source)
    elif ending == ".jsonl":
        write_rows(source, lines)
    else:
        frame.to_csv(source, index=False, sep="\t" if ending == ".tsv" else ",")
    full = [line for i, line in enumerate(lines) if i not in (1, 3)]
    chances = Classifier.load(folder).predict_proba(
        [(line["premise"], line["hypothesis"]) for line in full]
    )

    def table(*asked: object) -> tuple[Outcome, list[dict[str, Any]]]:
        out.unlink(missing_ok=True)
        outcome = dawgen("predict", folder, source, "--out", out, "--abstain-below", "0.5", *asked)
        return outcome, list(stream_file(str(out))) if out.exists() else []

    outcome, found = table()
    assert outcome.code == 0, outcome.err
    assert outcome.out == f"5 rows labelled: {out}\n"
    assert f"{source}: 2 of 5 rows have an empty text and get no label." in outcome.err
    assert [int(row["id"]) for row in found] == [0, 1, 2, 3, 4]
    for row in (found[1], found[3]):
        assert {row[name] or None for name in ("prediction", "p_same", "p_other", "abstain")} == {
            None
        }
    labelled = [found[0], found[2], found[4]]
    assert {row["prediction"] for row in labelled} <= {"same", "other"}
    same = [float(row["p_same"]) for row in labelled]
    np.testing.assert_allclose(same, chances[:, 0], atol=1e-5)

    outcome, found = table("--on-empty", "skip")
    assert outcome.code == 0
    assert "2 of 5 rows have an empty text and are skipped." in outcome.err
    assert found == labelled

    outcome, found = table("--on-empty", "error")
    assert (outcome.code, found) == (2, [])
    assert "row 2: column 'premise' is empty" in outcome.err
    assert outcome.err.count("\n") == 1
    assert dawgen("predict", folder, source, "--on-empty", "drop").code == 2


def test_empty_rows_from_python_and_on_standard_output(finished: Finished, tmp_path: Path) -> None:
    _, folder, _ = finished
    source = tmp_path / "new.csv"
    source.write_text("premise,hypothesis\n,b\na,\n")
    found = predicting.predict(folder, source, abstain_below=0.5)
    assert [set(row.values()) for row in found] == [{"", "b", None}, {"a", "", None}]
    outcome = dawgen("predict", folder, source)
    assert outcome.out == "premise,hypothesis,prediction,p_same,p_other\n,b,,,\na,,,,\n"
    assert predicting.predict(folder, source, on_empty="skip") == []
    with pytest.raises(UserError, match="row 1: column 'premise' is empty"):
        predicting.predict(folder, source, on_empty="error")
    outcome = dawgen("predict", folder, source, "--on-empty", "skip")
    assert outcome.code == 2
    assert "has no rows whose texts are not empty" in outcome.err


def test_columns_called_like_ours_are_renamed_one_by_one() -> None:
    card = load_card("demo").model_copy(
        update={"columns": {"text1": "prediction", "text2": "text1", "label": "abstain"}}
    )
    assert output_names(card) == {"text1": "text1_", "text2": "text1", "label": "abstain"}
    assert output_names(card, ["label"], ["prediction", "abstain"])["label"] == "label_"


def test_a_place_that_would_cost_a_file_is_refused(finished: Finished, tmp_path: Path) -> None:
    _, folder, _ = finished
    source = write_rows(tmp_path / "new.jsonl", rows(60, 3))
    (tmp_path / "folder.csv").mkdir()
    before = source.read_bytes(), (folder / "predictions.parquet").read_bytes()
    for out, part in (
        (source, "is the file that is read"),
        (folder / "predictions.parquet", "is a file of the run itself"),
        (tmp_path / "folder.csv", "is a folder; name a file"),
        (source / "below.csv", "new.jsonl is a file and no folder"),
    ):
        outcome = dawgen("predict", folder, source, "--out", out)
        assert outcome.code == 2, outcome.err
        assert part in outcome.err
        assert outcome.err.count("\n") == 1
    assert (source.read_bytes(), (folder / "predictions.parquet").read_bytes()) == before


def test_a_stopped_file_goes_on_to_the_same_bytes(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, folder, _ = finished
    monkeypatch.setattr(predicting, "CHUNK", 4)
    source = write_rows(tmp_path / "new.jsonl", rows(60, 11))
    for ending in (".csv", ".parquet"):
        whole, out = tmp_path / f"whole{ending}", tmp_path / f"out{ending}"
        assert dawgen("predict", folder, source, "--out", whole).code == 0
        of_rows = Classifier.of_rows
        calls: list[int] = []

        def stop(
            self: Classifier, part: Sequence[Row], calls: list[int] = calls, real: Any = of_rows
        ) -> Any:
            calls.append(len(part))
            if len(calls) == 3:
                raise KeyboardInterrupt
            return real(self, part)

        with monkeypatch.context() as patch:
            patch.setattr(Classifier, "of_rows", stop)
            assert dawgen("predict", folder, source, "--out", out).code == 130
        assert not out.exists()
        (partial,) = tmp_path.glob(f".out{ending}.partial")
        with partial.open("a") as file:
            file.write("half a li")  # as a machine that lost its power leaves it
        outcome = dawgen("predict", folder, source, "--out", out)
        assert outcome.out == f"11 rows labelled, 8 of them before: {out}\n"
        assert out.read_bytes() == whole.read_bytes()
        assert not list(tmp_path.glob(".out*"))


def test_other_rows_are_not_taken_for_the_stopped_ones(finished: Finished, tmp_path: Path) -> None:
    _, folder, _ = finished
    out = tmp_path / "out.csv"
    (tmp_path / ".out.csv.partial").write_text("premise\nold\n")
    told = {"mark": "of something else", "rows": 1, "size": 12}
    (tmp_path / ".out.csv.progress.json").write_text(json.dumps(told))
    source = write_rows(tmp_path / "new.jsonl", rows(60, 3))
    assert dawgen("predict", folder, source, "--out", out).out == f"3 rows labelled: {out}\n"
    assert len(out.read_text().splitlines()) == 4


def test_rows_under_the_threshold_are_marked(finished: Finished, tmp_path: Path) -> None:
    _, folder, _ = finished
    source = write_rows(tmp_path / "new.jsonl", rows(60, 9))
    chances = Classifier.load(folder).predict_proba(
        [(row["premise"], row["hypothesis"]) for row in rows(60, 9)]
    )
    middle = float(np.median(chances.max(axis=1)))
    out = tmp_path / "out.jsonl"
    asked = ["--out", out, "--abstain-below", f"{middle:.9f}"]
    assert dawgen("predict", folder, source, *asked).code == 0
    found = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["abstain"] for row in found] == [bool(c.max() < middle) for c in chances]
    assert {row["abstain"] for row in found} == {True, False}
    assert dawgen("predict", folder, source, "--abstain-below", "2").code == 2


def test_a_classifier_from_python(finished: Finished) -> None:
    _, folder, _ = finished
    classifier = Classifier.load(folder)
    pairs = [(row["premise"], row["hypothesis"]) for row in rows(40, 6)]
    chances = classifier.predict_proba(pairs)
    known = pq.read_table(folder / "predictions.parquet").to_pylist()[:6]
    np.testing.assert_allclose(chances[:, 0], [row["p_same"] for row in known], atol=1e-5)
    assert classifier.predict(pairs) == [row["prediction"] for row in known]
    assert classifier.predict(pairs, abstain_below=1.0) == [None] * 6
    assert classifier.predict([]) == []
    frame = pd.DataFrame(pairs, columns=["premise", "hypothesis"])
    swapped = frame[["hypothesis", "premise"]].assign(id=range(6))
    np.testing.assert_array_equal(classifier.predict_proba(swapped), chances)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ([("a", "b"), "one text"], "row 2: a row must be a pair of texts"),
        ("one string", "a single one: pass|row 1: a row must be a pair of texts"),
        ([None], r"row 1: the text is missing \(None\)"),
        ([("a", float("nan"))], "row 1: the text is missing"),
        (None, "of type NoneType"),
        ([("a", " ")], "row 1: the text is empty"),
    ],
)
def test_wrong_rows_from_python_are_refused_in_words(
    finished: Finished, wrong: Any, sentence: str
) -> None:
    classifier = Classifier.load(finished[1])
    for method in (classifier.predict, classifier.predict_proba, classifier.as_rows):
        with pytest.raises(ValueError, match=sentence):
            method(wrong)
    if not isinstance(wrong, str):  # which names a file there
        with pytest.raises(UserError, match=sentence):
            predicting.predict(finished[1], wrong)


@pytest.mark.parametrize("threshold", [2, -0.1, float("nan"), "0.5", True])
def test_a_threshold_that_is_no_probability_is_refused(
    finished: Finished, tmp_path: Path, threshold: Any
) -> None:
    _, folder, _ = finished
    source = write_rows(tmp_path / "new.jsonl", rows(60, 3))
    with pytest.raises(ValueError, match="abstain_below is a probability, from 0 to 1, not"):
        Classifier.load(folder).predict([("a", "b")], abstain_below=threshold)
    with pytest.raises(UserError, match="abstain_below"):
        predicting.predict(folder, [("a", "b")], abstain_below=threshold)
    with pytest.raises(UserError, match="abstain_below"):
        predicting.predict_file(folder, str(source), tmp_path / "out.csv", threshold)
    assert not list(tmp_path.glob("*out.csv*"))


def test_memory_does_not_grow_with_the_file(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five times the rows, the same memory; the model is left out, its batches are of one size."""
    _, folder, _ = finished
    monkeypatch.setattr(
        Classifier, "of_rows", lambda self, part: np.full((len(part), 2), 0.5, dtype=np.float32)
    )

    def peak(count: int) -> int:
        source = tmp_path / f"{count}.csv"
        with source.open("w") as file:
            file.write("premise,hypothesis\n")
            file.writelines(f"the premise number {n},and the hypothesis\n" for n in range(count))
        tracemalloc.start()
        predicting.predict_file(folder, str(source), tmp_path / f"{count}-out.csv")
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(1100)  # what is loaded once
    assert peak(11_000) < 1.3 * peak(2200)
