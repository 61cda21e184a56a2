"""The job of a task of several labels per text: the best linear head, chosen on held-out rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

import dawgen
from dawgen.errors import UserError
from dawgen.evaluation.output import output_names
from dawgen.machine.hardware import hardware, peak_memory_mib, versions
from dawgen.many.heads import Has, ManyValidated, cross_validate_many, fit_many, together
from dawgen.many.rows import ManyRow, check_many, distinct, gold_of, load_many, many_hash, names_of
from dawgen.many.scores import YES, score_many
from dawgen.pipeline.stage import FILES, FOLDERS
from dawgen.selection.candidates import HEADS, kinds_of
from dawgen.selection.encoder import fetch_along, with_encoder
from dawgen.selection.heads import Probabilities
from dawgen.selection.parts import TUNED, HeadPart, Kind, Models
from dawgen.selection.select import asks_for_embeddings, wanted
from dawgen.selection.store import FOLDER, Choice
from dawgen.settings import Settings
from dawgen.settings.layers import dump_settings
from dawgen.storage.atomic import whole_file, write_bytes
from dawgen.storage.folder import RunFolder, write_json, write_text
from dawgen.storage.reading import read_json
from dawgen.storage.seals import file_hash
from dawgen.tasks import TaskCard
from dawgen.tasks.in_memory import in_memory
from dawgen.tasks.load import Source
from dawgen.terminal.harmless import hide_secrets
from dawgen.terminal.progress import say, warn
from dawgen.use.finished import kept_hashes


@dataclass(frozen=True)
class ManyJob:
    """A task of several labels per text.

    Attributes:
        rows: different labelled rows, which are all learned from.
        test: rows to score; None scores the labelled rows as held out.
    """

    card: TaskCard
    rows: list[ManyRow]
    test: list[ManyRow] | None


def load_many_job(
    card: TaskCard,
    settings: Settings,
    train: Source | None,
    dev: Source | None,
    test: Source | None,
) -> ManyJob:
    """Read the rows; those of ``dev`` are learned from too, since folds are held out.

    Raises:
        UserError: no file, or too few rows of a label.
    """
    if train is None:
        raise UserError(f"Task {card.name} has no rows of its own; name a file with --train.")
    skip = settings.on_empty == "skip"
    splits = {"train": train, "dev": dev}
    named = {split: source for split, source in splits.items() if source is not None}
    rows = distinct(
        [
            row
            for split, source in named.items()
            for row in load_many(card, source, split=split, skip_empty=skip)
        ]
    )
    words = [split if in_memory(source) else str(source) for split, source in named.items()]
    check_many(card, rows, " and ".join(words))
    tested = None if test is None else load_many(card, test, split="test", skip_empty=skip)
    return ManyJob(card, rows, tested)


def run_many(
    job: ManyJob,
    settings: Settings,
    out: Path,
    *,
    preset: str | None = None,
    command: Sequence[str] = (),
) -> dict[str, Any]:
    """Compare linear heads, fill the run folder with the best, and return its scores.

    Raises:
        UserError: no candidate is a linear head, or the folder is not the run's to write.
    """
    names = _heads(settings, job.card)
    if settings.selection.candidates == "quick":
        fetch_along(settings.selection.encoder, settings.backbone.path)
        names = _heads(settings, job.card)
    folder, models = RunFolder(out), Models(job.card, settings)
    if job.test is None:
        warn("no test rows were given, so the scores are of the labelled rows, each held out.")
    with folder.lock():
        folder.refuse_foreign(FOLDERS, FILES)
        say(f"dawgen: 1/1 choosing the best of {', '.join(names)}")
        inputs = _inputs(job, settings, models, names)
        folder.stage("selection", inputs, [FOLDER], lambda at: _build(at, job, models, names))
        for other in FOLDERS:
            if other != FOLDER:  # of an earlier run of another task
                folder.set_aside(other)
        scores = _publish(out, job, settings)
        record = _record(folder, job, settings, preset, command)
        write_json(out / "run.json", hide_secrets(record))
    return scores


def score_run(
    card: TaskCard, run: Path, rows: Sequence[ManyRow], predictions: Path
) -> dict[str, Any]:
    """Scores of what a finished run ships, whose predictions are written.

    Raises:
        UserError: no such run, or one of other labels.
    """
    from dawgen.use.classifier import Classifier

    classifier = Classifier.load(run)
    if classifier.labels != card.labels or not classifier.card.takes_many:
        raise UserError(f"{run} is of other labels than task {card.name}; name one of its runs.")
    chances = classifier.of_rows([each.row for each in rows])
    _write_predictions(predictions, card, rows, chances)
    return {
        "task": card.name,
        "method": classifier.name,
        "scored_on": "test rows",
        **score_many(card, gold_of(card, rows), chances),
    }


def _heads(settings: Settings, card: TaskCard) -> list[str]:
    fit = [name for name, kinds in HEADS.items() if not {*TUNED} & {*kinds}]
    names = [name for name in wanted(settings.selection, card) if name in fit]
    if not names:
        raise UserError(
            "A task of several labels per text is learned by heads on frozen models; name some of "
            f"{', '.join(fit)} in selection.candidates, or leave it at quick."
        )
    return names


def _inputs(
    job: ManyJob, settings: Settings, models: Models, names: Sequence[str]
) -> dict[str, Any]:
    return {
        "dawgen": dawgen.__version__,
        "card": job.card.model_dump(mode="json"),
        "seed": settings.seed,
        "rows": many_hash(job.rows),
        "test": many_hash(job.test),
        "candidates": list(names),
        "encoder": models.encoder.fingerprint if asks_for_embeddings(names) else None,
        "backbone": models.backbone.fingerprint if _reads_states(names) else None,
    }


def _reads_states(names: Sequence[str]) -> bool:
    return any("answers" in HEADS[name] for name in names)


def _build(place: Path, job: ManyJob, models: Models, names: Sequence[str]) -> None:
    """``choice/`` with the head of lowest loss on held-out rows."""
    card, home = job.card, place / FOLDER
    found = _validated(job, models, names)
    ships = min(found, key=lambda name: found[name].together.loss)
    table = []
    for name, heads in found.items():
        choice = _choice(name, heads, job, models)
        gold, chances = _scored(choice, heads.together, job)
        scores = score_many(card, gold, chances)
        facts = _facts(name, heads.together, job)
        table.append(facts | _tested(job, scores) | {"bytes": choice.bytes})
        if name == ships:
            choice.save(home, models, {"labelled_rows": len(job.rows)})
            write_json(home / "scores.json", scores)
            rows = job.rows if job.test is None else job.test
            _write_predictions(home / "predictions.parquet", card, rows, chances)
    write_json(home / "candidates.json", table)


@dataclass(frozen=True)
class _Heads:
    """Heads of some kinds in cross-validation, their exponents, and their product."""

    each: Mapping[Kind, ManyValidated]
    powers: Sequence[float]
    together: ManyValidated


def _validated(job: ManyJob, models: Models, names: Sequence[str]) -> dict[str, _Heads]:
    """By candidate; each kind is validated once."""
    card, seed = job.card, models.settings.seed
    of = {name: kinds_of(name, is_pair=card.is_pair) for name in names}
    kinds = dict.fromkeys(kind for each in of.values() for kind in each)
    known = {kind: cross_validate_many(models.recipe(kind), card, job.rows, seed) for kind in kinds}
    found = {}
    for name in names:
        each = {kind: known[kind] for kind in of[name]}
        alone = [1.0], next(iter(each.values()))
        gold = gold_of(card, job.rows)
        powers, whole = together(list(each.values()), gold, card.metric) if len(each) > 1 else alone
        found[name] = _Heads(each, powers, whole)
    return found


def _choice(name: str, heads: _Heads, job: ManyJob, models: Models) -> Choice:
    texts, gold = [each.row for each in job.rows], gold_of(job.card, job.rows)
    parts = []
    for (kind, validated), power in zip(heads.each.items(), heads.powers, strict=True):
        recipe = models.recipe(kind)
        features = recipe.make(texts)
        head = fit_many(
            features.of(texts),
            gold,
            validated.strength,
            job.card.metric,
            form=recipe.form,
        )
        parts.append(HeadPart(name, kind, features, head.to_the(power)))
    return Choice(name, parts, [0] * len(parts))


def _scored(choice: Choice, validated: ManyValidated, job: ManyJob) -> tuple[Has, Probabilities]:
    if job.test is None:
        return gold_of(job.card, job.rows), validated.held_out
    chances = choice.probabilities([each.row for each in job.test])
    return gold_of(job.card, job.test), chances


def _facts(name: str, validated: ManyValidated, job: ManyJob) -> dict[str, Any]:
    held_out = score_many(job.card, gold_of(job.card, job.rows), validated.held_out)
    return {
        "name": name,
        "held_out_accuracy": round(held_out["accuracy"], 4),
        "held_out_macro_f1": round(held_out["macro_f1"], 4),
        "held_out_loss": round(validated.loss, 4),
        "held_out_rows": len(job.rows),
        "rows": len(job.rows),
    }


def _tested(job: ManyJob, scores: Mapping[str, Any]) -> dict[str, Any]:
    figures = ("accuracy", "macro_f1")
    return {} if job.test is None else {f"test_{name}": scores[name] for name in figures}


def _write_predictions(
    path: Path, card: TaskCard, rows: Sequence[ManyRow], chances: Probabilities
) -> None:
    """As of other tasks; labels and predictions have ``|`` between them."""
    name = output_names(card)
    columns: dict[str, Any] = {
        name[role]: pa.array([getattr(each.row, role) for each in rows], pa.string())
        for role in card.roles
    }
    columns[name["label"]] = pa.array(names_of(card, gold_of(card, rows)), pa.string())
    columns["prediction"] = pa.array(names_of(card, chances >= YES), pa.string())
    for i, label in enumerate(card.labels):
        columns[f"p_{label}"] = pa.array(chances[:, i], pa.float32())
    with whole_file(path) as file:
        pq.write_table(pa.table(columns), file)


def _publish(out: Path, job: ManyJob, settings: Settings) -> dict[str, Any]:
    """Card, settings, scores and predictions, to where a run folder has them."""
    home = out / FOLDER
    backbone = settings.backbone.model_copy(update={"trust_remote_code": False})
    kept = with_encoder(settings.model_copy(update={"backbone": backbone}))
    write_text(out / "config.yaml", dump_settings(kept))
    write_text(out / "task.yaml", dump_settings(job.card))
    scores = {
        "task": job.card.name,
        "seed": settings.seed,
        "scored_on": "labelled rows, held out" if job.test is None else "test rows",
        **read_json(home / "scores.json"),
        "choice": read_json(home / "choice.json")["name"],
        "candidates": read_json(home / "candidates.json", list),
    }
    write_json(out / "scores.json", scores)
    write_bytes(out / "predictions.parquet", (home / "predictions.parquet").read_bytes())
    return scores


def _record(
    folder: RunFolder,
    job: ManyJob,
    settings: Settings,
    preset: str | None,
    command: Sequence[str],
) -> dict[str, Any]:
    path, files = folder.path, ("scores.json", "predictions.parquet")
    return {
        "dawgen": dawgen.__version__,
        "task": job.card.name,
        "seed": settings.seed,
        "preset": preset,
        "command": list(command),
        "rows": {
            "train": len(job.rows),
            "dev": 0,
            "test": None if job.test is None else len(job.test),
            "used": len(job.rows),
        },
        "choice": read_json(path / FOLDER / "choice.json")["name"],
        "data": {"train": many_hash(job.rows), "test": many_hash(job.test)},
        "stages": folder.stages,
        "peak_memory_mib": peak_memory_mib(),
        "hardware": hardware(),
        "trust_remote_code": settings.backbone.trust_remote_code,
        "files": {name: file_hash(path / name) for name in files} | kept_hashes(path),
        "versions": versions(),
    }
