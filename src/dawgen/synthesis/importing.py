"""Other labelled rows through the cleaning and the accounting of written ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import dawgen
from dawgen.backbone.frame import frame_json
from dawgen.errors import UserError
from dawgen.settings import SynthesisSettings
from dawgen.storage.folder import RunFolder, folder_hash, write_json
from dawgen.storage.seals import file_hash
from dawgen.streams import Streams, repeatable
from dawgen.synthesis.choosing import Chooser, Reader
from dawgen.synthesis.cleaner import NOT_AMONG_BEST, NOT_ASKED_FOR, Cleaner, keep_best
from dawgen.synthesis.cleaning import Candidate
from dawgen.synthesis.first_sentences import choose_first_sentences
from dawgen.synthesis.folder import describe, write_rows
from dawgen.synthesis.ledger import Ledger
from dawgen.synthesis.preview import row_lines
from dawgen.synthesis.provenance import Provenance
from dawgen.synthesis.rows import SyntheticRow
from dawgen.synthesis.scoring import Scorer
from dawgen.synthesis.shards import load_foreign
from dawgen.tasks import Row, TaskCard
from dawgen.tasks.in_memory import in_memory
from dawgen.tasks.job import Job, rows_hash
from dawgen.tasks.load import Source
from dawgen.terminal.progress import shown, warn


@dataclass(frozen=True)
class Origin:
    """Where imported rows come from.

    Attributes:
        name: the file's name without its folders, the data set, or the model that was asked.
        sha256: of the file; of a folder's files, or of a data set's rows.
    """

    name: str
    sha256: str

    @classmethod
    def of(cls, source: str, rows: Sequence[SyntheticRow]) -> Origin:
        """The origin of rows that were read from ``source``."""
        path = Path(source)
        if source.startswith("hub:"):
            return cls(source, rows_hash(rows) or "")
        return cls(path.name, folder_hash(path) if path.is_dir() else file_hash(path))


@dataclass
class Import:
    """What is imported, and for which task.

    Attributes:
        origin: where the rows come from.
        imported: the rows, of :func:`dawgen.synthesis.shards.load_foreign`; those that are
            rejected already stay so.
        most: rows per label to keep; all clean ones without.
        scorer: gives the rows a label ratio; None leaves it open.
        reader: chooses among the clean rows where the settings ask for it.
        usage: what the rows cost to write, for ``teacher.json``; None writes no such file.
    """

    job: Job
    settings: SynthesisSettings
    seed: int
    origin: Origin
    imported: Sequence[SyntheticRow]
    most: int | None = None
    scorer: Scorer | None = None
    reader: Reader | None = None
    usage: dict[str, Any] | None = None
    ledger: Ledger = field(init=False)

    def __post_init__(self) -> None:
        self.ledger = Ledger(self.job.card.labels)

    @property
    def forbidden(self) -> list[Row]:
        """Rows that must not be repeated."""
        return [*self.job.shots.dev, *(self.job.test or [])]

    @property
    def inputs(self) -> dict[str, Any]:
        """What the imported folder depends on, beside the task, its shots and the seed."""
        without = {"batch_size", "engine"} | (set() if self.reader else {"choose"})
        return {
            "source": asdict(self.origin),
            "forbidden": rows_hash(self.forbidden),
            "imported": rows_hash(self.imported),
            "most": self.most,
            "synthesis": self.settings.model_dump(mode="json", exclude=without),
            **({"usage": self.usage} if self.usage else {}),
        }

    @cached_property
    def rows(self) -> list[SyntheticRow]:
        """Every imported row, kept or rejected; the ledger is filled with them.

        A rule looks at text2 of pairs; text1 has to be a text that can be continued. "cut off"
        is not applied: how the texts ended is not known.
        """
        card, synthesis = self.job.card, self.settings
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

        rows = [row.rejected(text_reason(row)) if row.kept else row for row in self.imported]
        rows = cleaner.judge(rows, self.scorer or list)
        if self.reader and synthesis.chooses:
            rows = Chooser(self.reader, card, synthesis.choose)(rows)
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
def write_import(out: Path, what: Import) -> None:
    """Imported rows -> cleaned rows in ``out``, with ledger, report and card.

    Raises:
        UserError: none of the rows is kept.
    """
    job, synthesis, scorer, rows = what.job, what.settings, what.scorer, what.rows
    if not what.ledger.total().kept:
        raise UserError(
            f"None of the {len(rows):,} rows of {what.origin.name} could be kept (rejected as: "
            f"{what.ledger.total().commonest()}); name rules to leave out with "
            "synthesis.cleaning.skip."
        )
    for label, account in what.ledger.labels.items():
        if not account.kept:
            why = f"rejected as: {account.commonest()}" if account.attempted else "it has none"
            warn(f"no row of label {shown(label)!r} of {what.origin.name} is kept ({why}).")
    write_rows(out, rows, what.ledger, synthesis.keep_rejected)
    if what.usage is not None:
        write_json(out / "teacher.json", what.usage)
    sentences = choose_first_sentences(
        synthesis.first_sentences,
        job.card,
        job.shots.train,
        Streams(what.seed),
        synthesis.first_sentence_kind,
    )
    made = Provenance(
        job.card,
        synthesis,
        what.seed,
        job.shots.train,
        what.forbidden,
        backbone=scorer.backbone if scorer else None,
        prompts=scorer.prompts if scorer else None,
        imported=what.origin.name,
        imported_hash=what.origin.sha256,
    )
    describe(out, rows, what.ledger, made, sentences.unlabelled())


def import_stage(run: RunFolder, what: Import) -> str:
    """The stage alone: :func:`write_import` into ``synthetic/`` of a run folder."""
    scorer = what.scorer
    inputs: dict[str, Any] = what.inputs | {
        "dawgen": dawgen.__version__,
        "card": what.job.card.model_dump(mode="json"),
        "seed": what.seed,
        "shots": rows_hash(what.job.shots.train),
        "generator": scorer.fingerprint if scorer else None,
        "frame": frame_json(scorer.frame) if scorer else None,
        "backbone": scorer.backbone.fingerprint if scorer else None,
    }
    return run.stage(
        "synthesis", inputs, ["synthetic"], lambda folder: write_import(folder / "synthetic", what)
    )


@dataclass(frozen=True)
class Given:
    """Rows from elsewhere, read: their origin, and what they cost to write."""

    origin: Origin
    rows: Sequence[SyntheticRow]
    usage: dict[str, Any] | None = None

    @classmethod
    def read(cls, source: Source, card: TaskCard) -> Given:
        """The rows of a file, a folder or a data set, or rows in memory.

        Raises:
            UserError: it cannot be read, or its rows are not of the task.
        """
        rows = load_foreign(source, card)
        if in_memory(source):
            return cls(Origin("rows in memory", rows_hash(rows) or ""), rows)
        return cls(Origin.of(str(source), rows), rows)
