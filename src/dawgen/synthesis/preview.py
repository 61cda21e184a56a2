"""A few rows as they will be, before anything long starts."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from pathlib import Path

from dawgen.backbone import Backbone
from dawgen.backbone.frame import load_frame
from dawgen.prompts import load_label_prompts
from dawgen.settings import Settings
from dawgen.streams import Streams
from dawgen.synthesis.ledger import Ledger
from dawgen.synthesis.rows import SyntheticRow
from dawgen.synthesis.stage import synthesize
from dawgen.tasks import TaskCard
from dawgen.tasks.job import Job
from dawgen.terminal.progress import shown


def preview_lines(
    job: Job, backbone: Backbone, settings: Settings, generator: Path, count: int
) -> list[str]:
    """``count`` clean rows of the first attempts that the synthesis itself will make.

    None is chosen by its label ratio, so the rows kept in the end should be better.

    Args:
        generator: the folder that holds the label prompts.
    """
    each = math.ceil(count / len(job.card.labels))
    few = settings.synthesis.model_copy(
        update={"rows_per_label": each, "oversample": 1.0, "shard_rows": each}
    )
    prompts = load_label_prompts(generator / "label-prompts", job.card.labels, backbone)
    with tempfile.TemporaryDirectory() as folder:
        made = synthesize(
            job.card,
            job.shots.train,
            prompts,
            backbone,
            few,
            Streams(settings.seed),
            Path(folder),
            frame=load_frame(generator),
            forbidden=[*job.shots.dev, *(job.test or [])],
        )
    return row_lines(job.card, made.rows, made.ledger)


def row_lines(card: TaskCard, kept: Sequence[SyntheticRow], ledger: Ledger) -> list[str]:
    """Rows label by label, and what became of the others; nothing in it moves a terminal."""
    total = ledger.total()
    lines = []
    for label in card.labels:
        own = [row for row in kept if row.label == label]
        account = ledger.labels[label]
        lines.append(f"{shown(label)}: {account.kept:,} of {account.attempted:,} kept")
        for row in own:
            confidence = "" if row.label_confidence is None else f"[{row.label_confidence:.2f}] "
            lines.append(f"  {confidence}{shown(row.text1)}")
            if row.text2 is not None:
                lines.append(f"      -> {shown(row.text2)}")
    reasons = ", ".join(f"{why} ({n:,})" for why, n in total.rejected.most_common())
    return [*lines, f"rejected: {reasons or 'none'}"]
