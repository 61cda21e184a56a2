"""Choosing rows by the prompt on the few shots alone, through the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from dawgen.decoding import TransformersEngine
from dawgen.storage.seals import read_seal
from tests.invariants.jobs import Outcome, SmallJob, dawgen, files_of, rows, write_job, write_rows

CHOOSE = {"synthesis__choose__by": "reader", "synthesis__keep_rejected": "true"}
SAME_BYTES = ("generator", "synthetic", "prompt", "baseline")
Chosen = tuple[SmallJob, Path, Outcome]


@pytest.fixture(scope="module")
def chosen(tmp_path_factory: pytest.TempPathFactory, model_folder: Path) -> Chosen:
    """A finished run whose rows the reader chose."""
    folder = tmp_path_factory.mktemp("chosen")
    job = write_job(folder, model_folder)
    outcome = job.run(folder / "run", **CHOOSE)
    assert outcome.code == 0, outcome.err
    return job, folder / "run", outcome


def read(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def texts(run: Path) -> list[dict[str, Any]]:
    return [
        row
        for path in sorted((run / "synthetic").glob("shard-*.parquet"))
        for row in pq.read_table(path).to_pylist()
    ]


def test_the_prompt_on_the_shots_alone_comes_first(chosen: Chosen) -> None:
    _, run, outcome = chosen
    order = ["baseline", "generator", "synthesis", "tuning", "evaluation", "map"]
    assert list(read(run / "run.json")["stages"]) == order
    lines = [line for line in outcome.err.splitlines() if line.startswith("dawgen: ")]
    assert [line.split()[1] for line in lines] == ["1/5", "2/5", "3/5", "4/5", "5/5"]
    assert lines[0].endswith("tuning a prompt on the few shots alone")
    assert lines[2].endswith("and choosing those whose label a reader confirms")
    scores = read(run / "scores.json")
    assert {"baseline", "zero_shot"} <= set(scores)


def test_each_label_keeps_as_many_as_asked_for_and_the_ledger_balances(chosen: Chosen) -> None:
    _, run, _ = chosen
    ledger, written = read(run / "synthetic" / "ledger.json"), texts(run)
    against = [row for row in written if row["reason"] == "reader disagrees"]
    assert len(against) == ledger["reasons"]["reader disagrees"] > 0
    assert len(written) == ledger["attempted"] == ledger["kept"] + ledger["rejected"]
    assert [account["kept"] for account in ledger["labels"].values()] == [6, 6]


def test_the_report_says_how_far_the_reader_agreed(chosen: Chosen) -> None:
    _, run, _ = chosen
    shares = read(run / "synthetic" / "quality.json")["reader_agreement"]
    assert set(shares) == {"same", "other"}
    assert all(0 < share <= 1 for share in shares.values())
    page = (run / "report.html").read_text("utf-8")
    assert f"were kept: same {shares['same']:.1%}, other {shares['other']:.1%}." in page


def test_the_stages_alone_make_what_the_run_makes(chosen: Chosen, tmp_path: Path) -> None:
    job, run, _ = chosen
    out = tmp_path / "run"
    given = job.arguments(**CHOOSE)
    assert dawgen("fit-generator", job.card, *given, "--out", out).code == 0
    test = ["--test", job.data("test")]
    assert dawgen("synthesize", job.card, *given, *test, "--out", out).code == 0
    tuned = dawgen("tune", job.card, *given, "--synthetic", out / "synthetic", "--out", out)
    assert tuned.code == 0, tuned.err
    assert "were chosen by this reader already" in tuned.err
    for name in SAME_BYTES:
        assert files_of(out / name) == files_of(run / name), name


def test_what_the_baseline_is_depends_on_the_shots_alone(chosen: Chosen, tmp_path: Path) -> None:
    """Nothing about synthetic rows makes it anew, nor whether it is asked for to compare with."""
    job, run, _ = chosen
    settings = {"tuning__combine": "mixed", "synthesis__rows_per_label": 3, "tuning__epsilon": 0.5}
    out = tmp_path / "run"
    assert job.run(out, **settings).code == 0
    assert files_of(out / "baseline") == files_of(run / "baseline")
    assert job.run(out, tuning__baseline="false", **settings, **CHOOSE).code == 0
    assert read(out / "run.json")["stages"]["baseline"]["skipped"]


def test_without_a_baseline_and_without_choosing_there_are_four_stages(
    job: SmallJob, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    outcome = job.run(out, tuning__baseline="false")
    assert outcome.code == 0, outcome.err
    assert "dawgen: 1/4 tuning the generator on the few shots" in outcome.err
    assert "baseline" not in read(out / "run.json")["stages"]
    assert not (out / "baseline").exists()
    assert read(out / "synthetic" / "quality.json")["reader_agreement"] is None


def test_a_stopped_run_goes_on_from_its_last_shard(
    chosen: Chosen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, _, _ = chosen
    whole, out = tmp_path / "whole", tmp_path / "run"
    small = {"synthesis__shard_rows": 2, **CHOOSE}
    assert job.run(whole, **small).code == 0
    generate = TransformersEngine.generate

    def stop(engine: TransformersEngine, requests: Any) -> Any:
        if list(out.glob(".synthesis-*/shard-00001.parquet")):
            raise KeyboardInterrupt
        return generate(engine, requests)

    with monkeypatch.context() as patch:
        patch.setattr(TransformersEngine, "generate", stop)
        assert job.run(out, **small).code == 130
    assert job.run(out, **small).code == 0
    stages = read(out / "run.json")["stages"]
    assert stages["baseline"]["skipped"]
    assert stages["synthesis"]["speed"]["kept"] == 4
    for name in SAME_BYTES:
        assert files_of(out / name) == files_of(whole / name), name


def test_anybodys_rows_are_chosen_before_they_are_tuned_on(job: SmallJob, tmp_path: Path) -> None:
    theirs = write_rows(tmp_path / "theirs.jsonl", rows(80, 40))

    def tune(out: Path, **changes: str) -> Outcome:
        outcome = dawgen(
            "tune", job.card, *job.arguments(**changes), "--synthetic", theirs, "--out", out
        )
        assert outcome.code == 0, outcome.err
        return outcome

    everything, some = tmp_path / "all", tmp_path / "some"
    assert "chosen" not in tune(everything).err
    told = tune(some, **CHOOSE).err
    assert "of 20 synthetic rows of label 'same' chosen" in told
    assert "of 20 synthetic rows of label 'other' chosen" in told
    assert files_of(everything / "baseline") == files_of(some / "baseline")
    marks = [read_seal(run / "prompt") for run in (everything, some)]
    assert marks[0].inputs["synthetic"] != marks[1].inputs["synthetic"]


def test_rows_alone_are_tuned_without_a_reader(job: SmallJob, tmp_path: Path) -> None:
    out = tmp_path / "run"
    outcome = dawgen("tune", job.card, *job.arguments(**CHOOSE), "--out", out)
    assert outcome.code == 0, outcome.err
    assert not (out / "baseline").exists()


def test_a_plan_with_a_reader_has_the_stages_of_the_run(job: SmallJob) -> None:
    outcome = dawgen("plan", job.card, *job.arguments(**CHOOSE))
    assert outcome.code == 0, outcome.err
    names = [line.split()[0] for line in outcome.out.splitlines()[1:6]]
    assert names == ["baseline", "generator", "synthesis", "tuning", "evaluation"]
