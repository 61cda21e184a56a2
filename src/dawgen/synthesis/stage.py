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
from dawgen.decoding import choose_engine, decoding_of
from dawgen.errors import UserError
from dawgen.settings import SynthesisSettings
from dawgen.streams import Streams, repeatable
from dawgen.synthesis.alone import told_alone
from dawgen.synthesis.choosing import NEXT_STEPS, Chooser, Reader
from dawgen.synthesis.cleaner import (
    PASSED,
    READER_DISAGREES,
    READER_UNSURE,
    TELLS,
    Cleaner,
    keep_best,
)
from dawgen.synthesis.first_sentences import choose_first_sentences
from dawgen.synthesis.folder import describe, finished_shard, keep_shard, write_rows
from dawgen.synthesis.ledger import LabelAccount, Ledger
from dawgen.synthesis.provenance import Provenance
from dawgen.synthesis.rows import SyntheticRow
from dawgen.synthesis.scoring import Scorer
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
    """The result of a synthesis: kept rows, account, folder, speed, and the engine's name."""

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
    the shard has so far (:class:`~dawgen.synthesis.choosing.Chooser`), or, with
    ``choose.relabel``, is sure of another label, for which it then counts. Those are kept whose
    label text2 alone tells least; no row has a label ratio then, unless a least one is set. A label
    that has used up ``max_attempts_factor`` attempts for every row it wants, or ``HOPELESS``
    without a single one, is left short, with a warning.

    Args:
        shots: the few-shot rows; lengths, scripts and texts not to repeat come from them.
        generator_prompts: [C,P,H], one soft prompt per label, in the card's order.
        folder: gets `shard-*.parquet` (rejected rows too with ``keep_rejected``, marked),
            `ledger.json`, `quality.json` and `README.md`; shards of an earlier synthesis are
            removed. The same inputs give the same bytes.
        frame: what the prompts were tuned to read around a source.
        forbidden: rows that must not be repeated (development and test rows).
        work: where finished shards wait for the last one. A stopped synthesis continues from
            them; the caller sees to it that they are of the same inputs.
        spread: sends batches to a cluster; the rows are the same.
        reader: chooses among the clean rows where the settings ask for it.

    Raises:
        UserError: first sentences that cannot be read; not one row was kept.
        LedgerError: attempted is not kept + rejected.
    """
    prompts = generator_prompts.detach()
    score = spread.score if spread else None
    scorer = Scorer(card, backbone, prompts, frame, score)
    stage = _Stage(scorer, shots, settings, streams, forbidden, spread, reader)
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
    engine = stage.writer.engine.name
    made = Provenance(
        card,
        settings,
        streams.root,
        shots,
        forbidden,
        backbone=backbone,
        prompts=prompts,
        engine=engine,
    )
    describe(folder, rows, stage.ledger, made, stage.first_sentences.unlabelled())
    kept = [row for row in rows if row.kept]
    return SyntheticSet(kept, stage.ledger, folder, speed, engine)


def _quotas(settings: SynthesisSettings) -> list[int]:
    """Rows per label of each shard: full ones, then the rest."""
    full, rest = divmod(settings.rows_per_label, settings.shard_rows)
    return [settings.shard_rows] * full + ([rest] if rest else [])


def _hidden(rows: Sequence[SyntheticRow]) -> list[float]:
    """The worth of kept rows: the more, the less text2 alone tells their label."""
    kept = [i for i, row in enumerate(rows) if row.kept]
    worth = [0.0] * len(rows)
    for i, share in zip(kept, told_alone([rows[i] for i in kept]), strict=True):
        worth[i] = -share
    return worth


def _went(account: LabelAccount) -> str:
    """Where the rows of a label that has too few have gone, and what to do."""
    refused = account.rejected[READER_DISAGREES] or account.rejected[READER_UNSURE]
    moved = sum(account.relabelled.values())
    parts = [f"rejected as: {account.commonest()}"] if account.rejected else []
    parts += [f"{moved:,} were given another label by the reader"] if moved else []
    return "; ".join(["", *parts]) + "." + (f" {NEXT_STEPS}" if refused or moved else "")


class _Stage:
    """What lasts from shard to shard: attempts made, texts seen, the account."""

    def __init__(
        self,
        scorer: Scorer,
        shots: Sequence[Row],
        settings: SynthesisSettings,
        streams: Streams,
        forbidden: Sequence[Row],
        spread: Spread | None,
        reader: Reader | None,
    ) -> None:
        if settings.chooses and reader is None:
            raise ValueError("synthesis.choose.by is reader, but there is no reader")
        card, backbone, prompts = scorer.card, scorer.backbone, scorer.prompts
        self.reader, self.card, self.settings, self.streams = reader, card, settings, streams
        self.first_sentences = choose_first_sentences(
            settings.first_sentences, card, shots, streams, settings.first_sentence_kind
        )
        decoding = decoding_of(
            settings,
            card,
            shots,
            backbone,
            prompts.shape[1],
            writes_first=card.is_pair and self.first_sentences.generated,
            frame=scorer.frame,
        )
        engine = choose_engine(settings, backbone, prompts, decoding)
        self.cleaner = Cleaner(
            card,
            shots,
            forbidden,
            settings.cleaning,
            dict.fromkeys(card.labels, settings.rows_per_label),
            min_label_ratio=settings.min_label_ratio,
        )
        engine = spread.engine(engine) if spread else engine
        turns = settings.shots_in_context
        # Where a reader chooses, label ratios choose nothing, and cost a pass under every label.
        chooses = settings.chooses and not settings.min_label_ratio
        score = list if chooses else scorer
        self.writer = Writer(card, engine, self.cleaner, score, streams, shots, turns)
        self.ledger = Ledger(card.labels)
        self.start = perf_counter()
        self.replayed = LabelAccount()

    def shard(self, number: int, quota: int, advance: Callable[[int], None]) -> list[SyntheticRow]:
        """Rows of one shard, in the order they were asked for; ``quota`` kept a label."""
        # A reader's surplus is cut by what text2 tells of the label; single texts have none.
        cut = self.reader is None or self.card.is_pair
        wanted = math.ceil(quota * (self.settings.oversample if cut else 1))
        limit = math.ceil(wanted * self.settings.max_attempts_factor)
        labels = range(len(self.card.labels))
        good, spent = [0 for _ in labels], [0 for _ in labels]
        shown = 0
        rows: list[SyntheticRow] = []
        chosen: list[SyntheticRow] = []
        choose: Callable[[Sequence[SyntheticRow]], list[SyntheticRow]] = list
        if self.reader is not None and self.settings.chooses:
            how = self.settings.choose
            choose = Chooser(self.reader, self.card, how, how.relabel)
        while plan := self._plan(good, spent, wanted, limit):
            attempts = [attempt for label in labels for attempt in self._ask(label, plan[label])]
            attempts.sort(key=lambda attempt: (attempt.number, attempt.label))
            spent = [before + more for before, more in zip(spent, plan, strict=True)]
            rows += [replace(row, shard=number) for row in self.writer.write(attempts)]
            chosen = choose(rows)
            counts = Counter(row.label for row in chosen if row.kept)
            good = [counts[label] for label in self.card.labels]
            done = sum(min(quota, count * quota // wanted) for count in good)
            advance(max(0, done - shown))  # a later round may unchoose a row; the bar stays
            shown = max(shown, done)
        if self.reader is None:
            chosen = keep_best(chosen, quota)
        else:
            chosen = keep_best(chosen, quota, TELLS, _hidden(chosen))
        for row in chosen:
            self.ledger.enter(row)
        return chosen

    def replay(self, rows: Sequence[SyntheticRow], advance: Callable[[int], None]) -> None:
        """Take up a shard that an earlier, stopped synthesis finished, as if just written."""
        for row in rows:
            self.ledger.attempt(row.asked_for)
            self.ledger.enter(row)
            if row.reason in PASSED:
                self.cleaner.remember(replace(row, label=row.asked_for))
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

    def report_shortage(self) -> None:
        """Warn of labels with fewer rows than asked for, and say why; stop if there is none."""
        total = self.ledger.total()
        if not total.kept:
            raise UserError(
                f"None of {total.attempted:,} written rows could be kept (rejected as: "
                f"{total.commonest()}); fit the generator longer (generator.epochs), or lower "
                "synthesis.temperature."
            )
        for label, account in self.ledger.labels.items():
            kept = self.ledger.rows_of(label)
            if kept < self.settings.rows_per_label:
                warn(
                    f"label {label!r} has {kept:,} of {self.settings.rows_per_label:,} "
                    f"rows after {account.attempted:,} attempts{_went(account)}"
                )
