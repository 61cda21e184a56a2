"""The main job, stage after stage: few shots in; label prompts, rows, task prompt, scores out.

Read top to bottom, :func:`run` is the product; its stages are in :mod:`dawgen.pipeline.stages`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from dawgen.backbone import Backbone, load_backbone
from dawgen.backbone.choose_frame import frame_for
from dawgen.decoding.choose import check_engine, decoding_of
from dawgen.evaluation import overlap
from dawgen.pipeline.limits import NO_LIMITS, Costs, Limits
from dawgen.pipeline.record import run_record
from dawgen.pipeline.stage_work import Counter
from dawgen.pipeline.stages import (
    Scores,
    evaluation_stage,
    generator_stage,
    held,
    keep_description,
    map_stage,
    synthesis_stage,
)
from dawgen.pipeline.tracking import tracked
from dawgen.pipeline.tuning_stages import BASELINE, arms_of, baseline_stage, tuning_stage
from dawgen.prompts import load_prompt
from dawgen.report import write_report
from dawgen.settings import Settings
from dawgen.storage.atomic import write_bytes
from dawgen.storage.folder import RunFolder, write_json
from dawgen.synthesis import load_synthetic
from dawgen.synthesis.sources import check_sources
from dawgen.tasks import Row
from dawgen.tasks.job import Job, load_job
from dawgen.terminal.progress import say, warn


@dataclass
class Result:
    """A finished run.

    Attributes:
        folder: where everything lies.
        scores: the content of ``scores.json``.
        overlap: how many few-shot rows the test rows repeat, None without test rows.
    """

    folder: Path
    scores: Scores
    overlap: int | None = None
    ledger: dict[str, Any] = field(default_factory=dict)

    @property
    def prompt(self) -> torch.Tensor:
        """The tuned soft prompt [P,H]."""
        return load_prompt(self.folder / "prompt")


def run(
    task: str | Path,
    *,
    train: str | Path | None = None,
    dev: str | Path | None = None,
    test: str | Path | None = None,
    out: str | Path = "runs/latest",
    settings: Settings | Mapping[str, Any] | None = None,
    preset: str | None = None,
    command: Sequence[str] = (),
    limits: Limits = NO_LIMITS,
) -> Result:
    """From a few labelled rows to a synthetic dataset, a tuned prompt and its scores.

    Args:
        task: a shipped card's name or a card file.
        train: labelled rows; JSONL, JSON, CSV, TSV, Parquet or a hub dataset.
        dev: rows for choosing the checkpoint; drawn from ``train`` without.
        test: rows to score; without, the development shots are scored and said to be.
        out: the run folder; what is there already from the same settings is used again.
        settings: a dictionary such as ``{"tuning.steps": 500}``, or what
            :func:`dawgen.settings.layers.build_settings` gives first; the shipped model's without.
        preset: settings made for one backbone; of a ``Settings`` object it is the name only.
        limits: hours or kWh after which no further stage is begun.

    Raises:
        UserError: something in the files or settings that the user can fix.
    """
    from dawgen.settings.layers import settings_from

    settings, preset = settings_from(settings, preset)
    train, dev, test = (None if path is None else str(path) for path in (train, dev, test))
    job = load_job(str(task), settings, train=train, dev=dev, test=test)
    backbone = load_backbone(settings.backbone)
    backbone.label_word_ids(job.card)
    if preset is None and not backbone.is_encoder_decoder:
        warn(
            f"{backbone.name} is a causal model and no preset was chosen, so the settings are the "
            "published ones of T5; --preset causal holds those for causal models."
        )
    folder = RunFolder(Path(out))
    _check_before(job, backbone, settings)
    costs = Costs(limits)
    steps = _Steps(folder, costs, 5 if BASELINE in arms_of(settings) else 4)
    with held(folder), tracked(settings, folder.path) as track:
        shared = _check_overlap(job)
        if BASELINE in arms_of(settings):
            with steps.step(BASELINE, "tuning a prompt on the few shots alone"):
                baseline_stage(folder, job, backbone, settings, track)
        with steps.step("generator", "tuning the generator on the few shots"):
            generator_stage(folder, job, backbone, settings, track)
        chooses = ", and choosing those that the first prompt agrees with"
        what = f"writing labelled rows{chooses if settings.synthesis.chooses else ''}"
        with steps.step("synthesis", what):
            synthesis_stage(folder, job, backbone, settings)
        rows = load_synthetic(folder.path / "synthetic", job.card)
        with steps.step("tuning", "tuning the prompt on real and synthetic rows"):
            tuning_stage(folder, job, backbone, settings, rows, track)
        keep_description(folder, job, settings)
        with steps.step("evaluation", "scoring"):
            scores = evaluation_stage(folder, job, backbone, settings)
        map_stage(folder, job, backbone, settings, rows)
        _publish(folder, scores)
        spent = _count(costs, folder, Counter.of(job, backbone, settings), rows)
        record = run_record(folder, job, settings, preset, command, shared, backbone)
        write_json(folder.path / "run.json", record | spent)
        write_report(folder.path)
    ledger = json.loads((folder.path / "synthetic" / "ledger.json").read_text("utf-8"))
    return Result(folder.path, scores, shared, ledger)


def _check_before(job: Job, backbone: Backbone, settings: Settings) -> None:
    """What would stop a later stage stops the run before the first.

    Raises:
        UserError: a prompt that leaves no room for text, first sentences that are not there, a
            way of decoding that the labels or the engine do not have.
    """
    frame = frame_for(job.card, backbone, settings.generator.frame)
    backbone.encode_source("", settings.generator.prompt_length, frame)
    backbone.encode_rows(job.card, job.shots.train, settings.tuning.prompt_length)
    check_sources(settings.synthesis.first_sentences)
    decoding_of(
        settings.synthesis,
        job.card,
        job.shots.train,
        backbone,
        settings.generator.prompt_length,
        writes_first=False,
        frame=frame,
    )
    check_engine(settings.synthesis)


def _count(costs: Costs, run: RunFolder, count: Counter, rows: Sequence[Row]) -> dict[str, Any]:
    """Counted work into the stages' records; what the run cost as a whole."""
    speed = run.stages["synthesis"].get("speed", {"attempted": 0, "tokens": 0})
    counts = {
        BASELINE: count.baseline,
        "generator": count.generator,
        "synthesis": lambda: count.synthesis(speed["attempted"], speed["tokens"]),
        "tuning": lambda: count.tuning(rows),
        "evaluation": count.evaluation,
    }
    done = {name: work for name, work in counts.items() if name in run.stages}
    peak = costs.add_work(run, count.backbone, done)
    return costs.summary(run, peak, len(rows))


@dataclass
class _Steps:
    """The run's stages one after the other: announced, measured, and how long each took."""

    run: RunFolder
    costs: Costs
    total: int
    number: int = 0

    @contextmanager
    def step(self, stage: str, what: str) -> Iterator[None]:
        """One stage of the name in ``run.json``; says also that nothing had to be done."""
        self.number += 1
        say(f"dawgen: {self.number}/{self.total} {what}")
        with self.costs.stage(self.run, stage):
            yield
        record = self.run.stages[stage]
        if record["skipped"]:
            say("  there already, made with the same settings from the same rows")
        else:
            say(f"  done in {record['seconds']:,.0f} s")


def _check_overlap(job: Job) -> int | None:
    if job.test is None:
        warn(
            "no test rows were given, so the scores are of the development shots, on which "
            "the checkpoint was chosen; name test rows with --test."
        )
        return None
    found = overlap([*job.shots.train, *job.shots.dev], job.test)
    if found.count:
        warn(f"{found.sentence()}.")
    return found.count


def _publish(run: RunFolder, scores: Scores) -> None:
    """Lay the evaluation's files where the run folder promises them."""
    write_json(run.path / "scores.json", scores)
    source = run.path / "evaluation" / "predictions.parquet"
    write_bytes(run.path / "predictions.parquet", source.read_bytes())
