"""Anybody's labelled rows through the cleaning and the accounting that our own go through."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import Tensor

import dawgen
from dawgen.backbone import Backbone
from dawgen.backbone.frame import Frame, frame_json, load_frame
from dawgen.errors import UserError
from dawgen.prompts import load_label_prompts
from dawgen.settings import Settings
from dawgen.storage.folder import RunFolder, folder_hash
from dawgen.streams import Streams, repeatable
from dawgen.synthesis.cleaner import NOT_AMONG_BEST, NOT_ASKED_FOR, Cleaner, keep_best
from dawgen.synthesis.cleaning import Candidate
from dawgen.synthesis.first_sentences import choose_first_sentences
from dawgen.synthesis.folder import describe, write_rows
from dawgen.synthesis.ledger import Ledger
from dawgen.synthesis.preview import row_lines
from dawgen.synthesis.provenance import Provenance
from dawgen.synthesis.rows import SyntheticRow
from dawgen.synthesis.scoring import label_ratios, log_likelihoods
from dawgen.tasks import Row, TaskCard
from dawgen.tasks.job import Job, rows_hash


@dataclass(frozen=True)
class Scorer:
    """A tuned generator that judges rows it has not written: backbone, prompts [C,P,H], hash, and
    what it was tuned to read around a source."""

    backbone: Backbone
    prompts: Tensor
    fingerprint: str
    frame: Frame | None = None

    @classmethod
    def load(cls, generator: Path, card: TaskCard, backbone: Backbone) -> Scorer:
        """From a generator's folder."""
        folder = generator / "label-prompts"
        prompts = load_label_prompts(folder, card.labels, backbone)
        return cls(backbone, prompts, folder_hash(folder), load_frame(generator))

    def __call__(self, rows: Sequence[SyntheticRow], card: TaskCard) -> list[SyntheticRow]:
        """The rows with label ratio and log-likelihood of the written text."""
        texts = [("", r.text1) if r.text2 is None else (r.text1, r.text2) for r in rows]
        scores = log_likelihoods(self.backbone, self.prompts, texts, self.frame)
        ratios = label_ratios(scores)
        labels = [card.label_index(str(row.label)) for row in rows]
        return [
            replace(row, label_ratio=float(ratios[i, c]), log_likelihood=float(scores[i, c]))
            for i, (row, c) in enumerate(zip(rows, labels, strict=True))
        ]


@dataclass
class Import:
    """What is imported, and for which task.

    Attributes:
        source: where the rows come from.
        given: the rows as they are there, of :func:`dawgen.synthesis.shards.load_foreign`.
        most: rows per label to keep; all clean ones without.
        scorer: gives the rows per label ratio; None leaves it open.
    """

    job: Job
    settings: Settings
    source: str
    given: Sequence[SyntheticRow]
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
        """Every given row with its fate; the ledger is filled with them.

        A rule looks at text2 of pairs; text1 has to be a text that can be continued. "cut off"
        is not asked: nobody says how the texts ended.
        """
        card, synthesis = self.job.card, self.settings.synthesis
        cleaner = Cleaner(
            card,
            self.job.shots.train,
            self.forbidden,
            synthesis.cleaning,
            Counter(str(row.label) for row in self.given),
            min_label_ratio=synthesis.min_label_ratio,
            generated=False,
        )
        rows = [_reject(row, _text_reason(row, cleaner)) for row in self.given]
        rows = _judge(rows, cleaner, self.scorer, card)
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


def _text_reason(row: SyntheticRow, cleaner: Cleaner) -> str | None:
    first = None if row.text2 is None else cleaner.first_reason(row.text1)
    return first or cleaner.text_reason(Candidate(row.text1, row.text2, True), str(row.label))


def _reject(row: SyntheticRow, why: str | None) -> SyntheticRow:
    return row if why is None else replace(row, kept=False, reason=why)


def _judge(
    rows: Sequence[SyntheticRow], cleaner: Cleaner, scorer: Scorer | None, card: TaskCard
) -> list[SyntheticRow]:
    """Scores what the rules passed, then rejects by label ratio and duplicates, in order."""
    clean = [row for row in rows if row.kept]
    scored = iter(scorer(clean, card) if scorer and clean else clean)
    judged = []
    for row in rows:
        if row.kept:
            row = next(scored)
            row = _reject(row, cleaner.late_reason(row))
        judged.append(row)
    return judged


@repeatable()
def import_stage(run: RunFolder, what: Import) -> str:
    """Anybody's rows -> cleaned rows in ``synthetic/``, with ledger, report and card.

    Raises:
        UserError: the source cannot be read, or none of its rows is kept.
    """
    job, settings = what.job, what.settings
    synthesis = settings.synthesis
    inputs: dict[str, Any] = {
        "dawgen": dawgen.__version__,
        "card": job.card.model_dump(mode="json"),
        "seed": settings.seed,
        "shots": rows_hash(job.shots.train),
        "forbidden": rows_hash(what.forbidden),
        "imported": rows_hash(what.given),
        "most": what.most,
        "synthesis": synthesis.model_dump(mode="json", exclude={"batch_size", "engine", "choose"}),
        "generator": what.scorer.fingerprint if what.scorer else None,
        "frame": frame_json(what.scorer.frame) if what.scorer else None,
        "backbone": what.scorer.backbone.fingerprint if what.scorer else None,
    }

    def build(folder: Path) -> None:
        rows = what.rows
        if not what.ledger.total().kept:
            why = ", ".join(f"{w} ({n:,})" for w, n in what.ledger.total().rejected.most_common(3))
            raise UserError(
                f"None of the {len(rows):,} rows of {what.source} could be kept (rejected as: "
                f"{why}); name rules to leave out with synthesis.cleaning.skip."
            )
        out = folder / "synthetic"
        write_rows(out, rows, what.ledger, synthesis.keep_rejected)
        streams = Streams(settings.seed)
        sentences = choose_first_sentences(
            synthesis.first_sentences,
            job.card,
            job.shots.train,
            streams,
            synthesis.first_sentence_kind,
        )
        made = Provenance(
            job.card,
            synthesis,
            settings.seed,
            job.shots.train,
            what.forbidden,
            backbone=what.scorer.backbone if what.scorer else None,
            prompts=what.scorer.prompts if what.scorer else None,
            imported=what.source if what.source.startswith("hub:") else Path(what.source).name,
        )
        describe(out, rows, what.ledger, made, sentences.unlabelled())

    return run.stage("synthesis", inputs, ["synthetic"], build)
