"""The main job, stage after stage: few shots in; label prompts, rows, task prompt, scores out.

Each stage is a function from values and settings to folders of the run. Read top to bottom,
:func:`run` is the product.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

import dawgen
from dawgen.atomic import write_bytes
from dawgen.backbone import Backbone, load_backbone
from dawgen.checkpoint import Checkpoint
from dawgen.cluster import Cluster
from dawgen.costs import NO_LIMITS, Costs, Limits
from dawgen.evaluation import overlap, predict, score, write_predictions
from dawgen.generator import fit_generator, weighted_texts
from dawgen.generator.examples import make_shots
from dawgen.job import Job, load_job, rows_hash
from dawgen.progress import say, warn
from dawgen.prompts import load_label_prompts, load_prompt, save_prompt
from dawgen.record import run_record
from dawgen.report import write_map, write_report
from dawgen.runs import RunFolder, fingerprint, folder_hash, write_json, write_log, write_text
from dawgen.settings import Settings, dump_settings
from dawgen.stage_work import Counter
from dawgen.streams import Streams
from dawgen.synthesis import SyntheticSet, load_synthetic, synthesize
from dawgen.synthesis.first_sentences import writes_first as generator_writes_first
from dawgen.synthesis.sources import check_sources
from dawgen.synthesis.spread import Spread
from dawgen.tasks import Row, TaskCard
from dawgen.tracking import Track, no_tracking, tracked
from dawgen.tuning import TunedPrompt, fit_prompts, planned_arms

Scores = dict[str, Any]
FOLDERS = ("generator", "synthetic", "prompt", "baseline", "evaluation")
"""What the stages fill."""


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


def _common(job: Job, backbone: Backbone, settings: Settings) -> dict[str, Any]:
    return {
        "dawgen": dawgen.__version__,
        "card": job.card.model_dump(mode="json"),
        "backbone": backbone.fingerprint,
        "seed": settings.seed,
        "shots": rows_hash(job.shots.train),
    }


# --- the stages ----------------------------------------------------------------------


def generator_stage(
    run: RunFolder,
    job: Job,
    backbone: Backbone,
    settings: Settings,
    track: Track = no_tracking,
) -> str:
    """Few shots -> label prompts Q[C,P,H] in ``generator/``."""
    writes_first = generator_writes_first(settings.synthesis.first_sentences)
    inputs = {
        **_common(job, backbone, settings),
        "generator": settings.generator.model_dump(mode="json"),
        "writes_first": writes_first,
    }
    checkpoint = Checkpoint(run.checkpoint_path("generator", inputs), "generator tuning")

    def build(folder: Path) -> None:
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
    """Label prompts -> labelled rows in ``synthetic/``.

    Args:
        generator: a generator's folder; the run's own without.
        cluster: writes the rows; they are the same as here.
    """
    label_prompts = (generator or run.path / "generator") / "label-prompts"
    forbidden = [*job.shots.dev, *(job.test or [])]
    chosen = settings.synthesis.for_card(job.card)
    synthesis = chosen.model_dump(mode="json", exclude=chosen.only_speed())
    inputs = {
        **_common(job, backbone, settings),
        "generator": folder_hash(label_prompts),
        "synthesis": synthesis,
        "first_sentences": _source_hashes(settings.synthesis.first_sentences),
        "forbidden": rows_hash(forbidden),
    }

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
                forbidden=forbidden,
                work=work,
                spread=Spread(cluster, settings.backbone) if cluster else None,
            )
        )

    run.stage("synthesis", inputs, ["synthetic"], build)
    shutil.rmtree(work, ignore_errors=True)
    if made:
        run.stages["synthesis"] |= {"engine": made[0].engine, "speed": made[0].speed.as_json()}
    return mark


def tuning_stage(
    run: RunFolder,
    job: Job,
    backbone: Backbone,
    settings: Settings,
    rows: Sequence[Row],
    track: Track = no_tracking,
) -> str:
    """Real and synthetic rows -> the task's soft prompt p[P,H] in ``prompt/``.

    With ``tuning.baseline`` a prompt on the real rows alone trains in the same stack and
    goes to ``baseline/``.
    """
    tuning = settings.tuning
    arms = planned_arms(tuning, settings.seed)
    inputs = {
        **_common(job, backbone, settings),
        "dev": rows_hash(job.shots.dev),
        "synthetic": rows_hash(rows),
        "tuning": tuning.model_dump(mode="json", exclude={"tokens_per_batch"}),
    }
    checkpoint = Checkpoint(run.checkpoint_path("tuning", inputs), "prompt tuning")

    def build(folder: Path) -> None:
        train, dev = job.shots
        tuned = fit_prompts(
            job.card,
            arms,
            train,
            dev,
            rows,
            backbone,
            tuning,
            track("tuning"),
            checkpoint=checkpoint,
        )
        for one in tuned:
            _save_tuned(one, folder / one.arm.name, backbone)

    names = [arm.name for arm in arms]
    mark = run.stage("tuning", inputs, names, build)
    checkpoint.remove()
    if "baseline" not in names:
        run.set_aside("baseline")  # another run's; it would be taken for this one's
    return mark


def _save_tuned(tuned: TunedPrompt, folder: Path, backbone: Backbone) -> None:
    save_prompt(tuned.prompt, folder, backbone)
    write_log(folder / "log.jsonl", tuned.history)
    chosen = {
        "best_step": tuned.best_step,
        "dev_accuracy": tuned.dev_accuracy,
        "dev_loss": tuned.dev_loss,
    }
    write_json(folder / "arm.json", {**asdict(tuned.arm), **chosen})


def evaluation_stage(run: RunFolder, job: Job, backbone: Backbone, settings: Settings) -> Scores:
    """Prompts -> ``scores.json`` and ``predictions.parquet``."""
    rows = job.test if job.test is not None else job.shots.dev
    arms = [arm.name for arm in planned_arms(settings.tuning, settings.seed)]
    inputs = {
        **_common(job, backbone, settings),
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
        if "baseline" in arms:
            soft = load_prompt(run.path / "baseline", backbone)
            scores["baseline"] = evaluate_prompt(job.card, backbone, soft, rows, settings)[1]
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
        **_common(job, backbone, settings),
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


def _source_hashes(choice: str | Mapping[str, float]) -> list[str | None]:
    """Hashes of the files among the sources of first sentences."""
    names = [choice] if isinstance(choice, str) else list(choice)
    return [_file_hash(name) or _file_hash(name.rpartition("#")[0]) for name in names]


def _file_hash(name: str) -> str | None:
    path = Path(name)
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None


# --- the whole -----------------------------------------------------------------------


def run(
    task: str,
    *,
    train: str | None = None,
    dev: str | None = None,
    test: str | None = None,
    out: str | Path = "runs/latest",
    settings: Settings | None = None,
    preset: str | None = None,
    command: Sequence[str] = (),
    limits: Limits = NO_LIMITS,
) -> Result:
    """From a few labelled rows to a synthetic dataset, a tuned prompt and its scores.

    Args:
        task: a shipped card's name or a card file.
        train: labelled rows; JSONL, CSV, TSV, Parquet or a hub dataset.
        dev: rows for choosing the checkpoint; drawn from ``train`` without.
        test: rows to score; without, the development shots are scored and said to be.
        out: the run folder; what is there already from the same settings is used again.
        settings: see :func:`dawgen.settings.build_settings`; the shipped model's without.
        limits: hours or kWh after which no further stage is begun.

    Raises:
        UserError: something in the files or settings that the user can mend.
    """
    from dawgen.settings import build_settings

    if settings is None:
        settings, preset = build_settings()
    job = load_job(task, settings, train=train, dev=dev, test=test)
    backbone = load_backbone(settings.backbone)
    backbone.label_word_ids(job.card)
    folder = RunFolder(Path(out))
    _check_before(job, backbone, settings)
    costs = Costs(limits)
    with folder.lock(), tracked(settings, folder.path) as track:
        folder.refuse_foreign(FOLDERS)
        shared = _check_overlap(job)
        _announce("1/4 tuning the generator on the few shots")
        with costs.stage(folder, "generator"):
            generator_stage(folder, job, backbone, settings, track)
        _tell(folder, "generator")
        _announce("2/4 writing labelled rows")
        with costs.stage(folder, "synthesis"):
            synthesis_stage(folder, job, backbone, settings)
        _tell(folder, "synthesis")
        rows = load_synthetic(folder.path / "synthetic", job.card)
        _announce("3/4 tuning the prompt on real and synthetic rows")
        with costs.stage(folder, "tuning"):
            tuning_stage(folder, job, backbone, settings, rows, track)
        keep_description(folder, job, settings)
        _tell(folder, "tuning")
        _announce("4/4 scoring")
        with costs.stage(folder, "evaluation"):
            scores = evaluation_stage(folder, job, backbone, settings)
        _tell(folder, "evaluation")
        _publish(folder, scores)
        map_stage(folder, job, backbone, settings, rows)
        spent = _count(costs, folder, Counter.of(job, backbone, settings), rows)
        record = run_record(folder, job, settings, preset, command, shared, backbone.fingerprint)
        write_json(folder.path / "run.json", record | spent)
        write_report(folder.path)
    ledger = json.loads((folder.path / "synthetic" / "ledger.json").read_text("utf-8"))
    return Result(folder.path, scores, shared, ledger)


def _check_before(job: Job, backbone: Backbone, settings: Settings) -> None:
    """What would stop a later stage stops the run before the first.

    Raises:
        UserError: a prompt that leaves no room for text, first sentences that are not there.
    """
    backbone.encode_source("", settings.generator.prompt_length)
    backbone.encode_rows(job.card, job.shots.train, settings.tuning.prompt_length)
    check_sources(settings.synthesis.first_sentences)


def _count(costs: Costs, run: RunFolder, count: Counter, rows: Sequence[Row]) -> dict[str, Any]:
    """Counted work into the stages' records; what the run cost as a whole."""
    speed = run.stages["synthesis"].get("speed", {"attempted": 0, "tokens": 0})
    peak = costs.add_work(
        run,
        count.backbone,
        {
            "generator": count.generator,
            "synthesis": lambda: count.synthesis(speed["attempted"], speed["tokens"]),
            "tuning": lambda: count.tuning(rows),
            "evaluation": count.evaluation,
        },
    )
    prompts = len(planned_arms(count.settings.tuning, count.settings.seed))
    return costs.summary(run, peak, len(rows), prompts)


def keep_description(run: RunFolder, job: Job, settings: Settings) -> None:
    """Lay the settings and the card beside the prompt they made: predicting needs no more."""
    chosen = settings.model_copy(update={"synthesis": settings.synthesis.for_card(job.card)})
    write_text(run.path / "config.yaml", dump_settings(chosen))
    write_text(run.path / "task.yaml", dump_settings(job.card))


def _announce(message: str) -> None:
    say(f"dawgen: {message}")


def _tell(run: RunFolder, stage: str) -> None:
    """Say how long a stage took, or that nothing had to be done."""
    record = run.stages[stage]
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
