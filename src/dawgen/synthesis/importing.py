"""Other labelled rows through the cleaning and the accounting of written ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import dawgen
from dawgen.backbone.frame import frame_json
from dawgen.errors import UserError
from dawgen.settings import Settings
from dawgen.storage.folder import RunFolder
from dawgen.streams import Streams, repeatable
from dawgen.synthesis.cleaner import NOT_AMONG_BEST, NOT_ASKED_FOR, Cleaner, keep_best
from dawgen.synthesis.cleaning import Candidate
from dawgen.synthesis.first_sentences import choose_first_sentences
from dawgen.synthesis.folder import describe, write_rows
from dawgen.synthesis.ledger import Ledger
from dawgen.synthesis.preview import row_lines
from dawgen.synthesis.provenance import Provenance
from dawgen.synthesis.rows import SyntheticRow
from dawgen.synthesis.scoring import Scorer
from dawgen.tasks import Row
from dawgen.tasks.job import Job, rows_hash


@dataclass
class Import:
    """What is imported, and for which task.

    Attributes:
        source: the file or data set.
        imported: its rows, of :func:`dawgen.synthesis.shards.load_foreign`.
        most: rows per label to keep; all clean ones without.
        scorer: gives the rows per label ratio; None leaves it open.
    """

    job: Job
    settings: Settings
    source: str
    imported: Sequence[SyntheticRow]
    most: int | None = None
    scorer: Scorer | None = None
    ledger: Ledger = field(init=False)

    def __post_init__(self) -> None:
        self.ledger = Ledger(self.job.card.labels)

    @property
    def forbidden(self) -> list[Row]:
        """Rows that must not be repeated."""
        return [*self.job.shots.dev, *(self.job.test or [])]

    @cached_property
    def rows(self) -> list[SyntheticRow]:
        """Every imported row, kept or rejected; the ledger is filled with them.

        A rule looks at text2 of pairs; text1 has to be a text that can be continued. "cut off"
        is not applied: how the texts ended is not known.
        """
        card, synthesis = self.job.card, self.settings.synthesis
        cleaner = Cleaner(
            card,
            self.job.shots.train,
            self.forbidden,
            synthesis.cleaning,
            Counter(str(row.label) for row in self.imported),
            min_label_ratio=synthesis.min_label_ratio,
            generated=False,
        )

        def text_reason(row: SyntheticRow) -> str | None:
            first = None if row.text2 is None else cleaner.first_reason(row.text1)
            candidate = Candidate(row.text1, row.text2, True)
            return first or cleaner.text_reason(candidate, str(row.label))

        rows = [row.rejected(text_reason(row)) for row in self.imported]
        rows = cleaner.judge(rows, self.scorer or list)
        reason = NOT_AMONG_BEST if self.scorer else NOT_ASKED_FOR
        rows = keep_best(rows, self.most or len(rows), reason)
        size = synthesis.shard_rows * len(card.labels)
        rows = [replace(row, shard=i // size) for i, row in enumerate(rows)]
        for row in rows:
            self.ledger.attempt(str(row.label))
            self.ledger.enter(row)
        self.ledger.check()
        return rows

    def preview(self, count: int) -> list[str]:
        """The first clean rows of each label, and what became of all."""
        each = -(-count // len(self.job.card.labels))
        seen: Counter[str | None] = Counter()
        first = []
        for row in self.rows:
            seen[row.label] += row.kept
            if row.kept and seen[row.label] <= each:
                first.append(row)
        return row_lines(self.job.card, first, self.ledger)


@repeatable()
def import_stage(run: RunFolder, what: Import) -> str:
    """Imported rows -> cleaned rows in ``synthetic/``, with ledger, report and card.

    Raises:
        UserError: the source cannot be read, or none of its rows is kept.
    """
    job, settings, scorer = what.job, what.settings, what.scorer
    synthesis = settings.synthesis
    inputs: dict[str, Any] = {
        "dawgen": dawgen.__version__,
        "card": job.card.model_dump(mode="json"),
        "seed": settings.seed,
        "shots": rows_hash(job.shots.train),
        "forbidden": rows_hash(what.forbidden),
        "imported": rows_hash(what.imported),
        "most": what.most,
        "synthesis": synthesis.model_dump(mode="json", exclude={"batch_size", "engine", "choose"}),
        "generator": scorer.fingerprint if scorer else None,
        "frame": frame_json(scorer.frame) if scorer else None,
        "backbone": scorer.backbone.fingerprint if scorer else None,
    }

    def build(folder: Path) -> None:
        rows = what.rows
        if not what.ledger.total().kept:
            raise UserError(
                f"None of the {len(rows):,} rows of {what.source} could be kept (rejected as: "
                f"{what.ledger.total().commonest()}); name rules to leave out with "
                "synthesis.cleaning.skip."
            )
        out = folder / "synthetic"
        write_rows(out, rows, what.ledger, synthesis.keep_rejected)
        sentences = choose_first_sentences(
            synthesis.first_sentences,
            job.card,
            job.shots.train,
            Streams(settings.seed),
            synthesis.first_sentence_kind,
        )
        made = Provenance(
            job.card,
            synthesis,
            settings.seed,
            job.shots.train,
            what.forbidden,
            backbone=scorer.backbone if scorer else None,
            prompts=scorer.prompts if scorer else None,
            imported=what.source if what.source.startswith("hub:") else Path(what.source).name,
        )
        describe(out, rows, what.ledger, made, sentences.unlabelled())

    return run.stage("synthesis", inputs, ["synthetic"], build)
