"""From attempts to rows: texts written, cleaned and scored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from dawgen.backbone.frame import Turn
from dawgen.decoding import Engine, Generation, Request
from dawgen.streams import Streams
from dawgen.synthesis.cleaner import Cleaner
from dawgen.synthesis.cleaning import Candidate
from dawgen.synthesis.rows import SyntheticRow
from dawgen.synthesis.sources import GENERATED, FirstSentence
from dawgen.tasks import Row, TaskCard

TURNS_SHARED_BY = 8
"""Attempts of a label in a row that read the same few shots: these are then read once."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One text to write: its label, its number among the label's attempts, its first sentence."""

    label: int
    number: int
    first: FirstSentence
    seed: int


@dataclass
class Writer:
    """Writes rows by an engine, cleans them, and scores those that the text rules pass.

    Attributes:
        scorer: adds label ratios; or gives rows back as they are, to be scored later.
        shots: few shots that rows of their label read as earlier turns.
        turns: how many of them a row reads; 0 is none.
        tokens: tokens written so far, end marks included.
    """

    card: TaskCard
    engine: Engine
    cleaner: Cleaner
    scorer: Callable[[Sequence[SyntheticRow]], Sequence[SyntheticRow]]
    streams: Streams
    shots: Sequence[Row] = field(default=(), repr=False)
    turns: int = 0
    tokens: int = 0

    def write(self, attempts: Sequence[Attempt]) -> list[SyntheticRow]:
        """Cleaned and scored rows, in the attempts' order."""
        if self.card.is_pair:
            texts, failed = self._pairs(attempts)
        else:
            written = self._generate(attempts, [""] * len(attempts))
            texts, failed = [Candidate(t.text, None, t.finished) for t in written], {}
        rows = [
            self._row(attempt, text, failed.get(i))
            for i, (attempt, text) in enumerate(zip(attempts, texts, strict=True))
        ]
        return self.cleaner.judge(rows, self.scorer)

    def _pairs(self, attempts: Sequence[Attempt]) -> tuple[list[Candidate], dict[int, str]]:
        """Both texts of every attempt, and why some first texts cannot be continued."""
        firsts, failed = [attempt.first.text for attempt in attempts], {}
        generated = [i for i, attempt in enumerate(attempts) if attempt.first == GENERATED]
        written = self._generate([attempts[i] for i in generated], [""] * len(generated))
        for i, text in zip(generated, written, strict=True):
            firsts[i] = text.text
            if why := self.cleaner.first_reason(text.text, text.finished):
                failed[i] = why
        usable = [i for i in range(len(attempts)) if i not in failed]
        seconds = self._generate(
            [self._second(attempts[i]) for i in usable], [firsts[i] for i in usable]
        )
        texts = [Candidate(first, "", False) for first in firsts]
        for i, second in zip(usable, seconds, strict=True):
            wrote_first = attempts[i].first == GENERATED
            texts[i] = Candidate(firsts[i], second.text, second.finished, wrote_first)
        return texts, failed

    def _second(self, attempt: Attempt) -> Attempt:
        """The attempt as it writes text2: with other random numbers than a text1 it wrote."""
        if attempt.first != GENERATED:
            return attempt
        return replace(attempt, seed=self.streams.seed("synthesis", "second", str(attempt.seed)))

    def _generate(self, attempts: Sequence[Attempt], sources: Sequence[str]) -> list[Generation]:
        requests = [
            self._request(attempt, source)
            for attempt, source in zip(attempts, sources, strict=True)
        ]
        texts = self.engine.generate(requests) if requests else []
        self.tokens += sum(text.tokens for text in texts)
        return texts

    def _request(self, attempt: Attempt, source: str) -> Request:
        """The attempt's text, behind few shots of its label where it reads any.

        They are drawn again for every ``TURNS_SHARED_BY`` attempts, and the label prompt's words
        stand in front of every first text: of what is read, not only of what is tuned.
        """
        if not self.turns:
            return Request(source, attempt.label, attempt.seed)
        label = self.card.labels[attempt.label]
        rows = [row for row in self.shots if row.label == label]
        group = str(attempt.number // TURNS_SHARED_BY)
        order = self.streams.numpy("synthesis", "turns", label, group).permutation(len(rows))
        words = self.card.label_prompts[label]

        def turn(row: Row) -> Turn:
            if not source:
                return words, row.text1
            return f"{words} {row.text1}", row.text2 or ""

        turns = tuple(turn(rows[i]) for i in order[: self.turns])
        return Request(f"{words} {source}".strip(), attempt.label, attempt.seed, turns)

    def _row(self, attempt: Attempt, text: Candidate, failed: str | None) -> SyntheticRow:
        label = self.card.labels[attempt.label]
        row = SyntheticRow(
            text.text1, text.text2, label, first_sentence=attempt.first.source, seed=attempt.seed
        )
        return row.rejected(failed or self.cleaner.text_reason(text, label))
