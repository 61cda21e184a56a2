"""`dawgen synthesize` and `dawgen inspect` through the command line."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer

from dawgen.commands import synthesize
from dawgen.commands.inspect import weight_lines, weight_style
from dawgen.decoding import TransformersEngine
from dawgen.tasks.files import Table
from tests.invariants.jobs import Outcome, SmallJob, dawgen, files_of

Finished = tuple[SmallJob, Path, Outcome]


def ledger(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "synthetic" / "ledger.json").read_text())
    return found


def rows_of(folder: Path) -> list[dict[str, Any]]:
    paths = sorted((folder / "synthetic").glob("shard-*.parquet"))
    return [row for path in paths for row in pq.read_table(path).to_pylist()]


# --- from a generator -------------------------------------------------------------------------


def write(finished: Finished, out: Path, *more: object) -> Outcome:
    job, folder, _ = finished
    generator = ["--generator", folder / "generator"]
    return dawgen("synthesize", job.card, *job.arguments(), *generator, "--out", out, *more)


def test_so_many_rows_with_a_report_and_a_log(finished: Finished, tmp_path: Path) -> None:
    outcome = write(finished, tmp_path, "--rows", 3, "--keep-rejected")
    assert outcome.code == 0, outcome.err
    account = ledger(tmp_path)
    assert account["kept"] == 6
    assert len(rows_of(tmp_path)) == account["attempted"]
    assert f"6 of {account['attempted']:,} rows kept" in outcome.out
    assert "tokens/s" in outcome.out
    speed = json.loads((tmp_path / "synthesis-speed.json").read_text())
    assert speed["attempted"] == account["attempted"]
    again = write(finished, tmp_path, "--rows", 3, "--keep-rejected")
    assert "there already" in again.out
    assert "tokens/s" not in again.out


def test_a_preview_comes_first_and_changes_nothing(finished: Finished, tmp_path: Path) -> None:
    """Off a terminal nothing is asked. The rows shown are the first that the synthesis keeps."""
    plain = write(finished, tmp_path / "plain", "--rows", 3)
    shown = write(finished, tmp_path / "shown", "--rows", 3, "--preview", 6)
    assert shown.code == 0
    before, mark, _ = shown.out.partition("rejected: ")
    assert mark
    assert "same: 3 of" in before
    assert "other: 3 of" in before
    assert plain.out.partition("\n")[0] in shown.out
    assert files_of(tmp_path / "plain/synthetic") == files_of(tmp_path / "shown/synthetic")
    for row in rows_of(tmp_path / "shown"):
        assert f"-> {row['text2']}\n" in before


def test_on_a_terminal_the_user_may_stop_after_the_preview(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[str] = []

    def confirm(question: str, default: bool) -> bool:
        asked.append(question)
        return answer

    monkeypatch.setattr(typer, "confirm", confirm)
    synthesize._show(["a row"], ask=True)
    assert asked == []
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    answer = True
    synthesize._show(["a row"], ask=True)
    answer = False
    synthesize._show(["a row"], ask=False)  # --yes
    with pytest.raises(typer.Exit) as stop:
        synthesize._show(["a row"], ask=True)
    assert stop.value.exit_code == 0
    assert len(asked) == 2
    assert "Nothing was written" in capsys.readouterr().out


def test_a_stopped_synthesis_goes_on_from_its_last_shard(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = ("--rows", 4, "-s", "synthesis.shard_rows=2")
    assert write(finished, tmp_path / "whole", *small).code == 0
    out = tmp_path / "half"
    generate = TransformersEngine.generate

    def stop(engine: TransformersEngine, requests: Any) -> Any:
        if list(out.glob(".synthesis-*/shard-00000.parquet")):
            raise KeyboardInterrupt
        return generate(engine, requests)

    with monkeypatch.context() as patch:
        patch.setattr(TransformersEngine, "generate", stop)
        assert write(finished, out, *small).code == 130
    assert write(finished, out, *small).code == 0
    assert files_of(out / "synthetic") == files_of(tmp_path / "whole" / "synthetic")
    assert json.loads((out / "synthesis-speed.json").read_text())["kept"] == 4


def test_a_tuned_run_says_how_far_it_agrees(finished: Finished, tmp_path: Path) -> None:
    _, folder, _ = finished
    assert write(finished, tmp_path, "--rows", 3).code == 0
    before = files_of(tmp_path / "synthetic")
    outcome = write(finished, tmp_path, "--rows", 3, "--classifier", folder)
    assert outcome.code == 0, outcome.err
    assert "run gives the row's own label to" in outcome.out
    report = json.loads((tmp_path / "synthetic" / "quality.json").read_text())
    assert sum(part["rows"] for part in report["agreement"]["labels"].values()) == 6
    after = files_of(tmp_path / "synthetic")
    assert {name for name in before if before[name] != after[name]} == {
        "quality.json",
        "fingerprint.json",  # the seal, of which the next run finds that all is as it was written
    }
    prompt = write(finished, tmp_path, "--rows", 3, "--classifier", folder / "prompt")
    told = json.loads((tmp_path / "synthetic" / "quality.json").read_text())["agreement"]
    assert prompt.code == 0
    assert told == report["agreement"] | {"classifier": "prompt"}


# --- anybody's rows ---------------------------------------------------------------------------

GIVEN = [
    ("a man sleeps under the house", "a man sleeps near the house", "same"),
    ("a man sleeps under the house", "A man sleeps near the house!", "other"),  # the same again
    ("a dog eats outside", "a dog eats outside , not", "other"),
    ("a dog eats outside now", "a dog eats outside now", "same"),  # a copy
    ("a cat plays", "", "same"),
    ("", "a cat plays on the street", "other"),
    ("a cat plays", "a cat cat cat plays", "other"),
    ("two people run", "two people run outside near the field", "same"),
]
REASONS = {
    "duplicate": 1,
    "copy of the first text": 1,
    "empty": 1,
    "first sentence empty": 1,
    "repeats itself": 1,
}


def given(path: Path) -> Path:
    """The rows in the format that the ending tells, `.list.json` being FewGen's."""
    records = [{"premise": a, "hypothesis": b, "verdict": c} for a, b, c in GIVEN]
    if path.name.endswith(".list.json"):
        path.write_text(json.dumps(records))
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
    elif path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(records), path)
    else:
        text = io.StringIO()
        writer = csv.DictWriter(text, list(records[0]))
        writer.writeheader()
        writer.writerows(records)
        path.write_text(text.getvalue())
    return path


def take(job: SmallJob, source: object, out: Path, *more: object) -> Outcome:
    return dawgen("synthesize", job.card, *job.arguments(), "--import", source, "--out", out, *more)


@pytest.mark.parametrize("name", ["r.list.json", "r.jsonl", "r.csv", "r.parquet"])
def test_rows_of_any_format_are_cleaned_and_counted(
    job: SmallJob, tmp_path: Path, name: str
) -> None:
    out = tmp_path / "out"
    outcome = take(job, given(tmp_path / name), out, "--keep-rejected")
    assert outcome.code == 0, outcome.err
    account = ledger(out)
    assert (account["attempted"], account["kept"]) == (8, 3)
    assert account["reasons"] == REASONS
    written = rows_of(out)
    assert [row["first_sentence"] for row in written] == [f"import:{name}:{n}" for n in range(1, 9)]
    assert [(row["text1"], row["text2"], row["label"]) for row in written] == GIVEN
    assert {row["label_ratio"] for row in written} == {None}
    assert "3 of 8 rows kept" in outcome.out
    assert not (out / "synthesis-speed.json").exists()


def test_rows_of_the_hub(job: SmallJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = [{"premise": a, "hypothesis": b, "verdict": c} for a, b, c in GIVEN]
    table = Table("hub:me/rows@train", list(records[0]), records, from_hub=True)
    monkeypatch.setattr("dawgen.tasks.load._download", lambda *_: table)
    out = tmp_path / "out"
    assert take(job, "hub:me/rows@train", out).code == 0
    assert ledger(out)["reasons"] == REASONS
    assert rows_of(out)[0]["first_sentence"] == "import:hub:me/rows@train:1"
    assert "imported from hub:me/rows@train" in (out / "synthetic" / "README.md").read_text()


def test_rules_can_be_left_out_for_an_import(job: SmallJob, tmp_path: Path) -> None:
    skip = "synthesis.cleaning.skip=[duplicate, near-duplicate, repeats itself]"
    out = tmp_path / "out"
    assert take(job, given(tmp_path / "r.csv"), out, "-s", skip).code == 0
    assert ledger(out)["reasons"] == {
        "copy of the first text": 1,
        "empty": 1,
        "first sentence empty": 1,
    }


def test_a_generator_scores_imported_rows_and_chooses_the_best(
    finished: Finished, tmp_path: Path
) -> None:
    job, folder, _ = finished
    source = given(tmp_path / "r.jsonl")
    generator = ("--generator", folder / "generator", "--rows", 1, "--keep-rejected")
    outcome = take(job, source, tmp_path / "out", *generator)
    assert outcome.code == 0, outcome.err
    account = ledger(tmp_path / "out")
    assert account["reasons"] == REASONS | {"lower label ratio than others": 1}
    assert {name: part["kept"] for name, part in account["labels"].items()} == {
        "same": 1,
        "other": 1,
    }
    scored = [row for row in rows_of(tmp_path / "out") if row["label_ratio"] is not None]
    same = sorted((r["label_ratio"], r["kept"]) for r in scored if r["label"] == "same")
    assert [kept for _, kept in same] == [False, True]
    without = take(job, source, tmp_path / "plain", "--rows", 1)
    assert without.code == 0
    assert ledger(tmp_path / "plain")["reasons"] == REASONS | {"more rows than asked for": 1}


def test_a_preview_of_imported_rows_is_harmless(job: SmallJob, tmp_path: Path) -> None:
    source = tmp_path / "r.jsonl"
    row = {
        "premise": "a\u202ecat \u200bplays",
        "hypothesis": "it plays on the street",
        "verdict": "same",
    }
    source.write_text(json.dumps(row) + "\n")
    outcome = take(job, source, tmp_path / "out", "--preview", 4)
    assert outcome.code == 0, outcome.err
    assert (
        "same: 1 of 1 kept\n  a\\u202ecat \\u200bplays\n      -> it plays on the street"
        in outcome.out
    )


def test_an_import_can_be_tuned_on_and_loads_as_a_dataset(job: SmallJob, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert take(job, given(tmp_path / "r.csv"), out).code == 0
    loaded = datasets.load_dataset(
        str(out / "synthetic"), split="train", cache_dir=str(tmp_path / "cache")
    )
    assert loaded["kept"] == [True] * 3
    outcome = dawgen(
        *("tune", job.card, *job.arguments(), "--synthetic", out / "synthetic", "--out", out)
    )
    assert outcome.code == 0, outcome.err


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("--import", "nowhere.json"), "no file nowhere.json"),
        (("--import", "nowhere", "--generator", "none"), "no generator in none"),
        (("--generator", "none"), "no generator in none"),
        (("-s", "synthesis.cleaning.skip=[bed end]"), "one of empty, cut off"),
        (("--classifier", "none"), "none holds no classifier"),
        (("-s", "synthesis.first_sentences={captions: 0}"), "greater than 0"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    job: SmallJob, tmp_path: Path, arguments: tuple[str, ...], part: str
) -> None:
    outcome = dawgen("synthesize", job.card, *job.arguments(), *arguments, "--out", tmp_path / "o")
    assert outcome.code == 2
    assert part in outcome.err
    assert "Traceback" not in outcome.err
    assert not (tmp_path / "o").exists()


def test_an_import_of_which_nothing_is_kept_says_why(job: SmallJob, tmp_path: Path) -> None:
    source = tmp_path / "r.jsonl"
    source.write_text('{"premise": "a cat", "hypothesis": "", "verdict": "same"}\n')
    outcome = take(job, source, tmp_path / "o")
    assert outcome.code == 2
    assert "None of the 1 rows" in outcome.err
    assert "empty (1)" in outcome.err
    assert not (tmp_path / "o" / "synthetic").exists()


# --- token weights ----------------------------------------------------------------------------


def test_every_token_of_the_shots_has_its_weight_and_ratio(finished: Finished) -> None:
    _, folder, _ = finished
    outcome = dawgen("inspect", "weights", folder, "--json")
    assert outcome.code == 0, outcome.err
    texts = json.loads(outcome.out)
    assert len(texts) == 8
    assert {text["label"] for text in texts} == {"same", "other"}
    tokens = [token for text in texts for token in text["tokens"]]
    assert sum(token["weight"] for token in tokens) / len(tokens) == pytest.approx(1, abs=1e-3)
    assert all(0 < token["label_ratio"] < 1 for token in tokens)
    first = texts[0]
    assert "".join(token["text"] for token in first["tokens"]).endswith(("yes", "not"))
    assert first["tokens"][-1]["text"] == ""  # the end mark
    assert first["source"]


def test_off_a_terminal_weights_are_plain_columns(finished: Finished) -> None:
    _, folder, _ = finished
    outcome = dawgen("inspect", "weights", folder / "generator")
    assert outcome.code == 0
    assert "\x1b" not in outcome.out
    assert outcome.out.count("  ratio ") >= 8
    assert "<end>" in outcome.out


def test_columns_wrap_and_texts_are_escaped() -> None:
    token = {"text": " \x1b[31mred", "weight": 3.0, "label_ratio": 0.5}
    text = {"row": 0, "label": "a\x07b", "source": "s\x1b", "tokens": [token] * 9}
    lines = list(weight_lines([text], 40))
    assert all(line.cell_len <= 40 for line in lines[4:])
    assert sum(line.plain.startswith("  token") for line in lines) == 5
    assert not any("\x1b" in line.plain or "\x07" in line.plain for line in lines)
    assert "\\x1b[31mred" in lines[4].plain


def test_the_heavier_the_redder() -> None:
    assert weight_style(0.2) == weight_style(1.0) == ""
    assert weight_style(2.0) == "black on rgb(255,128,128)"
    assert weight_style(3.0) == weight_style(9.0) == "black on rgb(255,0,0)"


def test_a_folder_without_weights_is_told(tmp_path: Path) -> None:
    outcome = dawgen("inspect", "weights", tmp_path)
    assert outcome.code == 2
    assert "no token weights" in outcome.err
