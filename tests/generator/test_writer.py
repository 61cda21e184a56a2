"""Another language model than the classifier's may write the rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dawgen import synthesize
from dawgen.backbone import load_backbone
from dawgen.prompts import load_label_prompts, load_prompt
from dawgen.tasks import Row
from dawgen.use.classifier import Classifier
from dawgen.use.finished import open_run
from tests.conftest import bart_model, word_tokenizer
from tests.invariants.conftest import model_folder
from tests.invariants.jobs import Outcome, SmallJob, dawgen, write_job

__all__ = ["model_folder"]
LABELS = ["same", "other"]
CANDIDATES = "[noisy-channel]"  # so that the run ships the generator itself


def read(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


@pytest.fixture(scope="module")
def writer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of 16 units, half as wide as the classifier's, that ends its sentences too."""
    folder, tokenizer = tmp_path_factory.mktemp("writer"), word_tokenizer()
    model = bart_model(len(tokenizer), seed=2, units=16)
    model.final_logits_bias[0, 3] = 3.0  # the end mark's
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def run(
    tmp_path_factory: pytest.TempPathFactory, model_folder: Path, writer_folder: Path
) -> tuple[SmallJob, Path, Outcome]:
    job = write_job(tmp_path_factory.mktemp("two"), model_folder)
    changes = {"generator.backbone": writer_folder, "selection.candidates": CANDIDATES}
    job.settings.update(changes)
    outcome = job.run(job.folder / "run")
    assert outcome.code == 0, outcome.err
    return job, job.folder / "run", outcome


def test_label_prompts_are_the_writers_and_the_prompt_the_classifiers(
    run: tuple[SmallJob, Path, Outcome], writer_folder: Path
) -> None:
    _, folder, _ = run
    assert load_label_prompts(folder / "generator" / "label-prompts", LABELS).shape == (2, 4, 16)
    assert load_prompt(folder / "prompt").shape == (4, 32)
    record = read(folder / "run.json")
    assert record["writer"]["name"] == str(writer_folder)
    assert record["writer"]["fingerprint"] != record["backbone"]["fingerprint"]
    assert record["writer"]["dtype"] in ("fp32", "bf16")


def test_both_models_are_named_in_the_cards(
    run: tuple[SmallJob, Path, Outcome], writer_folder: Path, tmp_path: Path
) -> None:
    job, folder, _ = run
    card = (folder / "synthetic" / "README.md").read_text("utf-8")
    assert writer_folder.name in card
    assert job.model.name not in card
    assert dawgen("export", folder, "--to", "peft", "--out", tmp_path / "peft").code == 0
    model = (tmp_path / "peft" / "README.md").read_text("utf-8")
    assert f"| rows written by | {writer_folder.name} |" in model
    assert job.model.name in model


def test_the_generator_classifies_with_the_writer(run: tuple[SmallJob, Path, Outcome]) -> None:
    """Loaded again, the noisy channel gives the labels that the run has written down."""
    from dawgen.generator.generator import Generator
    from dawgen.synthesis.scoring import log_likelihoods

    job, folder, _ = run
    assert read(folder / "choice" / "choice.json")["name"] == "noisy-channel"
    texts = [json.loads(line) for line in job.data("test").read_text("utf-8").splitlines()]
    pairs = [(each["premise"], each["hypothesis"]) for each in texts]
    found = Classifier.load(folder).predict(pairs)
    writer = load_backbone(open_run(folder)[1].writer)
    generator = Generator.load(folder / "generator", LABELS, writer)
    best = log_likelihoods(writer, generator.prompts, pairs, generator.frame).argmax(dim=1)
    assert list(found) == [LABELS[i] for i in best]


def test_the_generator_stays_when_only_the_classifier_changes(
    run: tuple[SmallJob, Path, Outcome], tmp_path: Path
) -> None:
    """Its prompts and untouched rows depend on the writer alone."""
    job, folder, _ = run
    other = bart_model(len(word_tokenizer()), seed=2)
    other.save_pretrained(tmp_path / "other")
    word_tokenizer().save_pretrained(tmp_path / "other")
    before = read(folder / "run.json")["stages"]
    again = SmallJob(job.folder, tmp_path / "other", job.settings)
    outcome = again.run(folder)
    assert outcome.code == 0, outcome.err
    stages = read(folder / "run.json")["stages"]
    assert stages["generator"]["skipped"]
    assert stages["synthesis"]["skipped"]
    assert not stages["tuning"]["skipped"]
    assert not before["generator"]["skipped"]


def test_each_stage_alone_uses_the_writer(
    model_folder: Path, writer_folder: Path, tmp_path: Path
) -> None:
    job, out = write_job(tmp_path, model_folder), tmp_path / "run"
    job.settings["generator.backbone"] = writer_folder
    assert dawgen("fit-generator", job.card, *job.arguments(), "--out", out).code == 0
    prompts = load_label_prompts(out / "generator" / "label-prompts", LABELS)
    assert prompts.shape[2] == 16
    made = dawgen("synthesize", job.card, *job.arguments(), "--preview", 2, "--out", out)
    assert made.code == 0, made.err
    sets = ["-s", f"backbone.path={model_folder}", "-s", f"generator.backbone={writer_folder}"]
    assert dawgen("validate", job.card, *sets).code == 0
    scored = [*job.arguments(), "--generator", out / "generator", "--import", job.data("test")]
    imported = dawgen("synthesize", job.card, *scored, "--out", tmp_path / "imported")
    assert imported.code == 0, imported.err
    plan = dawgen("plan", job.card, *job.arguments(), "--test", job.data("test"))
    assert plan.code == 0, plan.err


def test_it_writes_for_the_python_function_and_for_methods_of_a_comparison(
    model_folder: Path, writer_folder: Path, tmp_path: Path
) -> None:
    job = write_job(tmp_path, model_folder)
    both = {"backbone.path": model_folder, "generator.backbone": writer_folder}
    rows = synthesize(
        str(job.card),
        train=str(job.data("train")),
        dev=str(job.data("dev")),
        out=tmp_path / "function",
        settings=job.settings | both,
    )
    assert rows
    prompts = tmp_path / "function" / "generator" / "label-prompts"
    assert load_label_prompts(prompts, LABELS).shape[2] == 16
    job.settings["generator.backbone"] = writer_folder
    files = ["--test", job.data("test"), "--method", "dawgen-surgery"]
    made = dawgen("evaluate", job.card, *job.arguments(), *files, "--out", tmp_path / "method")
    assert made.code == 0, made.err
    (found,) = (tmp_path / "method").rglob("label-prompts")
    assert load_label_prompts(found, LABELS).shape[2] == 16


def test_a_writer_that_is_not_there(model_folder: Path, tmp_path: Path) -> None:
    job = write_job(tmp_path, model_folder)
    outcome = job.run(tmp_path / "run", generator__backbone=tmp_path / "gone")
    assert outcome.code == 2
    assert "There is no model folder" in outcome.err
    assert not (tmp_path / "run").exists()


def test_rows_are_the_same_as_with_the_writer_alone(
    run: tuple[SmallJob, Path, Outcome], writer_folder: Path, tmp_path: Path
) -> None:
    """Who reads them has no part in rows that no reader chooses."""
    from dawgen.synthesis import load_synthetic
    from dawgen.tasks import load_card

    job, folder, _ = run
    alone = SmallJob(job.folder, writer_folder, job.settings | {"generator.backbone": "null"})
    outcome = alone.run(tmp_path / "alone", backbone__dtype="auto")
    assert outcome.code == 0, outcome.err
    card = load_card(str(job.card))

    def rows(path: Path) -> list[Row]:
        return [
            Row(row.text1, row.text2, row.label) for row in load_synthetic(path / "synthetic", card)
        ]

    assert rows(folder) == rows(tmp_path / "alone")
