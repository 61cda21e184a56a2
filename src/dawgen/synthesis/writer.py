"""From attempts to rows: texts written, cleaned and scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from dawgen.backbone import Backbone
from dawgen.backbone.frame import Frame
from dawgen.decoding import Engine, Generation, Request
from dawgen.streams import Streams
from dawgen.synthesis import cleaning
from dawgen.synthesis.cleaner import Cleaner
from dawgen.synthesis.rows import SyntheticRow
from dawgen.synthesis.scoring import Score, label_ratios, log_likelihoods
from dawgen.synthesis.sources import GENERATED, FirstSentence
from dawgen.tasks import TaskCard


@dataclass(frozen=True, slots=True)
class Attempt:
    """One text asked for: the label, which of its attempts it is, where it starts from."""

    label: int
    number: int
    first: FirstSentence
    seed: int


class Writer:
    """Writes rows by an engine, has them judged by a cleaner, and scores what it lets pass."""

    def __init__(
        self,
        card: TaskCard,
        prompts: Tensor,
        backbone: Backbone,
        engine: Engine,
        cleaner: Cleaner,
        streams: Streams,
        frame: Frame | None = None,
        score: Score | None = None,
    ) -> None:
        """
        Args:
            prompts: [C,P,H], the label prompts by which rows are scored.
            frame: what the generator reads around a source.
            score: scores the batches elsewhere.
        """
        self.frame = frame
        self.score = score
        self.card = card
        self.prompts = prompts
        self.backbone = backbone
        self.engine = engine
        self.cleaner = cleaner
        self.streams = streams
        self.tokens = 0
        """Tokens written so far, end marks included."""

    def write(self, attempts: Sequence[Attempt]) -> list[SyntheticRow]:
        """Texts for the attempts, cleaned and scored; rows in the attempts' order."""
        if not self.card.is_pair:
            texts = self._generate(attempts, ["" for _ in attempts])
            rows = [cleaning.Candidate(t.text, None, t.finished) for t in texts]
            return self._judge(attempts, rows, self._reasons(attempts, rows))
        firsts, failed = self._first_texts(attempts)
        going = [i for i in range(len(attempts)) if i not in failed]
        seconds = self._generate(
            [self._second(attempts[i]) for i in going], [firsts[i] for i in going]
        )
        rows = [cleaning.Candidate(first, "", False) for first in firsts]
        for i, second in zip(going, seconds, strict=True):
            wrote_first = attempts[i].first == GENERATED
            rows[i] = cleaning.Candidate(firsts[i], second.text, second.finished, wrote_first)
        reasons = self._reasons(attempts, rows)
        return self._judge(attempts, rows, [failed.get(i, why) for i, why in enumerate(reasons)])

    def _reasons(
        self, attempts: Sequence[Attempt], rows: Sequence[cleaning.Candidate]
    ) -> list[str | None]:
        return [
            self.cleaner.text_reason(row, self.card.labels[attempt.label])
            for attempt, row in zip(attempts, rows, strict=True)
        ]

    def _first_texts(self, attempts: Sequence[Attempt]) -> tuple[list[str], dict[int, str]]:
        """Every attempt's text1, given or written, and why some cannot be continued."""
        texts = [attempt.first.text for attempt in attempts]
        failed: dict[int, str] = {}
        open_ones = [i for i, attempt in enumerate(attempts) if attempt.first == GENERATED]
        written = self._generate([attempts[i] for i in open_ones], ["" for _ in open_ones])
        for i, text in zip(open_ones, written, strict=True):
            texts[i] = text.text
            why = self.cleaner.first_reason(text.text, text.finished)
            if why is not None:
                failed[i] = why
        return texts, failed

    def _second(self, attempt: Attempt) -> Attempt:
        """The attempt as it writes text2: with random numbers of their own after a text1."""
        if attempt.first != GENERATED:
            return attempt
        return replace(attempt, seed=self._second_seed(attempt))

    def _second_seed(self, attempt: Attempt) -> int:
        return self.streams.seed("synthesis", "second", str(attempt.seed))

    def _generate(self, attempts: Sequence[Attempt], sources: Sequence[str]) -> list[Generation]:
        requests = [
            Request(source, attempt.label, attempt.seed)
            for attempt, source in zip(attempts, sources, strict=True)
        ]
        texts = self.engine.generate(requests) if requests else []
        self.tokens += sum(text.tokens for text in texts)
        return texts

    def _judge(
        self,
        attempts: Sequence[Attempt],
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
            why = self.cleaner.late_reason(row)
            rows[i] = row if why is None else replace(row, kept=False, reason=why)
        return rows

    def _row(self, attempt: Attempt, text: cleaning.Candidate, why: str | None) -> SyntheticRow:
        return SyntheticRow(
            text1=text.text1,
            text2=text.text2,
            label=self.card.labels[attempt.label],
            kept=why is None,
            reason=why,
            first_sentence=attempt.first.source,
            seed=attempt.seed,
        )

    def _score(self, texts: Sequence[cleaning.Candidate]) -> Tensor:
        """log p(written text | label) in fp64 [N,C]; of both texts where both were written."""
        if not self.card.is_pair:
            return self._distinct_scores([("", t.text1) for t in texts])
        scores = self._distinct_scores([(t.text1, t.text2 or "") for t in texts])
        both = [i for i, t in enumerate(texts) if t.wrote_first]
        if both:
            scores[both] += self._distinct_scores([("", texts[i].text1) for i in both])
        return scores

    def _distinct_scores(self, pairs: Sequence[tuple[str, str]]) -> Tensor:
        """Scores [N,C]; texts that several attempts wrote are scored once."""
        place = {pair: i for i, pair in enumerate(dict.fromkeys(pairs))}
        scores = log_likelihoods(self.backbone, self.prompts, list(place), self.frame, self.score)
        return scores[[place[pair] for pair in pairs]]
