"""What holds for every run, seen through the command line on a small random model."""

from __future__ import annotations

import csv
import io
import json
import shlex
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from markupsafe import escape
from safetensors.torch import load_file

from dawgen.backbone import Backbone
from dawgen.decoding import TransformersEngine
from dawgen.generator.fit import Tuner
from dawgen.pipeline import run as pipeline
from dawgen.pipeline import stages
from dawgen.tuning import fit_prompts
from tests.backbone.test_kinds import REFUSED, write_model
from tests.invariants.jobs import Outcome, SmallJob, dawgen, files_of, rows, write_rows

Finished = tuple[SmallJob, Path, Outcome]
SAME_BYTES = ("generator", "synthetic", "prompt", "baseline")


def record(folder: Path) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = json.loads((folder / "run.json").read_text())["stages"]
    return found


def shards(folder: Path) -> list[dict[str, Any]]:
    paths = sorted((folder / "synthetic").glob("shard-*.parquet"))
    return [row for path in paths for row in pq.read_table(path).to_pylist()]


def skipped(folder: Path) -> dict[str, bool]:
    return {name: stage["skipped"] for name, stage in record(folder).items()}


def test_the_files_of_the_contract_are_there(finished: Finished) -> None:
    _, folder, _ = finished
    for name in (
        "config.yaml",
        "task.yaml",
        "run.json",
        "scores.json",
        "predictions.parquet",
        "report.html",
        "generator/label-prompts/same/adapter_model.safetensors",
        "generator/label-prompts/other/adapter_config.json",
        "generator/log.jsonl",
        "synthetic/shard-00000.parquet",
        "synthetic/ledger.json",
        "synthetic/quality.json",
        "synthetic/README.md",
        "prompt/adapter_config.json",
        "prompt/adapter_model.safetensors",
        "prompt/log.jsonl",
        "baseline/adapter_model.safetensors",
    ):
        assert (folder / name).is_file(), name
    assert not list(folder.rglob("*.partial"))
    assert not [path for path in folder.rglob("*") if path.suffix in (".pt", ".bin", ".pkl")]


def test_the_closing_lines_say_how_good_and_where(finished: Finished) -> None:
    _, folder, outcome = finished
    scores = json.loads((folder / "scores.json").read_text())
    assert f"{100 * scores['accuracy']:.1f} %" in outcome.out
    assert f"{100 * scores['baseline']['accuracy']:.1f} %" in outcome.out
    assert str(folder / "report.html") in outcome.out
    assert "\x1b" not in outcome.out


def test_the_ledger_balances_with_the_rows(finished: Finished) -> None:
    _, folder, _ = finished
    ledger = json.loads((folder / "synthetic" / "ledger.json").read_text())
    written = shards(folder)
    assert set(ledger["labels"]) == {"same", "other"}
    for label, account in ledger["labels"].items():
        mine = [row for row in written if row["label"] == label]
        assert account["attempted"] == account["kept"] + account["rejected"]
        assert account["kept"] == sum(row["kept"] for row in mine) == len(mine) == 6
        assert account["rejected"] == sum(account["reasons"].values())


def test_rejected_rows_are_kept_when_asked_for(job: SmallJob, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert job.run(out, synthesis__keep_rejected="true").code == 0
    ledger = json.loads((out / "synthetic" / "ledger.json").read_text())
    written = shards(out)
    assert len(written) == ledger["attempted"] > ledger["kept"]
    assert [row["reason"] for row in written if row["kept"]] == [None] * ledger["kept"]


def test_how_quickly_rows_were_written_is_in_the_record_only(finished: Finished) -> None:
    _, folder, _ = finished
    stage = record(folder)["synthesis"]
    assert stage["engine"] == "transformers"
    speed = stage["speed"]
    assert speed["kept"] == 12
    assert speed["tokens_per_second"] > speed["rows_per_second"] > speed["kept_rows_per_second"] > 0
    assert "second" not in (folder / "synthetic" / "quality.json").read_text()


def test_scores_agree_with_the_predictions(finished: Finished) -> None:
    _, folder, _ = finished
    scores = json.loads((folder / "scores.json").read_text())
    table = pq.read_table(folder / "predictions.parquet").to_pylist()
    assert scores["n"] == len(table) == 30
    right = sum(row["prediction"] == row["verdict"] for row in table)
    assert scores["accuracy"] == right / 30
    assert sum(sum(row.values()) for row in scores["confusion"].values()) == 30
    for row in table:
        assert row["p_same"] + row["p_other"] == pytest.approx(1.0, abs=1e-5)


def test_the_report_draws_every_chart(finished: Finished) -> None:
    """A log whose columns were renamed would silently lose its chart."""
    _, folder, _ = finished
    page = (folder / "report.html").read_text()
    for title in (
        "Accuracy, with 95 % intervals; seed 13",
        "Is a confident answer right? n = 30, seed 13",
        "Accuracy on the development shots (n = 8)",
        "<figcaption>Loss</figcaption>",
        "Cosine of the real and the synthetic gradient",
        "Share of steps so far with gradients in conflict",
        "Norm of the prompt",
        "How far the prompt moved",
        "Losses of the label prompts",
        "What the token weights learn from",
        "Label ratio: how strongly",
        "Entropy of the token weights",
        "How far the label prompts moved",
    ):
        assert title in page, title
    for line in ("(1) generation", "(2) weighted generation", "(4) sentence distance"):
        assert line in page, line
    assert page.count("real shots alone <small>") == 4  # the baseline is in four charts


def test_the_same_seed_gives_the_same_bytes(finished: Finished, tmp_path: Path) -> None:
    job, folder, _ = finished
    assert job.run(tmp_path / "again").code == 0
    for name in SAME_BYTES:
        first, second = files_of(folder / name), files_of(tmp_path / "again" / name)
        assert first.keys() == second.keys()
        assert [path for path in first if first[path] != second[path]] == []
    before, after = (
        json.loads((run / "scores.json").read_text()) for run in (folder, tmp_path / "again")
    )
    assert before == after


def test_another_seed_gives_other_rows_and_another_prompt(
    finished: Finished, tmp_path: Path
) -> None:
    job, folder, _ = finished
    assert job.run(tmp_path / "other", seed=21).code == 0
    for name in ("synthetic/shard-00000.parquet", "prompt/adapter_model.safetensors"):
        assert (folder / name).read_bytes() != (tmp_path / "other" / name).read_bytes()


def test_a_finished_run_is_not_done_again(job: SmallJob, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert job.run(out).code == 0
    assert not any(skipped(out).values())
    before = {
        name: (out / name).stat().st_mtime_ns
        for name in files_of(out)
        if name.startswith(SAME_BYTES)
    }
    assert job.run(out).code == 0
    assert all(skipped(out).values())
    assert before == {name: (out / name).stat().st_mtime_ns for name in before}


def test_only_what_depends_on_a_changed_setting_is_made_anew(job: SmallJob, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert job.run(out).code == 0
    prompt = files_of(out / "prompt")

    assert job.run(out, tuning__steps=4).code == 0
    assert skipped(out) == {
        "baseline": False,
        "generator": True,
        "synthesis": True,
        "tuning": False,
        "evaluation": False,
        "map": True,
    }
    assert files_of(out / "prompt") != prompt

    # What the first settings made was kept, and comes back with them.
    assert job.run(out).code == 0
    assert all(skipped(out).values())
    assert files_of(out / "prompt") == prompt


def test_a_baseline_of_other_settings_is_not_scored(job: SmallJob, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert job.run(out).code == 0
    assert job.run(out, tuning__baseline="false").code == 0
    assert "baseline" not in json.loads((out / "scores.json").read_text())
    assert not (out / "baseline").exists()

    assert job.run(out).code == 0
    assert "baseline" in json.loads((out / "scores.json").read_text())
    assert skipped(out)["tuning"]


def test_settings_lie_beside_the_prompt_they_made(
    job: SmallJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    assert job.run(out).code == 0
    config = (out / "config.yaml").read_text()

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(stages, "fit_prompts", stop)
        assert job.run(out, tuning__prompt_length=7).code == 130
    assert (out / "config.yaml").read_text() == config


def test_evaluate_does_not_overwrite_a_run(finished: Finished) -> None:
    job, folder, _ = finished
    before = (folder / "scores.json").read_bytes()
    outcome = dawgen(
        *("evaluate", job.card, "--test", job.data("test"), "--method", "zero-shot"),
        *("-s", f"backbone.path={job.model}", "--out", folder),
    )
    assert outcome.code == 2
    assert "holds a run" in outcome.err
    assert (folder / "scores.json").read_bytes() == before


def test_what_only_changes_speed_makes_nothing_anew(job: SmallJob, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert job.run(out).code == 0
    assert job.run(out, evaluation__tokens_per_batch=64).code == 0
    assert all(skipped(out).values())


def test_a_run_that_was_stopped_goes_on_to_the_same_bytes(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, folder, _ = finished
    out = tmp_path / "run"

    def stop(card: object, arms: Any, *more: Any, **others: Any) -> Any:
        if arms[0].name == "prompt":
            raise KeyboardInterrupt
        return fit_prompts(card, arms, *more, **others)

    with monkeypatch.context() as patch:
        patch.setattr(stages, "fit_prompts", stop)
        outcome = job.run(out)
    assert outcome.code == 130
    assert "resumes from it" in outcome.err
    assert not (out / "prompt").exists()
    assert not list(out.rglob("*.partial"))

    assert job.run(out).code == 0
    assert skipped(out) == {
        "baseline": True,
        "generator": True,
        "synthesis": True,
        "tuning": False,
        "evaluation": False,
        "map": False,
    }
    for name in SAME_BYTES:
        assert files_of(out / name) == files_of(folder / name)


def test_a_run_stopped_while_it_wrote_goes_on_from_its_last_shard(
    job: SmallJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, out = tmp_path / "whole", tmp_path / "run"
    small = {"synthesis__shard_rows": 2}
    assert job.run(whole, **small).code == 0
    generate = TransformersEngine.generate

    def stop(engine: TransformersEngine, requests: Any) -> Any:
        if list(out.glob(".synthesis-*/shard-00001.parquet")):
            raise KeyboardInterrupt
        return generate(engine, requests)

    with monkeypatch.context() as patch:
        patch.setattr(TransformersEngine, "generate", stop)
        assert job.run(out, **small).code == 130
    assert not (out / "synthetic").exists()
    (out / ".synthesis-of-other-settings").mkdir()
    assert job.run(out, **small).code == 0
    assert record(out)["synthesis"]["speed"]["kept"] == 4
    assert files_of(out / "synthetic") == files_of(whole / "synthetic")
    assert not list(out.glob(".synthesis*"))


def test_the_backbone_is_frozen_and_the_prompts_move(
    job: SmallJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[Backbone] = []
    load = pipeline.load_backbone

    def remember(*arguments: object) -> Backbone:
        used.append(load(*arguments))  # type: ignore[arg-type]
        return used[-1]

    monkeypatch.setattr(pipeline, "load_backbone", remember)
    out = tmp_path / "run"
    assert job.run(out).code == 0
    (backbone,) = used
    after = backbone.model.state_dict()
    before = load_file(job.model / "model.safetensors")
    assert len(before) > 20
    for name, tensor in before.items():
        assert torch.equal(tensor, after[name].cpu()), name
    assert not any(parameter.requires_grad for parameter in backbone.model.parameters())
    for log in ("generator", "prompt", "baseline"):
        last = (out / log / "log.jsonl").read_text().splitlines()[-1]
        assert json.loads(last)["distance"] > 0, log


def test_the_baseline_never_sees_a_synthetic_row(finished: Finished, tmp_path: Path) -> None:
    job, folder, _ = finished
    outcome = dawgen("tune", job.card, *job.arguments(), "--out", tmp_path / "real")
    assert outcome.code == 0, outcome.err
    alone = load_file(tmp_path / "real" / "prompt" / "adapter_model.safetensors")
    stacked = load_file(folder / "baseline" / "adapter_model.safetensors")
    for name, tensor in alone.items():
        torch.testing.assert_close(tensor, stacked[name], rtol=1e-4, atol=1e-5)


def test_the_stages_alone_make_what_the_run_makes(finished: Finished, tmp_path: Path) -> None:
    job, folder, _ = finished
    out = tmp_path / "run"
    test = ["--test", job.data("test")]
    assert dawgen("fit-generator", job.card, *job.arguments(), "--out", out).code == 0
    assert dawgen("synthesize", job.card, *job.arguments(), *test, "--out", out).code == 0
    tune = ["--synthetic", out / "synthetic", "--out", out]
    assert dawgen("tune", job.card, *job.arguments(), *tune).code == 0
    for name in SAME_BYTES:
        assert files_of(out / name) == files_of(folder / name)

    assert dawgen("report", out).code == 0
    assert "tuned prompt" not in (out / "report.html").read_text().partition("<table")[0]
    backbone = ["-s", f"backbone.path={job.model}"]
    into = dawgen("evaluate", job.card, *test, "--prompt", out, "--out", out, *backbone)
    assert (into.code, "holds a run" in into.err) == (2, True)
    scored = tmp_path / "scored"
    prompt = ["--prompt", out / "prompt", "--out", scored, *backbone]
    assert dawgen("evaluate", job.card, *test, *prompt).code == 0
    ours, whole = (json.loads((run / "scores.json").read_text()) for run in (scored, folder))
    assert ours["accuracy"] == whole["accuracy"]
    assert ours["confusion"] == whole["confusion"]


def test_another_prompt_has_none_of_the_old_ones_figures(job: SmallJob, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert job.run(out).code == 0
    scores, report = out / "scores.json", out / "report.html"
    before = scores.read_bytes(), (out / "predictions.parquet").read_bytes()
    tune = ["tune", job.card, "--synthetic", out / "synthetic", "--out", out]
    assert dawgen(*tune, *job.arguments()).code == 0  # the prompt that is there
    assert scores.read_bytes() == before[0]
    assert dawgen(*tune, *job.arguments(tuning__steps=3)).code == 0
    assert not scores.exists()
    assert dawgen("export", out, "--to", "peft").code == 0
    assert "model-index" not in (out / "exports" / "peft" / "README.md").read_text()
    assert dawgen("report", out).code == 0
    assert report.exists()
    assert job.run(out).code == 0
    assert (scores.read_bytes(), (out / "predictions.parquet").read_bytes()) == before


def test_a_users_own_map_is_told_before_anything_is_done(job: SmallJob, tmp_path: Path) -> None:
    (tmp_path / "run" / "map").mkdir(parents=True)
    (tmp_path / "run" / "map" / "tiles.txt").write_text("mine")
    outcome = job.run(tmp_path / "run")
    assert outcome.code == 2
    assert "map exists and was not made by dawgen" in outcome.err
    assert not (tmp_path / "run" / "generator").exists()


def test_commands_are_told_so_that_they_can_be_copied(job: SmallJob, tmp_path: Path) -> None:
    outcome = job.run(tmp_path / "my run")
    assert f"Use it:  dawgen predict '{tmp_path}/my run' ROWS.csv" in outcome.out


@pytest.mark.parametrize("name", ["-lead2", "--offline", "it's a run", "-lead #2"])
def test_every_command_that_is_printed_runs(
    job: SmallJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Whatever a folder or file is called: a dash in front, spaces, quotes."""
    monkeypatch.chdir(tmp_path)

    def printed(outcome: Outcome, mark: str) -> list[str]:
        assert outcome.code == 0, outcome.err
        (line,) = (line for line in outcome.out.splitlines() if mark in line)
        command = shlex.split(line.partition(mark)[2])
        return [str(job.data("test")) if part == "ROWS.csv" else part for part in command]

    monkeypatch.setattr(sys, "argv", ["dawgen", "run", "--out", name])  # for the report
    finished = job.run(Path(name))
    assert dawgen(*printed(finished, "Use it:  dawgen ")).code == 0
    assert dawgen(*printed(finished, "Export:  dawgen ")).code == 0
    (report,) = printed(finished, "Report:  ")
    assert Path(report).is_file()
    assert not report.startswith("-")
    page = (tmp_path / name / "report.html").read_text("utf-8")
    assert escape(shlex.join(["--out", name])) in page

    script, *_ = printed(dawgen("export", "--to", "peft", "--", name), "python ")
    assert Path(script).is_file()
    assert not script.startswith("-")

    data = f"{name}.csv"
    Path(data).write_text("text,label\n" + "fine,good\nbad,poor\n" * 20)
    refused = dawgen("validate", "--", data).err
    assert "`dawgen tasks new " in refused
    command = shlex.split(refused.partition("`dawgen ")[2].partition("`")[0])
    assert dawgen(*printed(dawgen(*command), "then: dawgen ")).code == 0


@pytest.mark.parametrize("command", ["run", "fit-generator"])
@pytest.mark.parametrize("kind", ["Mamba", "Rwkv"])
def test_a_model_that_cannot_write_is_refused_before_it_is_tuned(
    job: SmallJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, command: str
) -> None:
    sizes, sentence = REFUSED[kind]
    write_model(tmp_path / "model", kind, sizes)
    monkeypatch.setattr(Tuner, "step", lambda *_: pytest.fail("the generator is tuned"))
    arguments = job.arguments(backbone__path=tmp_path / "model")
    outcome = dawgen(command, job.card, *arguments, "--out", tmp_path / "run")
    assert outcome.code == 2
    assert sentence in outcome.err
    assert not (tmp_path / "run" / "generator").exists()


def test_zero_shot_needs_no_training(finished: Finished, tmp_path: Path) -> None:
    job, folder, _ = finished
    backbone = ["-s", f"backbone.path={job.model}"]
    outcome = dawgen(
        *("evaluate", job.card, "--test", job.data("test"), "--method", "zero-shot"),
        *(*backbone, "--out", tmp_path / "zero"),
    )
    assert outcome.code == 0, outcome.err
    scores = json.loads((tmp_path / "zero" / "scores.json").read_text())
    assert scores["method"] == "zero-shot"
    whole = json.loads((folder / "scores.json").read_text())
    assert scores["accuracy"] == whole["zero_shot"]["accuracy"]


def test_predict_labels_new_rows_without_labels(finished: Finished, tmp_path: Path) -> None:
    _, folder, _ = finished
    test = rows(40, 30)
    path = tmp_path / "new.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["hypothesis", "premise"], extrasaction="ignore")
        writer.writeheader()
        writer.writerows(test)
    outcome = dawgen("predict", folder, path)
    assert outcome.code == 0, outcome.err
    found = list(csv.DictReader(io.StringIO(outcome.out)))
    known = pq.read_table(folder / "predictions.parquet").to_pylist()
    assert [row["premise"] for row in found] == [row["premise"] for row in test]
    assert [row["prediction"] for row in found] == [row["prediction"] for row in known]
    ours = np.array([float(row["p_same"]) for row in found])
    np.testing.assert_allclose(ours, [row["p_same"] for row in known], atol=1e-5)


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_predict_writes_what_the_ending_says(
    finished: Finished, tmp_path: Path, ending: str
) -> None:
    _, folder, _ = finished
    source = write_rows(tmp_path / "new.jsonl", rows(60, 5))
    target = tmp_path / f"labelled{ending}"
    outcome = dawgen("predict", folder, source, "--out", target)
    assert outcome.code == 0, outcome.err
    if ending == ".parquet":
        found = pq.read_table(target).to_pylist()
    elif ending == ".jsonl":
        found = [json.loads(line) for line in target.read_text().splitlines()]
    else:
        separator = "\t" if ending == ".tsv" else ","
        found = list(csv.DictReader(io.StringIO(target.read_text()), delimiter=separator))
    assert [row["hypothesis"] for row in found] == [row["hypothesis"] for row in rows(60, 5)]
    assert {row["prediction"] for row in found} <= {"same", "other"}


def test_a_single_sentence_task_with_first_sentences_from_the_generator(
    job: SmallJob, tmp_path: Path
) -> None:
    text = job.card.read_text()
    text = text.replace(", text2: hypothesis", "").replace(" hypothesis: {text2}", "")
    job.card.write_text(text)
    outcome = job.run(tmp_path / "run", synthesis__first_sentences="generator")
    assert outcome.code == 0, outcome.err
    written = shards(tmp_path / "run")
    assert {row["text2"] for row in written} == {None}


@pytest.mark.parametrize("method", ["plain", "fewgen"])
def test_the_other_generators_run(job: SmallJob, tmp_path: Path, method: str) -> None:
    outcome = job.run(tmp_path / "run", generator__method=method)
    assert outcome.code == 0, outcome.err
