"""The stages that tune a prompt: on the few shots alone first, and on chosen rows at the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

import dawgen
from dawgen.backbone import Backbone
from dawgen.evaluation import predict
from dawgen.pipeline.tracking import Track, no_tracking
from dawgen.prompts import load_prompt, save_prompt
from dawgen.settings import Settings, TuningSettings
from dawgen.settings.tree import NoiseSettings
from dawgen.storage.checkpoint import Checkpoint
from dawgen.storage.folder import RunFolder, folder_hash, write_json, write_log
from dawgen.storage.seals import read_seal
from dawgen.synthesis import SyntheticRow
from dawgen.synthesis.choosing import choose_rows
from dawgen.synthesis.provenance import prompts_hash
from dawgen.tasks import Row, TaskCard
from dawgen.tasks.job import Job, rows_hash
from dawgen.terminal.progress import hushed, say
from dawgen.tuning import Arm, TunedPrompt, fit_prompts, planned_arms

BASELINE = "baseline"
_OF_SYNTHETIC_ROWS = {"combine", "epsilon", "synthetic_batch_size", "label_smoothing", "noise"}
_NEVER = {"tokens_per_batch", "baseline"}


def common_inputs(job: Job, backbone: Backbone, settings: Settings) -> dict[str, Any]:
    """What the result of every stage depends on."""
    return {
        "dawgen": dawgen.__version__,
        "card": job.card.model_dump(mode="json"),
        "backbone": backbone.fingerprint,
        "seed": settings.seed,
        "shots": rows_hash(job.shots.train),
    }


def arms_of(settings: Settings) -> dict[str, Arm]:
    """The prompts that a run tunes by their folders: ``prompt``, and ``baseline`` where wanted."""
    reads = settings.synthesis.chooses
    return {arm.name: arm for arm in planned_arms(settings.tuning, settings.seed, reads=reads)}


def baseline_stage(
    run: RunFolder,
    job: Job,
    backbone: Backbone,
    settings: Settings,
    track: Track = no_tracking,
) -> str:
    """Few shots alone -> a soft prompt [P,H] in ``baseline/``.

    It is what the final prompt is compared with, and the reader that chooses synthetic rows.
    """
    tuning = settings.tuning
    inputs = {
        **common_inputs(job, backbone, settings),
        "dev": rows_hash(job.shots.dev),
        "tuning": tuning.model_dump(mode="json", exclude=_NEVER | _OF_SYNTHETIC_ROWS),
    }
    plain = tuning.model_copy(update={"noise": NoiseSettings()})
    arm = arms_of(settings)[BASELINE]
    return _tune(BASELINE, run, job, backbone, plain, arm, [], inputs, track)


def tuning_stage(
    run: RunFolder,
    job: Job,
    backbone: Backbone,
    settings: Settings,
    rows: Sequence[Row],
    track: Track = no_tracking,
) -> str:
    """Real and synthetic rows -> the task's soft prompt p[P,H] in ``prompt/``."""
    arms = arms_of(settings)
    inputs = {
        **common_inputs(job, backbone, settings),
        "dev": rows_hash(job.shots.dev),
        "synthetic": rows_hash(rows),
        "tuning": settings.tuning.model_dump(mode="json", exclude=_NEVER),
    }
    before = folder_hash(run.path / "prompt")
    mark = _tune("tuning", run, job, backbone, settings.tuning, arms["prompt"], rows, inputs, track)
    if BASELINE not in arms:
        run.set_aside(BASELINE)  # another run's; it would be taken for this one's
    if folder_hash(run.path / "prompt") != before:
        _forget_scores(run)
    return mark


def _tune(
    stage: str,
    run: RunFolder,
    job: Job,
    backbone: Backbone,
    tuning: TuningSettings,
    arm: Arm,
    rows: Sequence[Row],
    inputs: dict[str, Any],
    track: Track,
) -> str:
    """One arm into the folder of its name; gives back the stage's fingerprint."""
    checkpoint = Checkpoint(run.checkpoint_path(stage, inputs), "prompt tuning")

    def build(folder: Path) -> None:
        (tuned,) = fit_prompts(
            job.card,
            [arm],
            job.shots.train,
            job.shots.dev,
            rows,
            backbone,
            tuning,
            track("tuning"),
            checkpoint=checkpoint,
        )
        _save_tuned(tuned, folder / arm.name, backbone)

    mark = run.stage(stage, inputs, [arm.name], build)
    checkpoint.remove()
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


def _forget_scores(run: RunFolder) -> None:
    """The prompt is another one: figures of the old one would be taken for its own."""
    for folder in ("evaluation", "map"):
        run.set_aside(folder)


# --- choosing rows ----------------------------------------------------------------------


class PromptReader:
    """A tuned prompt [P,H] as the reader that chooses rows: rows to log p(label) [N,C] in fp64."""

    def __init__(
        self, prompt: torch.Tensor, backbone: Backbone, card: TaskCard, tokens_per_batch: int
    ) -> None:
        self.prompt = prompt
        self.backbone = backbone
        self.card = card
        self.tokens_per_batch = tokens_per_batch

    @classmethod
    def of(cls, run: RunFolder, job: Job, backbone: Backbone, settings: Settings) -> PromptReader:
        """The run's prompt on the few shots alone, which :func:`baseline_stage` makes."""
        prompt = load_prompt(run.path / BASELINE, backbone)
        return cls(prompt, backbone, job.card, settings.evaluation.tokens_per_batch)

    @property
    def fingerprint(self) -> str:
        """Of the prompt's values."""
        return prompts_hash(self.prompt)

    def __call__(self, rows: Sequence[Row]) -> torch.Tensor:
        """The rows' labels are not looked at."""
        with hushed():
            chances = predict(
                self.backbone,
                self.card,
                self.prompt,
                rows,
                tokens_per_batch=self.tokens_per_batch,
            )
        return torch.from_numpy(chances).double().clamp(min=1e-30).log()


def chosen_rows(
    run: RunFolder,
    job: Job,
    backbone: Backbone,
    settings: Settings,
    rows: Sequence[SyntheticRow],
    source: Path,
) -> list[SyntheticRow]:
    """Of synthetic rows from anywhere those that the run's reader chooses.

    A folder of rows that the same reader has chosen already, in the same way, is taken whole: its
    rows would be calibrated once more, and some of them lost.

    Raises:
        UserError: none of the rows is chosen.
    """
    if not settings.synthesis.chooses:
        return list(rows)
    reader = PromptReader.of(run, job, backbone, settings)
    choose = settings.synthesis.choose
    seal = read_seal(source) if source.is_dir() else None
    made = seal.inputs if seal else {}
    how = (made.get("synthesis") or {}).get("choose")
    if made.get("reader") == reader.fingerprint and how == choose.model_dump(mode="json"):
        say(f"  the rows in {source} were chosen by this reader already")
        return list(rows)
    return choose_rows(rows, reader, job.card, choose)
