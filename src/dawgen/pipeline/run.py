"""The main job, stage after stage: few shots in; label prompts, rows, task prompt, scores out.

Read top to bottom, this is the product: :func:`stages_of` lists the stages, :func:`run` makes them.
A stage is a value (:mod:`dawgen.pipeline.stages`), and what is done around each of them is in
:mod:`dawgen.pipeline.stage`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import torch
from markupsafe import Markup

from dawgen.backbone import Backbone, load_backbone
from dawgen.backbone.choose_frame import frame_for
from dawgen.backbone.load import load_writer
from dawgen.backbone.shape import Work
from dawgen.decoding.choose import check_engine, decoding_of
from dawgen.errors import UserError
from dawgen.evaluation import overlap
from dawgen.many.run import load_many_job, run_many
from dawgen.pipeline import selecting, stages
from dawgen.pipeline.limits import NO_LIMITS, Costs, Limits
from dawgen.pipeline.quick import names_alone, quick_scores, quick_stage, with_all_rows
from dawgen.pipeline.reader import RowReader, RunReader
from dawgen.pipeline.record import run_record
from dawgen.pipeline.stage import Context, Stage, held, make_all
from dawgen.pipeline.stage_work import Counter
from dawgen.pipeline.stages import BASELINE, arms_of
from dawgen.pipeline.tracking import tracked
from dawgen.prompts import load_prompt
from dawgen.report import write_report
from dawgen.report.notebook import headline, run_html
from dawgen.selection.encoder import fetch_along
from dawgen.selection.parts import Models
from dawgen.selection.select import teaches, wanted
from dawgen.settings import Settings
from dawgen.storage.atomic import write_bytes
from dawgen.storage.folder import RunFolder, write_json
from dawgen.storage.reading import read_json
from dawgen.synthesis import SyntheticRow, load_synthetic
from dawgen.synthesis.importing import Given
from dawgen.synthesis.sources import check_sources
from dawgen.synthesis.teacher import Teacher
from dawgen.tasks.in_memory import in_memory
from dawgen.tasks.job import Job, Task, card_of, load_job
from dawgen.tasks.load import Source
from dawgen.terminal.progress import warn
from dawgen.use.classifier import Classifier


def stages_of(
    context: Context,
    settings: Settings,
    rows: Callable[[], Sequence[SyntheticRow]],
    given: Callable[[], Given] | None = None,
    teacher: Teacher | None = None,
) -> list[Stage]:
    """The stages of a run, in their order.

    Args:
        rows: the kept synthetic rows, once they are there.
        given: rows from elsewhere, once they are there; without, a generator writes them.
        teacher: asked for those rows before.
    """
    arms, tokens = arms_of(settings), settings.evaluation.tokens_per_batch
    count = Counter(context.job, context.backbone, settings, context.other_writer)
    models = Models(context.job.card, settings, context.backbone, context.writer)
    if settings.quick:
        return [quick_stage(context, settings, models)]

    def written() -> Work:
        speed = context.folder.stages["synthesis"]["speed"]
        return count.synthesis(speed["attempted"], speed["tokens"])

    def read() -> RowReader:
        return RunReader(context, settings, models)

    first = []
    if BASELINE in arms:
        alone = stages.baseline(context, settings.tuning, arms[BASELINE])
        first = [alone.counting(count.baseline)]
    if given is None:
        generator = stages.generator(context, settings.generator, settings.synthesis)
        synthesis = stages.synthesis(context, settings.synthesis, read)
        writing = [generator.counting(count.generator), synthesis.counting(written)]
    else:
        asking = [stages.teacher(context, teacher)] if teacher else []
        writing = [*asking, stages.imported(context, settings.synthesis, given, read)]
    evaluation = stages.evaluation(context, arms, tokens)
    if settings.selection.candidates == "paper":
        last = [evaluation.counting(count.evaluation)]
    else:  # most test rows are read in choosing
        last = [selecting.selection(context, settings, arms, rows, models), evaluation]
    return [
        *first,
        *writing,
        stages.tuning(context, settings, rows).counting(lambda: count.tuning(rows())),
        *last,
        stages.row_map(context, rows, tokens),
    ]


def run(
    task: Task,
    *,
    train: Source | None = None,
    dev: Source | None = None,
    test: Source | None = None,
    out: str | Path = "runs/latest",
    settings: Settings | Mapping[str, Any] | None = None,
    preset: str | None = None,
    command: Sequence[str] = (),
    limits: Limits = NO_LIMITS,
    synthetic: Source | None = None,
    teacher: Teacher | None = None,
    unlabelled: str | Path | None = None,
    quick: bool = False,
) -> Result:
    """From a few labelled rows to a synthetic dataset, a tuned prompt and its scores.

    Args:
        task: a built-in card's name, a card file, or a card such as
            :func:`dawgen.tasks.new_card` makes.
        train: labelled rows: a file (JSONL, JSON, CSV, TSV, Parquet), ``hub:NAME``, or rows in
            memory: a list of dictionaries or of (text, label) tuples, a data frame, a
            ``datasets.Dataset``.
        dev: rows for choosing the checkpoint; drawn from ``train`` without.
        test: rows to score; without, the development shots are scored and said to be.
        out: the run folder; what is there already from the same settings is used again.
        settings: a dictionary such as ``{"tuning.steps": 500}``, or what
            :func:`dawgen.settings.layers.build_settings` gives first; the shipped model's without.
        preset: settings made for one backbone; of a ``Settings`` object it is the name only.
        command: words of the command that was typed, for ``run.json``.
        limits: hours or kWh after which no further stage is begun.
        synthetic: labelled rows that somebody else wrote, to be cleaned, chosen among and tuned
            on; no generator is tuned then.
        teacher: a model behind an API that writes such rows first.
        unlabelled: texts without labels: of pairs first texts that written rows start from, and
            whole rows that ``embeddings+unlabelled`` learns from.
        quick: only choose a classifier, by the labelled rows alone: the setting ``quick``.

    Raises:
        UserError: something in the files or settings that the user can fix.
    """
    from dawgen.settings.layers import settings_from

    settings, preset = settings_from(settings, preset)
    card = card_of(task)
    settings = settings.model_copy(update={"quick": True}) if quick else settings
    settings = with_all_rows(settings, card)
    if card.takes_many:
        if any(source is not None for source in (synthetic, teacher, unlabelled)):
            raise UserError(
                f"Task {card.name} gives a text several labels (labels_per_text: many), for which "
                "no rows are written; leave out --synthetic, --teacher and --unlabelled."
            )
        many = load_many_job(card, settings, train, dev, test)
        several = run_many(many, settings, Path(out), preset=preset, command=command)
        result = Result(Path(out), several)
        result.trusts_code = settings.backbone.trust_remote_code
        return result
    texts = None if unlabelled is None else str(unlabelled)
    job = load_job(task, settings, train=train, dev=dev, test=test, unlabelled=texts)
    given = _given(synthetic, teacher, job, Path(out))
    if settings.quick and given is not None:
        raise UserError(
            "A quick run reads the labelled rows alone; leave out --quick, or --synthetic and "
            "--teacher."
        )
    writes = given is None and not settings.quick
    settings = with_unlabelled(settings, job, writes=writes)
    backbone = load_backbone(settings.backbone)
    writer = load_writer(settings, backbone) if writes else None
    _check_before(job, backbone, writer or backbone, settings, preset, writes=writes)
    if settings.selection.candidates == "quick":
        fetch_along(settings.selection.encoder, settings.backbone.path)
    folder, costs = RunFolder(Path(out)), Costs(limits)
    context = Context(folder, job, backbone, settings.seed, writer)

    @cache
    def rows() -> list[SyntheticRow]:
        return load_synthetic(folder.path / "synthetic", job.card)

    steps = stages_of(context, settings, rows, given, teacher)
    with held(folder), tracked(settings, folder.path) as track:
        shared = _check_overlap(job)
        make_all(steps, context, track, costs)
        scores = _publish(context, settings)
        work = {stage.name: stage.work for stage in steps}
        spent = costs.record(work, folder, backbone, 0 if settings.quick else len(rows()))
        record = run_record(context, settings, preset, command, shared)
        write_json(folder.path / "run.json", record | spent)
        write_report(folder.path)
    ledger = read_json(folder.path / "synthetic" / "ledger.json")  # {} of a quick run
    found = Result(folder.path, scores, shared, ledger)
    found.trusts_code = settings.backbone.trust_remote_code
    return found


@dataclass(repr=False)
class Result:
    """A finished run.

    Attributes:
        folder: where everything lies.
        scores: the content of ``scores.json``.
        overlap: how many few-shot rows the test rows repeat, None without test rows.
        ledger: the content of ``synthetic/ledger.json``; empty where no rows were written.
    """

    folder: Path
    scores: dict[str, Any]
    overlap: int | None = None
    ledger: dict[str, Any] = field(default_factory=dict)
    trusts_code: bool = field(default=False, init=False)
    """Whether the model's own code may run, which the run folder does not say."""

    @cached_property
    def classifier(self) -> Classifier:
        """What the run ships, loaded when it is first used."""
        allowed = ["backbone.trust_remote_code=true"] if self.trusts_code else []
        return Classifier.load(self.folder, allowed)

    def predict(self, rows: Any, abstain_below: float | None = None) -> Any:
        """The likeliest label of one text, or of each of many; see :meth:`Classifier.predict`."""
        return self.classifier.predict(rows, abstain_below)

    def __repr__(self) -> str:
        return f"Result({str(self.folder)!r}: {headline(self.scores)})"

    def _repr_html_(self) -> str:
        """What notebooks show: accuracy, what it is compared with, what follows from it."""
        if "micro_f1" in self.scores:  # several labels per text, of which there is no page
            return str(Markup("<div>{}</div>").format(headline(self.scores)))
        return run_html(self.folder)

    @property
    def prompt(self) -> torch.Tensor:
        """The tuned soft prompt [P,H]."""
        return load_prompt(self.folder / "prompt")


def with_unlabelled(settings: Settings, job: Job, *, writes: bool) -> Settings:
    """The settings with the user's unlabelled first texts as first sentences, of a pair task whose
    ``synthesis.first_sentences`` is not set; warns where nothing uses the texts.

    Args:
        writes: whether a generator writes rows.
    """
    if job.unlabelled is None:
        return settings
    chosen = settings.synthesis
    begins = writes and job.card.is_pair and "first_sentences" not in chosen.model_fields_set
    learns = job.unlabelled.rows and teaches(wanted(settings.selection, job.card))
    if not begins and not learns:
        warn(
            "nothing uses the unlabelled texts: first sentences are of a pair task whose "
            "synthesis.first_sentences is not set, and no candidate learns from them "
            "(selection.candidates), or its encoder is not here (`dawgen backbones get mpnet`)."
        )
    if not begins:
        return settings
    changes = {"first_sentences": job.unlabelled.first_sentences}
    return settings.model_copy(update={"synthesis": chosen.model_copy(update=changes)})


def _given(
    source: Source | None, teacher: Teacher | None, job: Job, out: Path
) -> Callable[[], Given] | None:
    """Rows from elsewhere, of a file at once; None where a generator writes them.

    Raises:
        UserError: a file that cannot be read, or that is in the run folder, where it would be
            replaced by what is kept of it.
    """
    if source is not None and teacher is not None:
        raise UserError("--synthetic and --teacher exclude each other; name one source of rows.")
    if teacher is not None:
        return lambda: teacher.read(out / "teacher", job.card)
    if source is None:
        return None
    if not in_memory(source) and Path(source).resolve().is_relative_to(out.resolve()):
        raise UserError(f"{source} is in the run folder {out}; name another folder with --out.")
    given = Given.read(source, job.card)
    return lambda: given


def _check_before(
    job: Job,
    backbone: Backbone,
    writer: Backbone,
    settings: Settings,
    preset: str | None,
    *,
    writes: bool,
) -> None:
    """What would stop a later stage stops the run before the first.

    Args:
        writes: whether a generator writes the rows.

    Raises:
        UserError: label words that the model does not have, a prompt that leaves no room for text,
            first sentences that are not there, a way of decoding that the labels or the engine do
            not have.
    """
    backbone.label_word_ids(job.card)
    if preset is None and not backbone.is_encoder_decoder:
        warn(
            f"{backbone.name} is a causal model and no preset was chosen, so the settings are the "
            "published ones of T5; --preset causal holds those for causal models."
        )
    backbone.encode_rows(job.card, job.shots.train, settings.tuning.prompt_length)
    named = settings.selection.candidates
    only = isinstance(named, list) and all(teaches([name]) for name in named)
    if only and not (job.unlabelled and job.unlabelled.rows):
        raise UserError(
            f"selection.candidates names {', '.join(named)} only, which needs texts without "
            "labels; name them with --unlabelled, or other candidates."
        )
    if settings.quick:
        names_alone(settings, job.card)
        return
    if not writes:
        if settings.selection.candidates == ["noisy-channel"]:
            raise UserError(
                "selection.candidates names the generator only (noisy-channel), but "
                "rows from elsewhere need no generator; name other candidates."
            )
        return
    frame = frame_for(job.card, writer, settings.generator.frame)
    length = settings.generator.prompt_length
    writer.encode_source("", length, frame)
    check_sources(settings.synthesis.first_sentences)
    shots, chosen = job.shots.train, settings.synthesis
    decoding_of(chosen, job.card, shots, writer, length, writes_first=False, frame=frame)
    check_engine(chosen)


def _check_overlap(job: Job) -> int | None:
    if job.test is None:
        warn(
            "no test rows were given, so the scores are of the development shots, on which "
            "the choice was made; name test rows with --test."
        )
        return None
    repeated = overlap([*job.shots.train, *job.shots.dev], job.test)
    if repeated.count:
        warn(f"{repeated.sentence()}.")
    return repeated.count


def _publish(context: Context, settings: Settings) -> dict[str, Any]:
    """Write the scores and predictions of what is shipped to where the run folder promises them;
    returns the scores."""
    run = context.path
    if settings.quick:
        scores = quick_scores(context)
    else:
        scores = selecting.with_choice(run, read_json(run / "evaluation" / "scores.json"))
    write_json(run / "scores.json", scores)
    home = run / ("choice" if "choice" in scores else "evaluation")
    write_bytes(run / "predictions.parquet", (home / "predictions.parquet").read_bytes())
    return scores
