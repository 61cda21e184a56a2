"""A stage of a run as a value, and the one place where stages are made.

Whatever is done around every stage is done here: sealing, resuming, tracking, measuring, progress.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

import dawgen
from dawgen.backbone import Backbone
from dawgen.backbone.shape import Work
from dawgen.pipeline.limits import Costs
from dawgen.pipeline.tracking import Track, no_tracking
from dawgen.storage.folder import OF_THE_WHOLE, RunFolder, folder_hash
from dawgen.tasks.job import Job, rows_hash
from dawgen.terminal.progress import say

FOLDERS = (
    *("generator", "teacher", "synthetic", "prompt", "baseline", "choice", "evaluation", "map"),
)
"""What the stages fill."""
FILES = ("config.yaml", "task.yaml", *OF_THE_WHOLE)
"""All files that a run writes beside the folders."""


@dataclass(frozen=True)
class Context:
    """What all stages of a run share.

    Attributes:
        other_writer: the language model that writes rows where that is not ``backbone``.
        labelled: p(label) [N,C] of the test rows by a tuned prompt, or by ``zero-shot``, that a
            stage has computed and a later one needs too.
    """

    folder: RunFolder
    job: Job
    backbone: Backbone
    seed: int
    other_writer: Backbone | None = None
    labelled: dict[str, np.ndarray] = field(default_factory=dict, repr=False, compare=False)

    @property
    def path(self) -> Path:
        """Of the run folder."""
        return self.folder.path

    @property
    def writer(self) -> Backbone:
        """The language model that writes rows."""
        return self.backbone if self.other_writer is None else self.other_writer

    @property
    def writer_inputs(self) -> dict[str, Any]:
        """What of the :attr:`inputs` is another for a stage that only the writer works on."""
        return {} if self.other_writer is None else {"backbone": self.other_writer.fingerprint}

    @property
    def heading(self) -> dict[str, Any]:
        """What ``scores.json`` begins with."""
        return {
            "task": self.job.card.name,
            "backbone": self.backbone.name,
            "seed": self.seed,
            "scored_on": "test rows" if self.job.test is not None else "development shots",
        }

    @property
    def inputs(self) -> dict[str, Any]:
        """What the result of every stage depends on."""
        return {
            "dawgen": dawgen.__version__,
            "card": self.job.card.model_dump(mode="json"),
            "backbone": self.backbone.fingerprint,
            "seed": self.seed,
            "shots": rows_hash(self.job.shots.train),
        }


@dataclass(frozen=True)
class Workspace:
    """Where a stage is built, and what it resumes from if it was stopped.

    Attributes:
        folder: the stage's folder, which does not exist yet.
        checkpoint: file for the state of its loop.
        parts: folder for its finished parts.
        track: see :mod:`dawgen.pipeline.tracking`.
    """

    folder: Path
    checkpoint: Path
    parts: Path
    track: Track


@dataclass(frozen=True)
class Stage:
    """One stage of a run.

    Attributes:
        name: in ``run.json``.
        says: what it does, for the user; empty for one that takes a moment, which is neither
            announced nor measured.
        folder: the folder of the run that it fills.
        inputs: what its result depends on, beside what that of every stage does, and nothing that
            only changes speed. Asked for once the stages before are done.
        build: makes the folder; returns what its record in ``run.json`` is to say besides.
        after: called each time, with whether the folder has changed.
        work: counts its work, for ``run.json``.
    """

    name: str
    says: str
    folder: str
    inputs: Callable[[], dict[str, Any]]
    build: Callable[[Workspace], dict[str, Any] | None]
    after: Callable[[bool], None] | None = None
    work: Callable[[], Work] | None = None

    def counting(self, work: Callable[[], Work]) -> Stage:
        """The same stage, whose work is counted by ``work``."""
        return replace(self, work=work)


@contextmanager
def held(run: RunFolder) -> Iterator[None]:
    """Hold a run folder for its stages.

    Raises:
        UserError: another process holds it, or it has files there that no run has made.
    """
    with run.lock():
        run.refuse_foreign(FOLDERS, FILES)
        yield


def make(stage: Stage, context: Context, track: Track = no_tracking) -> None:
    """Make a stage's folder in a run folder that is held, unless it is there already."""
    run, folder = context.folder, context.path / stage.folder
    inputs = context.inputs | stage.inputs()
    checkpoint = run.checkpoint_path(stage.name, inputs)
    before, more = folder_hash(folder) if stage.after else "", {}

    def build(out: Path) -> None:
        parts = checkpoint.with_suffix("")
        workspace = Workspace(out / stage.folder, checkpoint, parts, track)
        more.update(stage.build(workspace) or {})

    run.stage(stage.name, inputs, [stage.folder], build)
    run.stages[stage.name] |= more
    checkpoint.unlink(missing_ok=True)
    for unfinished in context.path.glob(f".{stage.name}-*/"):  # parts, of other settings too
        shutil.rmtree(unfinished, ignore_errors=True)
    if stage.after:
        stage.after(folder_hash(folder) != before)


def make_all(stages: Sequence[Stage], context: Context, track: Track, costs: Costs) -> None:
    """Make the stages of a run in their order, announced and measured.

    Raises:
        UserError: a limit is reached before a stage.
    """
    announced = [stage.name for stage in stages if stage.says]
    for stage in stages:
        if not stage.says:
            make(stage, context, track)
            continue
        say(f"dawgen: {announced.index(stage.name) + 1}/{len(announced)} {stage.says}")
        with costs.stage(context.folder, stage.name):
            make(stage, context, track)
        record = context.folder.stages[stage.name]
        if record["skipped"]:
            say("  there already, made with the same settings from the same rows")
        else:
            say(f"  done in {record['seconds']:,.0f} s")
