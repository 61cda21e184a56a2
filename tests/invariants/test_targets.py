"""Every command that writes: alone at its target, never through a link, never over another's."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from dawgen.errors import UserError
from dawgen.exporting import export, planned_uploads
from dawgen.pipeline.estimator import DawgenClassifier
from dawgen.storage.folder import RunFolder
from dawgen.use import predicting
from dawgen.use.classifier import Classifier
from tests.invariants.jobs import Outcome, SmallJob, dawgen, files_of, rows, write_rows

Finished = tuple[SmallJob, Path, Outcome]
HOLDER = f"pid {os.getpid()} on"


def meanwhile(
    monkeypatch: pytest.MonkeyPatch, place: Any, name: str, act: Callable[[], object]
) -> None:
    """Do something the first time that a function is called."""
    real, done = getattr(place, name), []

    def call(*values: Any, **named: Any) -> Any:
        if not done:
            done.append(True)
            act()
        return real(*values, **named)

    monkeypatch.setattr(place, name, call)


@pytest.fixture
def run(finished: Finished, tmp_path: Path) -> Path:
    """A finished run that a test may change."""
    return Path(shutil.copytree(finished[1], tmp_path / "run"))


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    path = tmp_path / "victim"
    path.write_text("precious")
    return path


# --- two processes -----------------------------------------------------------------------


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_a_second_predict_to_one_file_is_refused(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    _, folder, _ = finished
    monkeypatch.setattr(predicting, "CHUNK", 4)
    source, out = write_rows(tmp_path / "new.jsonl", rows(60, 11)), tmp_path / f"p{ending}"
    second: list[Outcome] = []
    command = ("predict", folder, source, "--out", out)
    meanwhile(monkeypatch, Classifier, "of_rows", lambda: second.append(dawgen(*command)))
    assert dawgen(*command).out == f"11 rows labelled: {out}\n"
    assert second[0].code == 2
    assert HOLDER in second[0].err
    count = pq.read_table(out).num_rows if ending == ".parquet" else len(out.open().readlines()) - 1
    assert count == 11
    assert not list(tmp_path.glob(".p*"))


def test_a_second_export_to_one_folder_is_refused(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    second: list[Outcome] = []
    command = ("export", finished[1], "--to", "peft", "--out", tmp_path / "out")
    meanwhile(monkeypatch, export, "load_backbone", lambda: second.append(dawgen(*command)))
    assert dawgen(*command).code == 0
    assert second[0].code == 2
    assert HOLDER in second[0].err
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_second_fit_leaves_the_firsts_rows_alone(tmp_path: Path) -> None:
    data = tmp_path / "run" / "input" / "rows.jsonl"
    data.parent.mkdir(parents=True)
    data.write_text("of the first")
    with RunFolder(tmp_path / "run").lock(), pytest.raises(UserError, match=HOLDER):
        DawgenClassifier(tmp_path / "run").fit(["a", "b", "c", "d"], [0, 0, 1, 1])
    assert data.read_text() == "of the first"


def test_the_rows_report_is_written_while_the_folder_is_held(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dawgen.use import agreement

    job, folder, _ = finished
    second: list[Outcome] = []
    command = ("synthesize", job.card, *job.arguments(), "--generator", folder / "generator")
    command = (*command, "--rows", 2, "--out", tmp_path / "rows")
    meanwhile(monkeypatch, agreement, "agreement", lambda: second.append(dawgen(*command)))
    assert dawgen(*command, "--classifier", folder).code == 0
    assert second[0].code == 2
    assert HOLDER in second[0].err


# --- a finished run ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "more", [["--rows", 2], ["--rows", 2, "--preview", 2], ["--import", "rows.jsonl"]]
)
def test_rows_of_a_finished_run_are_not_exchanged_below_its_report(
    finished: Finished, run: Path, tmp_path: Path, more: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    job, _, _ = finished
    monkeypatch.chdir(tmp_path)
    write_rows(tmp_path / "rows.jsonl", rows(70, 8))
    before = files_of(run)
    test = ["--test", job.data("test"), "--out", run]
    outcome = dawgen("synthesize", job.card, *job.arguments(), *test, *more)
    assert outcome.code == 2
    assert "holds a finished run, whose synthetic/" in outcome.err
    assert {k: v for k, v in files_of(run).items() if k != ".lock"} == {
        k: v for k, v in before.items() if k != ".lock"
    }
    same = dawgen("synthesize", job.card, *job.arguments(), *test)
    assert (same.code, "were there already" in same.out) == (0, True)
    assert (run / "report.html").exists()


def test_another_generator_takes_what_tells_of_the_whole_run(finished: Finished, run: Path) -> None:
    job, _, _ = finished
    command = ("fit-generator", job.card, "--out", run)
    assert dawgen(*command, *job.arguments()).code == 0
    assert (run / "run.json").exists()
    assert dawgen(*command, *job.arguments(generator__epochs=1)).code == 0
    for name in ("run.json", "scores.json", "predictions.parquet", "report.html"):
        assert not (run / name).exists()
    assert job.run(run).code == 0
    for name in ("scores.json", "predictions.parquet"):
        assert (run / name).read_bytes() == (finished[1] / name).read_bytes()


# --- what is not ours --------------------------------------------------------------------


@pytest.mark.parametrize("name", ["scores.json", "predictions.parquet"])
def test_evaluate_leaves_files_that_are_not_its_own(
    finished: Finished, tmp_path: Path, name: str
) -> None:
    job, _, _ = finished
    out = tmp_path / "mine"
    out.mkdir()
    (out / name).write_text('{"accuracy": 1}')
    command = ("evaluate", job.card, "--test", job.data("test"), "--method", "zero-shot")
    command = (*command, "-s", f"backbone.path={job.model}", "--out", out)
    outcome = dawgen(*command)
    assert outcome.code == 2
    assert f"{name} exists, was not made by `dawgen evaluate`" in outcome.err
    assert files_of(out) == {name: b'{"accuracy": 1}'}
    (out / name).unlink()
    assert dawgen(*command).code == 0
    assert dawgen(*command).code == 0  # over its own
    (out / "scores.json").unlink()
    assert dawgen(*command).code == 0  # over what a stopped one has left


def test_stages_alone_leave_files_that_are_not_theirs(job: SmallJob, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "report.html").write_text("mine")
    outcome = dawgen("fit-generator", job.card, *job.arguments(), "--out", tmp_path / "mine")
    assert outcome.code == 2
    assert "would be overwritten" in outcome.err
    assert (tmp_path / "mine" / "report.html").read_text() == "mine"


def test_a_comparison_leaves_a_page_that_is_none(finished: Finished, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("mine")
    command = ("report", finished[1], finished[1], "--out", page)
    outcome = dawgen(*command)
    assert outcome.code == 2
    assert "is no page of dawgen's" in outcome.err
    assert page.read_text() == "mine"
    page.unlink()
    assert dawgen(*command).code == 0
    assert dawgen(*command).code == 0


def test_a_card_is_not_written_over_a_link(job: SmallJob, tmp_path: Path) -> None:
    (tmp_path / "card.yaml").symlink_to(tmp_path / "nowhere.yaml")
    outcome = dawgen("tasks", "new", job.data("train"), "--out", tmp_path / "card.yaml")
    assert outcome.code == 2
    assert "exists already" in outcome.err
    assert (tmp_path / "card.yaml").is_symlink()
    assert not (tmp_path / "nowhere.yaml").exists()


# --- links -------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [os.symlink, os.link])
@pytest.mark.parametrize("ending", [".csv", ".parquet"])
@pytest.mark.parametrize("place", [".o{}.partial", ".o{}.half", ".o{}.progress.json", "o{}"])
def test_predict_writes_through_no_link(
    finished: Finished, tmp_path: Path, victim: Path, make: Any, ending: str, place: str
) -> None:
    source, out = write_rows(tmp_path / "new.jsonl", rows(60, 3)), tmp_path / f"o{ending}"
    make(victim, tmp_path / place.format(ending))
    outcome = dawgen("predict", finished[1], source, "--out", out)
    assert outcome.code == 0, outcome.err
    assert victim.read_text() == "precious"
    assert not out.is_symlink()
    assert out.stat().st_size > 50


def test_predict_goes_on_with_no_link(finished: Finished, tmp_path: Path, victim: Path) -> None:
    """Not even where the progress speaks for it."""
    _, folder, _ = finished
    source, out = write_rows(tmp_path / "new.jsonl", rows(60, 3)), tmp_path / "o.csv"
    marks: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(predicting, "fingerprint", lambda inputs: marks.append("x") or "x")
        (tmp_path / ".o.csv.partial").symlink_to(victim)
        told = {"mark": "x", "rows": 1, "size": 3}
        (tmp_path / ".o.csv.progress.json").write_text(json.dumps(told))
        assert dawgen("predict", folder, source, "--out", out).out == f"3 rows labelled: {out}\n"
    assert marks
    assert victim.read_text() == "precious"


@pytest.mark.parametrize("name", ["prompt", "task.yaml", "config.yaml"])
def test_a_run_is_not_read_through_a_link(
    finished: Finished, run: Path, tmp_path: Path, name: str
) -> None:
    (run / name).rename(tmp_path / "elsewhere")
    (run / name).symlink_to(tmp_path / "elsewhere")
    source = write_rows(tmp_path / "new.jsonl", rows(60, 3))
    for command in (
        ("predict", run, source),
        ("export", run, "--to", "peft", "--out", tmp_path / "out"),
        ("report", run),
    ):
        outcome = dawgen(*command)
        assert outcome.code == 2
        assert f"{name} is a symbolic link" in outcome.err
    assert not (tmp_path / "out").exists()


def test_an_export_leaves_its_run_folder_through_no_link(run: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (run / "exports").symlink_to(elsewhere)
    outcome = dawgen("export", run, "--to", "peft")
    assert outcome.code == 2
    assert "exports is a symbolic link" in outcome.err
    assert not list(elsewhere.iterdir())
    (run / "exports").unlink()
    (run / "exports").mkdir()
    (run / "exports" / ".peft.partial").symlink_to(elsewhere)
    assert dawgen("export", run, "--to", "peft").code == 0
    assert not list(elsewhere.iterdir())
    assert [path.name for path in (run / "exports").iterdir()] == ["peft"]


def test_a_link_among_the_rows_is_not_published(run: Path, tmp_path: Path, victim: Path) -> None:
    (run / "synthetic" / "notes.txt").symlink_to(victim)
    with pytest.raises(UserError, match=r"notes\.txt is a symbolic link"):
        planned_uploads(run, tmp_path / "work", model=None, dataset="me/rows")
