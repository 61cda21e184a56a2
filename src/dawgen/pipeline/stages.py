"""The stages of the main job, each a function from values and settings to folders of the run."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dawgen.backbone import Backbone
from dawgen.backbone.choose_frame import frame_for
from dawgen.backbone.frame import frame_json, load_frame
from dawgen.cluster import Cluster
from dawgen.decoding import choose_engine, decoding_of
from dawgen.evaluation import predict, score, write_predictions
from dawgen.generator import fit_generator, label_prompt_start, weighted_texts
from dawgen.generator.examples import make_shots
from dawgen.pipeline.tracking import Track, no_tracking
from dawgen.pipeline.tuning_stages import BASELINE, PromptReader, arms_of, common_inputs
from dawgen.prompts import load_label_prompts, load_prompt
from dawgen.report import write_map
from dawgen.settings import Settings
from dawgen.settings.layers import dump_settings
from dawgen.storage.checkpoint import Checkpoint
from dawgen.storage.folder import (
    OF_THE_WHOLE,
    RunFolder,
    fingerprint,
    folder_hash,
    write_json,
    write_text,
)
from dawgen.streams import Streams
from dawgen.synthesis import SyntheticSet, synthesize
from dawgen.synthesis.first_sentences import writes_first as generator_writes_first
from dawgen.synthesis.sources import source_hashes
from dawgen.synthesis.spread import Spread
from dawgen.tasks import Row, TaskCard
from dawgen.tasks.job import Job, rows_hash
from dawgen.terminal.progress import hushed
from dawgen.use.finished import renew_record

Scores = dict[str, Any]

FOLDERS = ("generator", "synthetic", "prompt", "baseline", "evaluation", "map")
"""What the stages fill."""
FILES = ("config.yaml", "task.yaml", *OF_THE_WHOLE)
"""All files that a run lays beside the folders."""


@contextmanager
def held(run: RunFolder) -> Iterator[None]:
    """Hold a run folder for its stages.

    Raises:
        UserError: another process holds it, or it has files there that no run has made.
    """
    with run.lock():
        run.refuse_foreign(FOLDERS, FILES)
        yield


def generator_stage(
    run: RunFolder,
    job: Job,
    backbone: Backbone,
    settings: Settings,
    track: Track = no_tracking,
) -> str:
    """Few shots -> label prompts Q[C,P,H] in ``generator/``.

    Raises:
        UserError: also where the backbone could be tuned, but not write.
    """
    writes_first = generator_writes_first(settings.synthesis.first_sentences)
    frame = frame_for(job.card, backbone, settings.generator.frame)
    inputs = {
        **common_inputs(job, backbone, settings),
        "generator": settings.generator.model_dump(mode="json"),
        "frame": frame_json(frame),
        "writes_first": writes_first,
    }
    checkpoint = Checkpoint(run.checkpoint_path("generator", inputs), "generator tuning")

    def build(folder: Path) -> None:
        # A recurrent model can be scored and tuned, and fails only when it writes: try it first.
        length = settings.generator.prompt_length
        decoding = decoding_of(
            settings.synthesis,
            job.card,
            job.shots.train,
            backbone,
            length,
            writes_first=writes_first,
            frame=frame,
        )
        prompts = label_prompt_start(job.card, backbone, length)
        with hushed():
            choose_engine(settings.synthesis, backbone, prompts, decoding)
        generator = fit_generator(
            job.card,
            job.shots.train,
            backbone,
            settings.generator,
            Streams(settings.seed),
            write_first=writes_first,
            checkpoint=checkpoint,
            on_step=track("generator"),
        )
        generator.save(folder / "generator", backbone, job.card.labels)
        shots = make_shots(
            job.card,
            job.shots.train,
            backbone,
            prompt_length=settings.generator.prompt_length,
            max_length=settings.generator.max_length,
            write_first=writes_first,
            frame=frame,
            tell=False,
        )
        texts = weighted_texts(generator, shots, job.shots.train, job.card, backbone)
        write_json(folder / "generator" / "token-weights.json", texts)

    mark = run.stage("generator", inputs, ["generator"], build)
    checkpoint.remove()
    return mark


def synthesis_stage(
    run: RunFolder,
    job: Job,
    backbone: Backbone,
    settings: Settings,
    generator: Path | None = None,
    cluster: Cluster | None = None,
) -> str:
    """Label prompts -> labelled rows in ``synthetic/``, those that the reader chooses if asked for.

    The reader is the prompt in ``baseline/``, which
    :func:`~dawgen.pipeline.tuning_stages.baseline_stage` makes.

    Args:
        generator: a generator's folder; the run's own without.
        cluster: writes the rows; they are the same as here.
    """
    generator = generator or run.path / "generator"
    label_prompts, frame = generator / "label-prompts", load_frame(generator)
    forbidden = [*job.shots.dev, *(job.test or [])]
    chosen = settings.synthesis.for_card(job.card)
    synthesis = chosen.model_dump(mode="json", exclude=chosen.only_speed())
    inputs = {
        **common_inputs(job, backbone, settings),
        "generator": folder_hash(label_prompts),
        "frame": frame_json(frame),
        "synthesis": synthesis,
        "first_sentences": source_hashes(settings.synthesis.first_sentences),
        "forbidden": rows_hash(forbidden),
    }
    reader = PromptReader.of(run, job, backbone, settings) if chosen.chooses else None
    if reader is not None:
        inputs["reader"] = reader.fingerprint

    mark = fingerprint(inputs)
    work = run.path / f".synthesis-{mark[:16]}"  # finished shards, until all are
    made: list[SyntheticSet] = []

    def build(folder: Path) -> None:
        prompts = load_label_prompts(label_prompts, job.card.labels, backbone)
        made.append(
            synthesize(
                job.card,
                job.shots.train,
                prompts,
                backbone,
                chosen,
                Streams(settings.seed),
                folder / "synthetic",
                frame=frame,
                forbidden=forbidden,
                work=work,
                spread=Spread(cluster, settings.backbone) if cluster else None,
                reader=reader,
            )
        )

    run.stage("synthesis", inputs, ["synthetic"], build)
    for unfinished in run.path.glob(".synthesis-*"):  # this one's, and those of other settings
        shutil.rmtree(unfinished, ignore_errors=True)
    if made:
        run.stages["synthesis"] |= {"engine": made[0].engine, "speed": made[0].speed.as_json()}
    return mark


def evaluation_stage(run: RunFolder, job: Job, backbone: Backbone, settings: Settings) -> Scores:
    """Prompts -> ``scores.json`` and ``predictions.parquet``."""
    rows = job.test if job.test is not None else job.shots.dev
    arms = list(arms_of(settings))
    inputs = {
        **common_inputs(job, backbone, settings),
        "prompts": {name: folder_hash(run.path / name) for name in arms},
        "rows": rows_hash(rows),
    }

    def build(folder: Path) -> None:
        out = folder / "evaluation"
        out.mkdir()
        scores: Scores = {
            "task": job.card.name,
            "backbone": backbone.name,
            "seed": settings.seed,
            "scored_on": "test rows" if job.test is not None else "development shots",
        }
        soft = load_prompt(run.path / "prompt", backbone)
        probabilities, tuned = evaluate_prompt(job.card, backbone, soft, rows, settings)
        scores.update(tuned)
        if BASELINE in arms:
            soft = load_prompt(run.path / BASELINE, backbone)
            scores[BASELINE] = evaluate_prompt(job.card, backbone, soft, rows, settings)[1]
        scores["zero_shot"] = evaluate_prompt(job.card, backbone, None, rows, settings)[1]
        write_json(out / "scores.json", scores)
        write_predictions(out / "predictions.parquet", job.card, rows, probabilities)

    run.stage("evaluation", inputs, ["evaluation"], build)
    scores: Scores = json.loads((run.path / "evaluation" / "scores.json").read_text("utf-8"))
    return scores


def map_stage(
    run: RunFolder, job: Job, backbone: Backbone, settings: Settings, rows: Sequence[Row]
) -> str:
    """Real and synthetic rows as the backbone sees them -> ``map/``, for the report."""
    real = {"shot": job.shots.train, "development": job.shots.dev, "test": job.test or []}
    inputs = {
        **common_inputs(job, backbone, settings),
        "real": {kind: rows_hash(part) for kind, part in real.items()},
        "synthetic": rows_hash(rows),
    }

    def build(folder: Path) -> None:
        tokens = settings.evaluation.tokens_per_batch
        write_map(folder / "map", job.card, backbone, real, rows, Streams(settings.seed), tokens)

    return run.stage("map", inputs, ["map"], build)


def evaluate_prompt(
    card: TaskCard,
    backbone: Backbone,
    prompt: torch.Tensor | None,
    rows: Sequence[Row],
    settings: Settings,
) -> tuple[np.ndarray, Scores]:
    """Probabilities [N,C] of the rows under a prompt (None: zero-shot), and their scores."""
    tokens = settings.evaluation.tokens_per_batch
    probabilities = predict(backbone, card, prompt, rows, tokens_per_batch=tokens)
    labels = [row.label for row in rows if row.label is not None]
    return probabilities, score(card, labels, probabilities)


def keep_description(run: RunFolder, job: Job, settings: Settings) -> None:
    """Lay the settings and the card beside the prompt they made: predicting needs no more.

    That a model's own code was allowed is said in ``run.json`` only: no file may allow it again.
    """
    chosen = settings.model_copy(
        update={
            "backbone": settings.backbone.model_copy(update={"trust_remote_code": False}),
            "synthesis": settings.synthesis.for_card(job.card),
        }
    )
    write_text(run.path / "config.yaml", dump_settings(chosen))
    write_text(run.path / "task.yaml", dump_settings(job.card))
    renew_record(run.path)
