"""The last screen of a run, from a hand-made run folder."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.cells import cell_len

from dawgen.pipeline.summary import MOST_LINES, summary
from dawgen.report.read import read_run
from dawgen.report.verdicts import verdicts
from dawgen.terminal.screen import Line, height, shortened, show
from tests.report.folder import SCORES, synthetic_row, write_run

HOSTILE = "\x1b[2J\x1b]0;owned\x07 [bold red]not markup[/] \u202eback\r\nand a second line"


@pytest.fixture
def run_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Named as users do: relative to where they are."""
    monkeypatch.chdir(tmp_path)
    folder = write_run(Path("runs/pairs-13"))
    scores(folder)
    return folder


def scores(folder: Path, **changes: Any) -> None:
    content = SCORES | {"backbone": "dawgen/smollm2"} | changes
    (folder / "scores.json").write_text(json.dumps(content))


def written(folder: Path, texts: Mapping[str, Sequence[tuple[str, str | None]]]) -> None:
    """Other synthetic rows than the hand-made folder's."""
    rows = [
        synthetic_row(label, 0.5, text1=text1, text2=text2)
        for label, pairs in texts.items()
        for text1, text2 in pairs
    ]
    for path in (folder / "synthetic").glob("*.parquet"):
        path.unlink()
    pq.write_table(pa.Table.from_pylist(rows), folder / "synthetic" / "shard-00000.parquet")
    accounts = {
        label: {"attempted": len(p), "kept": len(p), "rejected": 0, "reasons": {}}
        for label, p in texts.items()
    }
    ledger = {"attempted": len(rows), "kept": len(rows), "reasons": {}, "labels": accounts}
    (folder / "synthetic" / "ledger.json").write_text(json.dumps(ledger))


def texts(folder: Path, columns: int = 100) -> list[str]:
    return [line.text for line in summary(folder, columns)]


def line_with(folder: Path, mark: str) -> str:
    (line,) = (text for text in texts(folder) if mark in text)
    return line


def test_it_begins_with_what_came_out(run_folder: Path) -> None:
    first, second, *_ = texts(run_folder)
    assert first == "pairs on dawgen/smollm2: 50.0 % right (95 % interval 15.0 to 85.0 %)"
    assert second == "From 8 labelled rows: 4 rows kept of 9 written; seed 13, 3 s."


def test_every_method_stands_with_its_accuracy_and_interval(run_folder: Path) -> None:
    lines = [" ".join(text.split()) for text in texts(run_folder)]
    assert "Accuracy on 4 test rows" in lines
    assert "prompt tuned on shots and written rows 50.0 % 15.0 to 85.0 %" in lines
    assert "prompt tuned on the shots alone 25.0 % 5.0 to 70.0 %" in lines
    assert "zero-shot, no tuning 75.0 % 30.0 to 95.0 %" in lines
    assert any(line.startswith("always the most frequent label 50.0 %") for line in lines)


def test_three_verdicts_stand_below_the_figures(run_folder: Path) -> None:
    found = [line.text for line in verdict_lines(run_folder, 100)]
    assert found == [f"- {verdict.text}" for verdict in verdicts(read_run(run_folder), 3)]
    assert len(found) == 3
    assert found[0].startswith("- Written rows helped the prompt by 25.0 points")


def test_verdicts_leave_room_for_rows_on_narrow_terminals(run_folder: Path) -> None:
    assert len(verdict_lines(run_folder, 30)) < 3
    assert any(" | " in text for text in texts(run_folder, 30))


def verdict_lines(folder: Path, columns: int) -> list[Line]:
    return [line for line in summary(folder, columns) if line.text.startswith("- ")]


def test_rows_that_were_not_used_get_no_credit(run_folder: Path) -> None:
    (run_folder / "prompt" / "arm.json").write_text('{"combine": "real"}')
    content = {name: value for name, value in SCORES.items() if name != "baseline"}
    (run_folder / "scores.json").write_text(json.dumps(content | {"backbone": "tiny"}))
    assert "were not used" in line_with(run_folder, "- Written rows")
    assert not [text for text in texts(run_folder) if "on shots and written rows" in text]
    assert "50.0 %" in line_with(run_folder, "prompt tuned on the shots alone")


def test_a_card_that_goes_by_macro_f1_is_shown_by_it(run_folder: Path) -> None:
    parts = {
        name: SCORES[name] | {"macro_f1": value, "macro_f1_95": [value - 0.1, value + 0.1]}
        for name, value in (("baseline", 0.3), ("zero_shot", 0.2))
    }
    scores(run_folder, metric="macro_f1", macro_f1=0.4, macro_f1_95=[0.25, 0.6], **parts)
    assert texts(run_folder)[0].endswith(": macro-F1 40.0 % (95 % interval 25.0 to 60.0 %)")
    lines = [" ".join(text.split()) for text in texts(run_folder)]
    assert "Macro-F1 on 4 test rows" in lines
    assert "prompt tuned on the shots alone 30.0 % 20.0 to 40.0 %" in lines
    # Two rows of each of two labels: F1 of the one that is always given is 2/3, of the other 0.
    assert any(line.startswith("always the most frequent label 33.3 %") for line in lines)


def test_a_run_without_an_interval_is_shown_without(run_folder: Path) -> None:
    content = {name: value for name, value in SCORES.items() if name != "accuracy_95"}
    (run_folder / "scores.json").write_text(json.dumps(content | {"backbone": "tiny"}))
    assert texts(run_folder)[0] == "pairs on tiny: 50.0 % right"


def test_three_rows_per_label_and_only_kept_ones(run_folder: Path) -> None:
    lines = texts(run_folder)
    start = lines.index("Written rows, in runs/pairs-13/synthetic")
    assert lines[start + 1 : start + 4] == [
        "  yes  A dog runs. | An animal moves 0.9.",
        "       A dog runs. | An animal moves 0.7.",
        "       A dog runs. | An animal moves 0.5.",
    ]
    assert lines[start + 4].startswith("  no   A dog runs. | <script>alert('x')</script>")
    assert lines[start + 5] == ""


def test_a_label_of_which_no_row_was_kept_is_named(run_folder: Path) -> None:
    written(run_folder, {"yes": [("A dog.", "A cat.")], "no": []})
    assert "  no   (none was kept)" in texts(run_folder)


def test_rows_of_single_texts_have_no_bar(run_folder: Path) -> None:
    written(run_folder, {"good": [("A fine film.", None)]})
    assert "  good  A fine film." in texts(run_folder)


@pytest.mark.parametrize("columns", [40, 60, 80, 132])
@pytest.mark.parametrize("labels", [2, 3, 6, 77])
def test_it_fits_on_one_screen(run_folder: Path, columns: int, labels: int) -> None:
    """Paths and commands are whole, so on narrow terminals rows have to go."""
    long = "a very long sentence, 長い文章 " * 20
    written(run_folder, {f"label number {n}": [(long, long)] * 5 for n in range(labels)})
    lines = summary(run_folder, columns)
    assert height(lines, columns) <= MOST_LINES
    rows = [line for line in lines if " | " in line.text]
    assert all(cell_len(line.text) <= columns for line in rows)
    assert rows
    if columns >= 80:
        assert len(rows) == {2: 6, 3: 9}.get(labels, len(rows))
        assert any("labels more" in line.text for line in lines) == (labels == 77)


def test_folders_of_long_names_cost_rows_and_not_the_screen(tmp_path: Path) -> None:
    folder = write_run(tmp_path.joinpath(*["a folder of a long name"] * 4))
    scores(folder)
    lines = summary(folder, 60)
    assert height(lines, 60) <= MOST_LINES
    assert str(folder / "report.html") in lines[-3].text


def test_a_short_text_leaves_its_room_to_the_other(run_folder: Path) -> None:
    written(run_folder, {"yes": [("Short.", "b" * 200)], "no": [("a" * 200, "Short.")]})
    yes = line_with(run_folder, "  yes")
    no = line_with(run_folder, "  no")
    assert yes.startswith("  yes  Short. | bbb")
    assert no.endswith("a… | Short.")
    assert cell_len(yes) == cell_len(no) == 100


def test_no_text_of_a_row_moves_the_terminal(
    run_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written(run_folder, {HOSTILE: [(HOSTILE, HOSTILE)]})
    scores(run_folder, task=HOSTILE, backbone=HOSTILE)
    lines = summary(run_folder, 400)
    show(lines)
    out = capsys.readouterr().out
    assert not [c for c in out if not c.isprintable() and c != "\n"]
    assert out.count("\n") == len(lines)
    assert "[bold red]not markup[/]" in out
    assert "\\x1b[2J" in out


def test_commands_are_as_they_are_typed(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "it's a run [bold]")
    scores(folder)
    for mark, command in (
        ("Use it:", ["dawgen", "predict", str(folder), "ROWS.csv"]),
        ("Export:", ["dawgen", "export", str(folder)]),
        ("Report:", [str(folder / "report.html")]),
    ):
        for columns in (30, 100):
            (line,) = (text for text in texts(folder, columns) if mark in text)
            assert shlex.split(line.partition(mark)[2]) == command


def test_a_larger_encoder_is_named_where_the_run_had_none(run_folder: Path) -> None:
    facts = {"shipped_better": 0, "shipped_worse": 0, "p": 1.0, "held_out_rows": 8}
    heads = [{"name": n, "held_out_accuracy": 0.5, **facts} for n in ("tfidf", "embeddings")]
    scores(run_folder, choice="tfidf", candidates=heads)
    for encoder, named in (("dawgen/tiny", True), ("dawgen/mpnet", False)):
        (run_folder / "config.yaml").write_text(f"selection:\n  encoder: {encoder}\n")
        assert any("dawgen backbones get mpnet" in text for text in texts(run_folder)) == named
    scores(run_folder, choice="tfidf", candidates=heads[:1])  # of which no head has an encoder
    (run_folder / "config.yaml").write_text("selection:\n  encoder: dawgen/tiny\n")
    assert not any("get mpnet" in text for text in texts(run_folder))


def test_what_is_piped_is_plain_and_whole(capsys: pytest.CaptureFixture[str]) -> None:
    long = "dawgen predict " + "folder/" * 60
    show([Line("A heading", "bold"), Line(long)])
    assert capsys.readouterr().out == f"A heading\n{long}\n"


def test_shortened_text_never_exceeds_its_columns() -> None:
    assert shortened("a  b\nc", 10) == "a b c"
    assert shortened("abcdef", 6) == "abcdef"
    assert shortened("abcdefg", 6) == "abcde…"
    for columns in range(1, 12):
        assert cell_len(shortened("漢字漢字漢字漢字", columns)) <= columns
