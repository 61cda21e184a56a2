"""The stage: labelled rows from label prompts, method.md §2."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from dawgen.backbone import Backbone
from dawgen.errors import UserError
from dawgen.progress import progress, warn
from dawgen.repeatable import repeatable
from dawgen.runs import write_text
from dawgen.settings import SynthesisSettings
from dawgen.streams import Streams
from dawgen.synthesis import cleaning
from dawgen.synthesis.card import Provenance, dataset_card
from dawgen.synthesis.engines import (
    Engine,
    Generation,
    Request,
    choose_engine,
    decoding_of,
)
from dawgen.synthesis.first_sentences import (
    FirstSentence,
    FirstSentences,
    choose_first_sentences,
)
from dawgen.synthesis.ledger import LabelAccount, Ledger
from dawgen.synthesis.rows import SyntheticRow
from dawgen.synthesis.scoring import label_ratios, log_likelihoods
from dawgen.synthesis.shards import write_shard
from dawgen.synthesis.text import pair_key
from dawgen.tasks import Row, TaskCard

ATTEMPTS_PER_ROUND = 512
"""Texts asked for between two looks at what is still missing; bounds memory and overshoot."""


@dataclass(frozen=True)
class SyntheticSet:
    """What a synthesis made: its kept rows, its account, and where it lies."""

    rows: list[SyntheticRow]
    ledger: Ledger
    folder: Path


@dataclass(frozen=True, slots=True)
class _Attempt:
    """One text asked for: the label, which of its attempts it is, where it starts from."""

    label: int
    number: int
    first: FirstSentence
    seed: int


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
    forbidden: Sequence[Row] = (),
) -> SyntheticSet:
    """Write rows until every label has ``rows_per_label`` kept ones, into ``folder``.

    Shard by shard: clean rows are collected for each label, ``oversample`` times as many as
    the shard wants, and those of the highest label ratio are kept. A label that has used up
    ``max_attempts_factor`` attempts for every clean row it wants is left short, with a warning.

    Args:
        shots: the few-shot rows; lengths, scripts and texts not to repeat come from them.
        generator_prompts: [C,P,H], one soft prompt a label, in the card's order.
        folder: gets `shard-*.parquet` (rejected rows too, marked), `ledger.json` and
            `README.md`; shards of an earlier synthesis are removed. The same inputs give the
            same bytes.
        forbidden: rows that must not be repeated (development and test rows).

    Raises:
        UserError: first sentences that cannot be had; not one row was kept.
        LedgerError: attempted is not kept + rejected.
    """
    stage = _Stage(card, shots, generator_prompts, backbone, settings, streams, forbidden)
    folder.mkdir(parents=True, exist_ok=True)
    for stale in folder.glob("shard-*.parquet"):
        stale.unlink()
    kept: list[SyntheticRow] = []
    total = settings.rows_per_label * len(card.labels)
    with progress("synthesis", total, "rows") as advance:
        for number, quota in enumerate(_quotas(settings)):
            rows = stage.shard(number, quota, advance)
            write_shard(folder, number, rows)
            kept += [row for row in rows if row.kept]
    stage.ledger.check()
    write_text(folder / "ledger.json", stage.ledger.dumps())
    stage.report_shortage()
    made = Provenance(card, backbone, settings, streams.root, len(shots))
    write_text(folder / "README.md", dataset_card(made, kept, stage.ledger))
    return SyntheticSet(kept, stage.ledger, folder)


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
        forbidden: Sequence[Row],
    ) -> None:
        self.card = card
        self.prompts = prompts.detach()
        self.backbone = backbone
        self.settings = settings
        self.streams = streams
        self.first_sentences: FirstSentences = choose_first_sentences(
            settings.first_sentences, card, shots, streams
        )
        self.reference = cleaning.reference(shots, forbidden)
        decoding = decoding_of(settings, card, shots, backbone, self.writes_first)
        self.engine: Engine = choose_engine(settings, backbone, self.prompts, decoding)
        self.ledger = Ledger(card.labels)
        self.seen: set[tuple[str, str]] = set()

    @property
    def writes_first(self) -> bool:
        """Whether the generator writes text1 of pairs too."""
        return self.card.is_pair and self.first_sentences.generated

    # --- one shard ------------------------------------------------------------------

    def shard(self, number: int, quota: int, advance: Callable[[int], None]) -> list[SyntheticRow]:
        """Rows of one shard, in the order they were asked for; ``quota`` kept a label."""
        wanted = math.ceil(quota * self.settings.oversample)
        limit = math.ceil(wanted * self.settings.max_attempts_factor)
        labels = range(len(self.card.labels))
        clean, spent = [0 for _ in labels], [0 for _ in labels]
        rows: list[SyntheticRow] = []
        while plan := self._plan(clean, spent, wanted, limit):
            attempts = [attempt for label in labels for attempt in self._ask(label, plan[label])]
            attempts.sort(key=lambda attempt: (attempt.number, attempt.label))
            for attempt, row in zip(attempts, self._write(attempts), strict=True):
                spent[attempt.label] += 1
                if row.kept:
                    before = _share(clean[attempt.label], wanted, quota)
                    clean[attempt.label] += 1
                    advance(_share(clean[attempt.label], wanted, quota) - before)
                rows.append(replace(row, shard=number))
        rows = keep_best(rows, quota)
        for row in rows:
            self.ledger.enter(row)
        return rows

    def _plan(
        self, clean: Sequence[int], spent: Sequence[int], wanted: int, limit: int
    ) -> list[int]:
        """Attempts a label for the next round, by what is missing and what share got through."""
        open_labels = [i for i, n in enumerate(clean) if n < wanted and spent[i] < limit]
        if not open_labels:
            return []
        most = max(1, ATTEMPTS_PER_ROUND // len(open_labels))
        plan = [0] * len(clean)
        for i in open_labels:
            rate = max(clean[i] / spent[i], 0.1) if spent[i] else 1.0
            plan[i] = min(math.ceil((wanted - clean[i]) / rate), most, limit - spent[i])
        return plan

    def _ask(self, label: int, count: int) -> list[_Attempt]:
        """The label's next attempts, entered in the ledger."""
        name = self.card.labels[label]
        start = self.ledger.labels[name].attempted
        self.ledger.attempt(name, count)
        return [
            _Attempt(
                label, i, self.first_sentences.at(i), self.streams.seed("synthesis", name, str(i))
            )
            for i in range(start, start + count)
        ]

    # --- writing and judging ----------------------------------------------------------

    def _write(self, attempts: Sequence[_Attempt]) -> list[SyntheticRow]:
        """Texts for the attempts, cleaned and scored; rows in the attempts' order."""
        if self.writes_first:
            return self._judge(attempts, *self._write_pairs(attempts))
        texts = self._generate(attempts, [a.first.text for a in attempts])
        if not self.card.is_pair:
            rows = [cleaning.Candidate(t.text, None, t.finished) for t in texts]
        else:
            rows = [
                cleaning.Candidate(a.first.text, t.text, t.finished)
                for a, t in zip(attempts, texts, strict=True)
            ]
        return self._judge(attempts, rows, [self._reason(row) for row in rows])

    def _write_pairs(
        self, attempts: Sequence[_Attempt]
    ) -> tuple[list[cleaning.Candidate], list[str | None]]:
        """Both texts by the generator; text2 only where text1 can be continued."""
        firsts = self._generate(attempts, ["" for _ in attempts])
        reasons = [
            cleaning.first_sentence_reason(t.text, t.finished, self.reference) for t in firsts
        ]
        going = [i for i, why in enumerate(reasons) if why is None]
        seconds = self._generate(
            [replace(attempts[i], seed=self._second_seed(attempts[i])) for i in going],
            [firsts[i].text for i in going],
        )
        rows = [cleaning.Candidate(t.text, "", False) for t in firsts]
        for i, second in zip(going, seconds, strict=True):
            rows[i] = cleaning.Candidate(firsts[i].text, second.text, second.finished)
            reasons[i] = self._reason(rows[i])
        return rows, reasons

    def _second_seed(self, attempt: _Attempt) -> int:
        return self.streams.seed("synthesis", "second", str(attempt.seed))

    def _generate(self, attempts: Sequence[_Attempt], sources: Sequence[str]) -> list[Generation]:
        requests = [
            Request(source, attempt.label, attempt.seed)
            for attempt, source in zip(attempts, sources, strict=True)
        ]
        return self.engine.generate(requests)

    def _reason(self, row: cleaning.Candidate) -> str | None:
        return cleaning.reason(row, self.reference)

    def _judge(
        self,
        attempts: Sequence[_Attempt],
        texts: Sequence[cleaning.Candidate],
        reasons: Sequence[str | None],
    ) -> list[SyntheticRow]:
        """Scores what the rules passed, then rejects by label ratio and duplicates."""
        clean = [i for i, why in enumerate(reasons) if why is None]
        likelihoods = self._score([texts[i] for i in clean])
        ratios = label_ratios(likelihoods)
        rows = [self._row(*parts) for parts in zip(attempts, texts, reasons, strict=True)]
        for place, i in enumerate(clean):
            label = attempts[i].label
            row = replace(
                rows[i],
                label_ratio=float(ratios[place, label]),
                log_likelihood=float(likelihoods[place, label]),
            )
            why = self._late_reason(row)
            rows[i] = row if why is None else replace(row, kept=False, reason=why)
        return rows

    def _row(self, attempt: _Attempt, text: cleaning.Candidate, why: str | None) -> SyntheticRow:
        return SyntheticRow(
            text1=text.text1,
            text2=text.text2,
            label=self.card.labels[attempt.label],
            kept=why is None,
            reason=why,
            first_sentence=attempt.first.source,
            seed=attempt.seed,
        )

    def _late_reason(self, row: SyntheticRow) -> str | None:
        """What is known only of scored rows, and of all rows before this one.

        The same texts are kept once, under whatever label they passed first.
        """
        if (row.label_ratio or 0.0) < self.settings.min_label_ratio:
            return cleaning.LOW_LABEL_RATIO
        key = pair_key(row.text1, row.text2)
        if key in self.seen:
            return cleaning.DUPLICATE
        self.seen.add(key)
        return None

    def _score(self, texts: Sequence[cleaning.Candidate]) -> Tensor:
        """log p(written text | label) in fp64 [N,C]; of both texts where both were written."""
        if self.writes_first:
            firsts = self._distinct_scores([("", t.text1) for t in texts])
            return firsts + self._distinct_scores([(t.text1, t.text2 or "") for t in texts])
        if self.card.is_pair:
            return self._distinct_scores([(t.text1, t.text2 or "") for t in texts])
        return self._distinct_scores([("", t.text1) for t in texts])

    def _distinct_scores(self, pairs: Sequence[tuple[str, str]]) -> Tensor:
        """Scores [N,C]; texts that several attempts wrote are scored once."""
        place = {pair: i for i, pair in enumerate(dict.fromkeys(pairs))}
        scores = log_likelihoods(self.backbone, self.prompts, list(place))
        return scores[[place[pair] for pair in pairs]]

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
                warn(
                    f"label {label!r} has {account.kept:,} of {self.settings.rows_per_label:,} "
                    f"rows after {account.attempted:,} attempts; rejected as: "
                    f"{_commonest(account)}."
                )


def _commonest(account: LabelAccount) -> str:
    return ", ".join(f"{why} ({count:,})" for why, count in account.rejected.most_common(3))


def _share(clean: int, wanted: int, quota: int) -> int:
    """How many of the quota's rows the clean ones stand for; the rest is over-generation."""
    return min(quota, clean * quota // wanted)


def keep_best(rows: Sequence[SyntheticRow], quota: int) -> list[SyntheticRow]:
    """Marks all but each label's ``quota`` kept rows of the highest label ratio as rejected.

    Order stays; of equal ratios the earlier row wins.
    """
    best: dict[str | None, list[int]] = {}
    for i, row in enumerate(rows):
        if row.kept:
            best.setdefault(row.label, []).append(i)
    chosen = {
        i
        for indices in best.values()
        for i in sorted(indices, key=lambda i: (-(rows[i].label_ratio or 0.0), i))[:quota]
    }
    return [
        replace(row, kept=False, reason=cleaning.NOT_AMONG_BEST)
        if row.kept and i not in chosen
        else row
        for i, row in enumerate(rows)
    ]
