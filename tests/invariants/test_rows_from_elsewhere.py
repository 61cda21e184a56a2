"""`dawgen run --synthetic FILE`: rows that somebody else wrote, in place of a generator's."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from tests.invariants.jobs import Outcome, SmallJob, dawgen, rows, write_rows
from tests.teacher_server import Server

Made = tuple[SmallJob, Path, Path, Outcome]


def read(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def foreign(folder: Path) -> Path:
    """Ten good rows, one of them twice, as CSV."""
    found = [*rows(100, 10), rows(100, 1)[0]]
    path = folder / "written.csv"
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, list(found[0]))
        table.writeheader()
        table.writerows(found)
    return path


@pytest.fixture(scope="module")
def made(
    tmp_path_factory: pytest.TempPathFactory, finished: tuple[SmallJob, Path, Outcome]
) -> Made:
    job, _, _ = finished
    folder = tmp_path_factory.mktemp("elsewhere")
    source = foreign(folder)
    outcome = job.run(folder / "run", "--synthetic", source)
    assert outcome.code == 0, outcome.err
    return job, folder / "run", source, outcome


def test_a_run_without_a_generator_is_whole(made: Made) -> None:
    _, run, _, outcome = made
    assert not (run / "generator").exists()
    stages = read(run / "run.json")["stages"]
    assert list(stages) == ["synthesis", "tuning", "evaluation", "map"] or "baseline" in stages
    assert "generator" not in stages
    account = read(run / "synthetic" / "ledger.json")
    assert (account["attempted"], account["kept"]) == (11, 10)
    assert account["reasons"] == {"duplicate": 1}
    assert read(run / "scores.json")["n"] == 30
    assert "10 rows kept of 11 of written.csv" in outcome.out


def test_all_say_where_the_rows_come_from(made: Made) -> None:
    _, run, source, _ = made
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    assert read(run / "run.json")["synthetic"] == {"name": "written.csv", "sha256": digest}
    for name in ("report.html", "synthetic/README.md"):
        text = (run / name).read_text("utf-8")
        assert "written.csv" in text
        assert digest in text
        assert "dawgen wrote" not in text
        assert "written by a language model" not in text


def test_it_resumes_and_a_changed_file_is_read_again(made: Made, tmp_path: Path) -> None:
    job, run, source, _ = made
    again = job.run(run, "--synthetic", source)
    assert again.code == 0, again.err
    assert all(stage["skipped"] for stage in read(run / "run.json")["stages"].values())
    changed = write_rows(tmp_path / "written.jsonl", rows(100, 8))
    out = tmp_path / "run"
    assert job.run(out, "--synthetic", changed).code == 0
    write_rows(changed, rows(100, 6))
    assert job.run(out, "--synthetic", changed).code == 0
    assert read(out / "synthetic" / "ledger.json")["kept"] == 6
    assert not read(out / "run.json")["stages"]["synthesis"]["skipped"]


def test_a_generator_of_an_earlier_run_goes_aside(finished: Any, tmp_path: Path) -> None:
    job, _, _ = finished
    source = foreign(tmp_path)
    assert job.run(tmp_path / "run").code == 0
    assert (tmp_path / "run" / "generator").is_dir()
    assert job.run(tmp_path / "run", "--synthetic", source).code == 0
    assert not (tmp_path / "run" / "generator").exists()
    assert job.run(tmp_path / "run").code == 0
    record = read(tmp_path / "run" / "run.json")
    assert record["stages"]["generator"]["skipped"]
    assert record["synthetic"] is None


def test_a_reader_and_a_selection_do_without_a_generator(finished: Any, tmp_path: Path) -> None:
    job, _, _ = finished
    wrong = [row | {"verdict": "other"} for row in rows(100, 10)] + rows(120, 10)
    source = write_rows(tmp_path / "rows.jsonl", wrong)
    out = tmp_path / "run"
    changes = {"synthesis__choose__by": "reader", "synthesis__keep_rejected": "true"}
    changes["selection__candidates"] = "[tfidf, prompt, noisy-channel]"
    outcome = job.run(out, "--synthetic", source, **changes)
    assert outcome.code == 0, outcome.err
    assert read(out / "synthetic" / "ledger.json")["reasons"]["reader disagrees"] > 0
    assert "reader" in read(out / "synthetic" / "fingerprint.json")["inputs"]
    assert [row["name"] for row in read(out / "choice" / "candidates.json")] == ["tfidf", "prompt"]


def test_the_rows_of_the_run_itself_are_refused(made: Made) -> None:
    job, run, _, _ = made
    outcome = job.run(run, "--synthetic", run / "synthetic")
    assert outcome.code == 2
    assert "is in the run folder" in outcome.err


def test_a_plan_has_no_generator(made: Made) -> None:
    job, _, source, _ = made
    outcome = dawgen("plan", job.card, *job.arguments(), "--synthetic", source)
    assert outcome.code == 0, outcome.err
    assert "generator" not in outcome.out
    assert "11 rows from written.csv (SHA-256" in outcome.out


def test_a_run_asks_a_teacher(finished: Any, server: Server, tmp_path: Path) -> None:
    """The teacher is a stage before the import; a second run asks nothing."""
    job, _, _ = finished

    def answer(text: str) -> str:
        label = text.partition('with the label "')[2].partition('"')[0]
        return "\n".join(json.dumps(row) for row in rows(100, 20) if row["verdict"] == label)

    server.answer = answer
    teacher = ["--teacher", server.url, "--teacher-model", "wise", "--teacher-rows", 10]
    outcome = job.run(tmp_path / "run", *teacher)
    assert outcome.code == 0, outcome.err
    record = read(tmp_path / "run" / "run.json")
    assert "teacher" in record["stages"]
    assert "generator" not in record["stages"]
    assert record["synthetic"]["name"].startswith("wise at 127.0.0.1")
    assert read(tmp_path / "run" / "synthetic" / "teacher.json")["requests"] == 2
    assert "wise at 127.0.0.1" in (tmp_path / "run" / "report.html").read_text("utf-8")
    assert job.run(tmp_path / "run", *teacher).code == 0
    assert len(server.requests) == 2
    assert job.run(tmp_path / "run", *teacher, "--synthetic", "x.csv").code == 2
