"""The stage: labelled rows from label prompts, method.md §2."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter

from torch import Tensor

from dawgen.backbone import Backbone
from dawgen.backbone.frame import Frame
from dawgen.decoding import Engine, choose_engine, decoding_of
from dawgen.errors import UserError
from dawgen.settings import SynthesisSettings
from dawgen.streams import Streams, repeatable
from dawgen.synthesis.choosing import NEXT_STEPS, Chooser, Reader
from dawgen.synthesis.cleaner import PASSED, READER_DISAGREES, Cleaner, keep_best
from dawgen.synthesis.first_sentences import choose_first_sentences
from dawgen.synthesis.folder import describe, finished_shard, keep_shard, write_rows
from dawgen.synthesis.ledger import LabelAccount, Ledger
from dawgen.synthesis.provenance import Provenance
from dawgen.synthesis.rows import SyntheticRow
from dawgen.synthesis.spread import Spread
from dawgen.synthesis.writer import Attempt, Writer
from dawgen.tasks import Row, TaskCard
from dawgen.terminal.progress import progress, warn

ATTEMPTS_PER_ROUND = 512
"""Texts asked for between two looks at what is still missing; bounds memory and overshoot."""
HOPELESS = 512
"""After so many texts of a label in a shard, none of them clean, no more are asked for."""


@dataclass(frozen=True)
class Speed:
    """How quickly rows were written, clock time; shards of a stopped synthesis do not count."""

    seconds: float
    attempted: int
    kept: int
    tokens: int

    def as_json(self) -> dict[str, float]:
        """Figures for a log: they differ between equal runs."""
        rate = 1 / self.seconds if self.seconds else 0.0
        return {
            "seconds": round(self.seconds, 2),
            "attempted": self.attempted,
            "kept": self.kept,
            "tokens": self.tokens,
            "rows_per_second": round(self.attempted * rate, 2),
            "kept_rows_per_second": round(self.kept * rate, 2),
            "tokens_per_second": round(self.tokens * rate, 1),
        }


@dataclass(frozen=True)
class SyntheticSet:
    """What a synthesis made: its kept rows, its account, where it lies, how quickly, by whom."""

    rows: list[SyntheticRow]
    ledger: Ledger
    folder: Path
    speed: Speed
    engine: str


@repeatable()
def synthesize(
    card: TaskCard,
    shots: Sequence[Row],
    generator_prompts: Tensor,
    backbone: Backbone,
    settings: SynthesisSettings,
    streams: Streams,
    folder: Path,
    *,
    frame: Frame | None = None,
    forbidden: Sequence[Row] = (),
    work: Path | None = None,
    spread: Spread | None = None,
    reader: Reader | None = None,
) -> SyntheticSet:
    """Write rows until every label has ``rows_per_label`` kept ones, into ``folder``.

    Shard by shard: clean rows are collected for each label, ``oversample`` times as many as
    the shard wants, and those of the highest label ratio are kept. With ``choose.by`` reader a
    row counts as soon as the reader agrees with its label, calibrated over the clean rows that
    the shard has so far (:class:`~dawgen.synthesis.choosing.Chooser`). A label that has used up
    ``max_attempts_factor`` attempts for every row it wants, or ``HOPELESS`` without a single
    one, is left short, with a warning.

    Args:
        shots: the few-shot rows; lengths, scripts and texts not to repeat come from them.
        generator_prompts: [C,P,H], one soft prompt per label, in the card's order.
        folder: gets `shard-*.parquet` (rejected rows too with ``keep_rejected``, marked),
            `ledger.json`, `quality.json` and `README.md`; shards of an earlier synthesis are
            removed. The same inputs give the same bytes.
        frame: what the prompts were tuned to read around a source.
        forbidden: rows that must not be repeated (development and test rows).
        work: where finished shards wait for the last one. A synthesis that was stopped goes on
            from them; it is the caller's care that they are of the same inputs.
        spread: sends batches to a cluster; the rows are the same.
        reader: chooses among the clean rows where the settings ask for it.

    Raises:
        UserError: first sentences that cannot be had; not one row was kept.
        LedgerError: attempted is not kept + rejected.
    """
    stage = _Stage(
        card,
        shots,
        generator_prompts,
        backbone,
        settings,
        streams,
        frame,
        forbidden,
        spread,
        reader,
    )
    rows: list[SyntheticRow] = []
    total = settings.rows_per_label * len(card.labels)
    with progress("synthesis", total, "rows") as advance:
        for number, quota in enumerate(_quotas(settings)):
            shard = finished_shard(work, number)
            if shard is None:
                shard = stage.shard(number, quota, advance)
                keep_shard(work, number, shard)
            else:
                stage.replay(shard, advance)
            rows += shard
    speed = stage.speed()
    stage.ledger.check()
    write_rows(folder, rows, stage.ledger, settings.keep_rejected)
    stage.report_shortage()
    made = Provenance(
        card,
        settings,
        streams.root,
        shots,
        forbidden,
        backbone=backbone,
        prompts=stage.prompts,
        engine=stage.engine.name,
    )
    describe(folder, rows, stage.ledger, made, stage.first_sentences.unlabelled())
    kept = [row for row in rows if row.kept]
    return SyntheticSet(kept, stage.ledger, folder, speed, stage.engine.name)


def _quotas(settings: SynthesisSettings) -> list[int]:
    """Rows a label of each shard: full ones, then the rest."""
    full, rest = divmod(settings.rows_per_label, settings.shard_rows)
    return [settings.shard_rows] * full + ([rest] if rest else [])


class _Stage:
    """What lasts from shard to shard: attempts made, texts seen, the account."""

    def __init__(
        self,
        card: TaskCard,
        shots: Sequence[Row],
        prompts: Tensor,
        backbone: Backbone,
        settings: SynthesisSettings,
        streams: Streams,
        frame: Frame | None,
        forbidden: Sequence[Row],
        spread: Spread | None,
        reader: Reader | None,
    ) -> None:
        if settings.chooses and reader is None:
            raise ValueError("synthesis.choose.by is reader, but there is no reader")
        self.reader = reader
        self.card = card
        self.prompts = prompts.detach()
        self.backbone = backbone
        self.settings = settings
        self.streams = streams
        self.first_sentences = choose_first_sentences(
            settings.first_sentences, card, shots, streams, settings.first_sentence_kind
        )
        wanted = dict.fromkeys(card.labels, settings.rows_per_label)
        self.cleaner = Cleaner(
            card,
            shots,
            forbidden,
            settings.cleaning,
            wanted,
            min_label_ratio=settings.min_label_ratio,
        )
        length = self.prompts.shape[1]
        decoding = decoding_of(
            settings, card, shots, backbone, length, writes_first=self.writes_first, frame=frame
        )
        self.engine: Engine = choose_engine(settings, backbone, self.prompts, decoding)
        if spread:
            self.engine = spread.engine(self.engine)
        score = spread.score if spread else None
        self.writer = Writer(
            card, self.prompts, backbone, self.engine, self.cleaner, streams, frame, score
        )
        self.ledger = Ledger(card.labels)
        self.start = perf_counter()
        self.replayed = LabelAccount()

    @property
    def writes_first(self) -> bool:
        """Whether the generator writes text1 of pairs too, of all or some."""
        return self.card.is_pair and self.first_sentences.generated

    # --- one shard ------------------------------------------------------------------

    def shard(self, number: int, quota: int, advance: Callable[[int], None]) -> list[SyntheticRow]:
        """Rows of one shard, in the order they were asked for; ``quota`` kept a label."""
        wanted = math.ceil(quota * self.settings.oversample)
        limit = math.ceil(wanted * self.settings.max_attempts_factor)
        labels = range(len(self.card.labels))
        good, spent = [0 for _ in labels], [0 for _ in labels]
        told = 0
        rows: list[SyntheticRow] = []
        chosen: list[SyntheticRow] = []
        choose = self._chooser()
        while plan := self._plan(good, spent, wanted, limit):
            attempts = [attempt for label in labels for attempt in self._ask(label, plan[label])]
            attempts.sort(key=lambda attempt: (attempt.number, attempt.label))
            spent = [before + more for before, more in zip(spent, plan, strict=True)]
            rows += [replace(row, shard=number) for row in self.writer.write(attempts)]
            chosen = choose(rows)
            counts = Counter(row.label for row in chosen if row.kept)
            good = [counts[label] for label in self.card.labels]
            done = sum(_share(count, wanted, quota) for count in good)
            advance(max(0, done - told))  # a later round may unchoose a row; the bar stays
            told = max(told, done)
        chosen = keep_best(chosen, quota)
        for row in chosen:
            self.ledger.enter(row)
        return chosen

    def _chooser(self) -> Callable[[Sequence[SyntheticRow]], list[SyntheticRow]]:
        """Marks the clean rows of one shard that are not chosen."""
        if self.reader is None or not self.settings.chooses:
            return list
        return Chooser(self.reader, self.card, self.settings.choose)

    def replay(self, rows: Sequence[SyntheticRow], advance: Callable[[int], None]) -> None:
        """Take up a shard that an earlier, stopped synthesis finished, as if just written."""
        for row in rows:
            self.ledger.attempt(str(row.label))
            self.ledger.enter(row)
            if row.reason in PASSED:
                self.cleaner.remember(row)
        advance(sum(row.kept for row in rows))
        self.replayed = self.ledger.total()

    def speed(self) -> Speed:
        """Of what this stage wrote itself."""
        total = self.ledger.total()
        return Speed(
            perf_counter() - self.start,
            total.attempted - self.replayed.attempted,
            total.kept - self.replayed.kept,
            self.writer.tokens,
        )

    def _plan(
        self, good: Sequence[int], spent: Sequence[int], wanted: int, limit: int
    ) -> list[int]:
        """Attempts a label for the next round, by what is missing and what share got through."""
        most_of = [limit if n else min(limit, HOPELESS) for n in good]
        left = [most - used for most, used in zip(most_of, spent, strict=True)]
        open_labels = [i for i, n in enumerate(good) if n < wanted and left[i] > 0]
        if not open_labels:
            return []
        most = max(1, ATTEMPTS_PER_ROUND // len(open_labels))
        plan = [0] * len(good)
        for i in open_labels:
            rate = max(good[i] / spent[i], 0.1) if spent[i] else 1.0
            plan[i] = min(math.ceil((wanted - good[i]) / rate), most, left[i])
        return plan

    def _ask(self, label: int, count: int) -> list[Attempt]:
        """The label's next attempts, entered in the ledger."""
        name = self.card.labels[label]
        start = self.ledger.labels[name].attempted
        self.ledger.attempt(name, count)
        return [
            Attempt(
                label, i, self.first_sentences.at(i), self.streams.seed("synthesis", name, str(i))
            )
            for i in range(start, start + count)
        ]

    # --- the end ----------------------------------------------------------------------

    def report_shortage(self) -> None:
        """Warn of labels with fewer rows than asked for, and say why; stop if there is none."""
        total = self.ledger.total()
        if not total.kept:
            raise UserError(
                f"None of {total.attempted:,} written rows could be kept (rejected as: "
                f"{_commonest(total)}); fit the generator longer (generator.epochs), or lower "
                "synthesis.temperature."
            )
        for label, account in self.ledger.labels.items():
            if account.kept < self.settings.rows_per_label:
                why = f" {NEXT_STEPS}" if account.rejected[READER_DISAGREES] else ""
                warn(
                    f"label {label!r} has {account.kept:,} of {self.settings.rows_per_label:,} "
                    f"rows after {account.attempted:,} attempts; rejected as: "
                    f"{_commonest(account)}.{why}"
                )


def _commonest(account: LabelAccount) -> str:
    return ", ".join(f"{why} ({count:,})" for why, count in account.rejected.most_common(3))


def _share(good: int, wanted: int, quota: int) -> int:
    """How many of the quota's rows the good ones stand for; the rest is over-generation."""
    return min(quota, good * quota // wanted)
