"""The stages of the main job. Each takes the settings that it needs, and fills its folders."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from dawgen.backbone import Backbone
from dawgen.backbone.choose_frame import frame_for
from dawgen.backbone.frame import frame_json, load_frame
from dawgen.decoding import choose_engine, decoding_of
from dawgen.evaluation import predict, score, write_predictions
from dawgen.generator import fit_generator, label_prompt_start, weighted_texts
from dawgen.generator.examples import Shot, make_shots
from dawgen.pipeline.reader import BASELINE as BASELINE
from dawgen.pipeline.reader import RowReader
from dawgen.pipeline.stage import Context, Stage, Workspace
from dawgen.prompts import load_label_prompts, load_prompt, save_prompt
from dawgen.report import write_map
from dawgen.selection.encoder import with_encoder
from dawgen.settings import GeneratorSettings, Settings, SynthesisSettings, TuningSettings
from dawgen.settings.layers import dump_settings
from dawgen.settings.tree import NoiseSettings
from dawgen.storage.checkpoint import Checkpoint
from dawgen.storage.folder import folder_hash, write_json, write_log, write_text
from dawgen.streams import Streams
from dawgen.synthesis import synthesize
from dawgen.synthesis.first_sentences import writes_first as generator_writes_first
from dawgen.synthesis.importing import Given, Import, write_import
from dawgen.synthesis.sources import source_hashes
from dawgen.synthesis.spread import Spread
from dawgen.synthesis.teacher import Teacher
from dawgen.tasks import Row
from dawgen.tasks.job import Job, rows_hash
from dawgen.terminal.progress import hushed
from dawgen.tuning import Arm, fit_prompts, planned_arms
from dawgen.use.finished import renew_record

_NEVER = {"tokens_per_batch", "baseline"}
_OF_SYNTHETIC_ROWS = {
    *("combine", "epsilon", "label_smoothing", "noise"),
    *("synthetic_batch_size", "synthetic_steps", "synthetic_checkpoint"),
}


def arms_of(settings: Settings) -> dict[str, Arm]:
    """The prompts that a run tunes by their folders: ``prompt``, and ``baseline`` where wanted."""
    reads = settings.synthesis.chooses
    return {arm.name: arm for arm in planned_arms(settings.tuning, settings.seed, reads=reads)}


# --- the generator ----------------------------------------------------------------------


def generator(context: Context, settings: GeneratorSettings, synthesis: SynthesisSettings) -> Stage:
    """Few shots -> label prompts Q[C,P,H] in ``generator/``.

    Its build raises UserError also where the writer could be tuned, but not write.
    """
    card, shots, backbone = context.job.card, context.job.shots.train, context.writer
    writes_first = generator_writes_first(synthesis.first_sentences)
    frame = frame_for(card, backbone, settings.frame)

    def build(workspace: Workspace) -> None:
        # A recurrent model can be scored and tuned, and fails only when it writes: try it first.
        length = settings.prompt_length
        decoding = decoding_of(
            synthesis, card, shots, backbone, length, writes_first=writes_first, frame=frame
        )
        with hushed():
            choose_engine(synthesis, backbone, label_prompt_start(card, backbone, length), decoding)
        tuned = fit_generator(
            card,
            shots,
            backbone,
            settings,
            Streams(context.seed),
            write_first=writes_first,
            checkpoint=Checkpoint(workspace.checkpoint, "generator tuning"),
            on_step=workspace.track("generator"),
        )
        tuned.save(workspace.folder, backbone, card.labels)
        learned = shots_to_write(context.job, backbone, settings, writes_first)
        texts = weighted_texts(tuned, learned, shots, card, backbone)
        write_json(workspace.folder / "token-weights.json", texts)

    return Stage(
        "generator",
        "tuning the generator on the few shots",
        "generator",
        lambda: {
            **context.writer_inputs,
            "generator": settings.model_dump(mode="json", exclude={"backbone"}),
            "frame": frame_json(frame),
            "writes_first": writes_first,
        },
        build,
    )


def shots_to_write(
    job: Job, backbone: Backbone, settings: GeneratorSettings, writes_first: bool
) -> list[Shot]:
    """The few shots as the generator learns them."""
    return make_shots(
        job.card,
        job.shots.train,
        backbone,
        prompt_length=settings.prompt_length,
        max_length=settings.max_length,
        write_first=writes_first,
        frame=frame_for(job.card, backbone, settings.frame),
        tell=False,
    )


# --- synthesis --------------------------------------------------------------------------


def synthesis(
    context: Context,
    settings: SynthesisSettings,
    read: Callable[[], RowReader],
    generator: Path | None = None,
    spread: Spread | None = None,
) -> Stage:
    """Label prompts -> labelled rows in ``synthetic/``, those that the reader chooses if asked for.

    Args:
        read: makes the reader, once the prompt of :func:`baseline` is there.
        generator: a generator's folder; the run's own without.
        spread: other machines that write; the rows are the same as here.
    """
    job, backbone = context.job, context.writer
    home = generator or context.path / "generator"
    forbidden = [*job.shots.dev, *(job.test or [])]
    settings = settings.for_card(job.card)

    @cache
    def reader() -> RowReader | None:
        return read() if settings.chooses else None

    def inputs() -> dict[str, Any]:
        read = reader()
        return {
            **context.writer_inputs,
            "generator": folder_hash(home / "label-prompts"),
            "frame": frame_json(load_frame(home)),
            "synthesis": settings.model_dump(mode="json", exclude=settings.only_speed()),
            "first_sentences": source_hashes(settings.first_sentences),
            "forbidden": rows_hash(forbidden),
            **({"reader": read.fingerprint} if read else {}),
        }

    def build(workspace: Workspace) -> dict[str, Any]:
        made = synthesize(
            job.card,
            job.shots.train,
            load_label_prompts(home / "label-prompts", job.card.labels, backbone),
            backbone,
            settings,
            Streams(context.seed),
            workspace.folder,
            frame=load_frame(home),
            forbidden=forbidden,
            work=workspace.parts,
            spread=spread,
            reader=reader(),
        )
        return {"engine": made.engine, "speed": made.speed.as_json()}

    chooses = ", and choosing those whose label a reader confirms" if settings.chooses else ""
    if chooses and settings.choose.relabel is not None:
        chooses = ", and choosing those that a reader is sure of"
    return Stage("synthesis", f"writing labelled rows{chooses}", "synthetic", inputs, build)


def teacher(context: Context, teacher: Teacher) -> Stage:
    """A model behind an API, asked for rows of every label -> its answers in ``teacher/``."""
    job = context.job
    return Stage(
        "teacher",
        f"asking {teacher.name} for labelled rows",
        "teacher",
        lambda: teacher.inputs(job, context.seed),
        lambda workspace: teacher.write(job, context.seed, workspace.folder, workspace.checkpoint),
    )


def imported(
    context: Context,
    settings: SynthesisSettings,
    given: Callable[[], Given],
    read: Callable[[], RowReader],
) -> Stage:
    """Rows from elsewhere -> cleaned rows in ``synthetic/``, those that the reader chooses.

    A generator of an earlier run in the folder is moved aside: it has written none of them.

    Args:
        given: the rows, once they are there.
        read: makes the reader, once the prompt of :func:`baseline` is there.
    """

    @cache
    def reader() -> RowReader | None:
        return read() if settings.chooses else None

    @cache
    def what() -> Import:
        rows = given()
        return Import(
            context.job,
            settings.for_card(context.job.card),
            context.seed,
            rows.origin,
            rows.rows,
            reader=reader(),
            usage=rows.usage,
        )

    def inputs() -> dict[str, Any]:
        read = reader()
        return what().inputs | ({"reader": read.fingerprint} if read else {})

    def build(workspace: Workspace) -> None:
        write_import(workspace.folder, what())

    chooses = ", and choosing those whose label a reader confirms" if settings.chooses else ""
    return Stage(
        "synthesis",
        f"cleaning the rows from elsewhere{chooses}",
        "synthetic",
        inputs,
        build,
        lambda changed: context.folder.set_aside("generator"),
    )


# --- prompts ----------------------------------------------------------------------------


def baseline(context: Context, settings: TuningSettings, arm: Arm) -> Stage:
    """Few shots alone -> a soft prompt [P,H] in ``baseline/``.

    It is what the final prompt is compared with, and may be the reader that chooses rows.
    """
    plain = settings.model_copy(update={"noise": NoiseSettings()})
    return Stage(
        BASELINE,
        "tuning a prompt on the few shots alone",
        BASELINE,
        lambda: {
            "dev": rows_hash(context.job.shots.dev),
            "tuning": settings.model_dump(mode="json", exclude=_NEVER | _OF_SYNTHETIC_ROWS),
        },
        lambda workspace: _tune(workspace, context, plain, arm, []),
    )


def tuning(context: Context, settings: Settings, rows: Callable[[], Sequence[Row]]) -> Stage:
    """Real and synthetic rows -> the task's soft prompt p[P,H] in ``prompt/``.

    All settings of the run and its card are written beside it, once it is there.
    """
    arms = arms_of(settings)

    def after(changed: bool) -> None:
        stale = [] if BASELINE in arms else [BASELINE]  # another run's
        stale += ["evaluation", "map"] if changed else []  # the old prompt's
        stale += ["choice"] if changed or settings.selection.candidates == "paper" else []
        for folder in stale:
            context.folder.set_aside(folder)
        describe(context, settings)

    return Stage(
        "tuning",
        "tuning the prompt on real and synthetic rows",
        "prompt",
        lambda: {
            "dev": rows_hash(context.job.shots.dev),
            "synthetic": rows_hash(rows()),
            "tuning": settings.tuning.model_dump(mode="json", exclude=_NEVER),
        },
        lambda workspace: _tune(workspace, context, settings.tuning, arms["prompt"], rows()),
        after,
    )


def _tune(
    workspace: Workspace,
    context: Context,
    settings: TuningSettings,
    arm: Arm,
    rows: Sequence[Row],
) -> None:
    """One prompt, with its log and where it was best."""
    job, folder = context.job, workspace.folder
    (tuned,) = fit_prompts(
        job.card,
        [arm],
        job.shots.train,
        job.shots.dev,
        rows,
        context.backbone,
        settings,
        workspace.track("tuning"),
        checkpoint=Checkpoint(workspace.checkpoint, "prompt tuning"),
    )
    save_prompt(tuned.prompt, folder, context.backbone)
    write_log(folder / "log.jsonl", tuned.history)
    best = {name: getattr(tuned, name) for name in ("best_step", "dev_accuracy", "dev_loss")}
    write_json(folder / "arm.json", asdict(tuned.arm) | best)


def describe(context: Context, settings: Settings) -> None:
    """Write the settings and the card beside what the run ships: predicting needs no more.

    That a model's own code was allowed is said in ``run.json`` only: no file may allow it again.
    """
    backbone = settings.backbone.model_copy(update={"trust_remote_code": False})
    synthesis = settings.synthesis.for_card(context.job.card)
    changes = {"backbone": backbone, "synthesis": synthesis}
    kept = with_encoder(settings.model_copy(update=changes))
    write_text(context.path / "config.yaml", dump_settings(kept))
    write_text(context.path / "task.yaml", dump_settings(context.job.card))
    renew_record(context.path)


# --- scores -----------------------------------------------------------------------------


def evaluation(context: Context, arms: Collection[str], tokens_per_batch: int) -> Stage:
    """Tuned prompts, in the folders ``arms``, and zero-shot -> scores and predictions."""
    job, backbone, rows = context.job, context.backbone, context.job.scored

    def inputs() -> dict[str, Any]:
        prompts = {name: folder_hash(context.path / name) for name in arms}
        return {"prompts": prompts, "rows": rows_hash(rows)}

    def scored(arm: str | None) -> tuple[np.ndarray, dict[str, Any]]:
        chances = context.labelled.pop(arm or "zero-shot", None)
        if chances is None:
            prompt = load_prompt(context.path / arm, backbone) if arm else None
            chances = predict(backbone, job.card, prompt, rows, tokens_per_batch=tokens_per_batch)
        labels = [row.label for row in rows if row.label is not None]
        return chances, score(job.card, labels, chances)

    def build(workspace: Workspace) -> None:
        probabilities, ours = scored("prompt")
        scores = {
            **context.heading,
            **ours,
            **{name: scored(name)[1] for name in arms if name != "prompt"},
            "zero_shot": scored(None)[1],
        }
        write_json(workspace.folder / "scores.json", scores)
        predictions = workspace.folder / "predictions.parquet"
        write_predictions(predictions, job.card, rows, probabilities)

    return Stage("evaluation", "scoring", "evaluation", inputs, build)


def row_map(context: Context, rows: Callable[[], Sequence[Row]], tokens_per_batch: int) -> Stage:
    """Real and synthetic rows as the backbone sees them -> ``map/``, for the report."""
    job = context.job
    real = {"shot": job.shots.train, "development": job.shots.dev, "test": job.test or []}

    def inputs() -> dict[str, Any]:
        hashes = {kind: rows_hash(part) for kind, part in real.items()}
        return {"real": hashes, "synthetic": rows_hash(rows())}

    def build(workspace: Workspace) -> None:
        home, streams = workspace.folder, Streams(context.seed)
        write_map(home, job.card, context.backbone, real, rows(), streams, tokens_per_batch)

    return Stage("map", "", "map", inputs, build)
