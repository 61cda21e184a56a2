"""Prompts tuned on real rows and on rows that a generator wrote, in every way of table 2.

**FewGen** (Meng et al. 2023): label prompts tuned with meta-learned token weights, equations (2)
and (3), without dawgen's sentence term. FewGen itself tunes a prefix of CTRL (1.6 B) and then
fine-tunes a classifier; here it writes with the backbone of the comparison, through prompts at the
input, and its rows tune a prompt, as in the paper's tables. Its care with noisy rows is
``tuning.label_smoothing`` and ``tuning.noise``; "mixed-smoothed" is Real+Syn+LS.

**DawGen** (Guo et al., COLM 2024): token weights by meta-learning and the distribution-aligned
regulariser, equations (2) to (4). "dawgen-surgery" is the paper's last row.

**dawgen-selected** is not in the paper: DawGen's rows of highest label ratio only, mixed with the
real ones, without surgery. It is what practitioners would try first against noisy synthetic rows:
throw out the doubtful half and mix the rest in. The label ratio is the sentence version of (3),
the generator's own judgement; see the method page.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from dawgen.backbone import Backbone
from dawgen.backbone.load import load_writer
from dawgen.methods.base import Task
from dawgen.methods.prompted import Prepare, PromptJob
from dawgen.pipeline import stages
from dawgen.pipeline.reader import PromptReader
from dawgen.pipeline.stage import Context, make
from dawgen.settings import Combine, Settings
from dawgen.storage.folder import RunFolder
from dawgen.storage.locking import turn
from dawgen.streams import Streams
from dawgen.synthesis import SyntheticRow, load_synthetic
from dawgen.tasks import Shots
from dawgen.tasks.job import Job
from dawgen.tuning import Arm

Generator = Literal["fewgen", "dawgen"]
Choose = Callable[[Sequence[SyntheticRow]], Sequence[SyntheticRow]]

LABEL_SMOOTHING = 0.15  # of Real+Syn+LS: FewGen's
SELECTED = 0.5  # of the rows, in dawgen-selected

WAYS: dict[str, tuple[Combine, float | None]] = {
    "synthetic": ("synthetic", None),
    "mixed": ("mixed", 0.0),
    "mixed-smoothed": ("mixed", LABEL_SMOOTHING),
    "real-then-synthetic": ("real-then-synthetic", None),
    "synthetic-then-real": ("synthetic-then-real", None),
    "paired": ("paired", None),
    "surgery": ("surgery", None),
}
"""Name of a way to combine: the strategy and the label smoothing of its synthetic rows; None is
``tuning.label_smoothing``, which leaves the two alone that differ by smoothing only. In the
paper's words: synthetic only, Real+Syn, Real+Syn+LS, Real→Syn, Syn→Real, (Real,Syn), the same
with surgery."""


def written_rows(
    task: Task, shots: Shots, backbone: Backbone, settings: Settings, generator: Generator
) -> list[SyntheticRow]:
    """The kept rows of a generator tuned on the few shots; made once, kept in the task's folder.

    Texts of the rows to be labelled are forbidden to the generator's dataset.
    """
    chosen = settings.generator.model_copy(update={"method": generator})
    settings = settings.model_copy(update={"generator": chosen})
    job = Job(task.card, shots, list(task.rows))
    folder = RunFolder(task.folder / generator)
    context = Context(folder, job, backbone, settings.seed, load_writer(settings, backbone))
    tokens = settings.evaluation.tokens_per_batch
    written = [
        stages.generator(context, settings.generator, settings.synthesis),
        stages.synthesis(context, settings.synthesis, lambda: PromptReader.of(context, tokens)),
    ]
    if settings.synthesis.chooses:
        reader = stages.arms_of(settings)[stages.BASELINE]
        written.insert(0, stages.baseline(context, settings.tuning, reader))
    with turn(task.folder / f".{generator}-turn"), folder.lock():
        for stage in written:
            make(stage, context)
        return load_synthetic(folder.path / "synthetic", task.card)


def combined(generator: Generator, way: str, choose: Choose | None = None) -> Prepare:
    """The prepare function of one generator and one of :data:`WAYS`.

    Args:
        choose: which of the rows to learn from; all without.
    """
    combine, smoothing = WAYS[way]

    def prepare(
        task: Task, shots: Shots, backbone: Backbone, settings: Settings, streams: Streams
    ) -> PromptJob:
        tuning = settings.tuning
        rows = written_rows(task, shots, backbone, settings, generator)
        arm = Arm(
            f"{generator}-{way}",
            streams.root,
            combine,
            tuning.epsilon,
            tuning.learning_rate,
            tuning.label_smoothing if smoothing is None else smoothing,
        )
        used = rows if choose is None else choose(rows)
        return PromptJob(arm, shots.train, shots.dev, tuning, used)

    return prepare


def best_of_each_label(rows: Sequence[SyntheticRow], share: float = SELECTED) -> list[SyntheticRow]:
    """The ``share`` of each label's rows that belong to it most, in the rows' order: by the label
    ratio, or by the reader that chose the rows.

    A row of which neither is known, somebody else's, counts as the most doubtful. Every label keeps
    a row.
    """
    chosen: set[int] = set()
    for label in {row.label for row in rows}:
        mine = [number for number, row in enumerate(rows) if row.label == label]
        mine.sort(key=lambda number: -(rows[number].label_confidence or 0.0))
        chosen.update(mine[: max(1, round(share * len(mine)))])
    return [rows[number] for number in sorted(chosen)]


GENERATORS: tuple[Generator, ...] = ("fewgen", "dawgen")
PREPARED: dict[str, Prepare] = {
    **{f"{generator}-{way}": combined(generator, way) for generator in GENERATORS for way in WAYS},
    "dawgen-selected": combined("dawgen", "mixed", best_of_each_label),
}
