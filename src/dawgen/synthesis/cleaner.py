"""Cleaning as a whole: the rules on one text, then what the rows before it decide."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from dawgen.settings.cleaning import CleaningSettings
from dawgen.synthesis import cleaning
from dawgen.synthesis.duplicates import Duplicates
from dawgen.synthesis.rows import SyntheticRow
from dawgen.tasks import Row, TaskCard

LOW_LABEL_RATIO = "low label ratio"
NOT_AMONG_BEST = "lower label ratio than others"
TELLS = "text2 alone tells the label more than others"
NOT_ASKED_FOR = "more rows than asked for"
READER_DISAGREES, READER_UNSURE = "reader disagrees", "reader is not sure"


class Cleaner:
    """Judges rows in the order they come, and remembers those that passed.

    Two looks at a row: :meth:`text_reason` at its texts alone, before it is scored, and
    :meth:`late_reason` at its label ratio and at the rows before it.
    """

    def __init__(
        self,
        card: TaskCard,
        shots: Sequence[Row],
        forbidden: Sequence[Row],
        settings: CleaningSettings,
        wanted: Mapping[str, int],
        *,
        min_label_ratio: float = 0.0,
        generated: bool = True,
    ) -> None:
        """
        Args:
            shots: the few-shot rows; lengths, scripts and texts not to repeat come from them.
            forbidden: rows that must not be repeated (development and test rows).
            wanted: rows of each label, of which ``copy_share`` may copy their first text.
            min_label_ratio: rows below it are rejected.
            generated: whether it is known how a text ended; if not, "cut off" is not asked.
        """
        self.settings = settings
        self.min_label_ratio = min_label_ratio
        self.skipped = {*settings.skip, *([] if generated else [cleaning.CUT_OFF])}
        self.reference = cleaning.Reference(shots, forbidden, settings.overlap_words, card.request)
        self.duplicates = Duplicates(settings.near_duplicate)
        self.copies_left: Counter[str] = Counter(
            {label: int(settings.copy_share * wanted[label]) for label in card.copies}
        )

    def text_reason(self, row: cleaning.Candidate, label: str) -> str | None:
        """Why the texts alone reject the row, or None."""
        skip = self.skipped | {cleaning.COPY} if self.copies_left[label] > 0 else self.skipped
        return cleaning.reason(row, self.reference, skip)

    def first_reason(self, text: str, finished: bool = True) -> str | None:
        """Why a first sentence cannot be continued, or None."""
        return cleaning.first_sentence_reason(text, finished, self.reference, self.skipped)

    def judge(
        self,
        rows: Sequence[SyntheticRow],
        score: Callable[[Sequence[SyntheticRow]], Sequence[SyntheticRow]],
    ) -> list[SyntheticRow]:
        """Score the rows that the text rules passed, then reject by label ratio and duplicates.

        Rejected rows stay as they are, and so does the order.
        """
        scored = iter(score([row for row in rows if row.kept]))
        judged = []
        for row in rows:
            if row.kept:
                row = next(scored)
                row = row.rejected(self.late_reason(row))
            judged.append(row)
        return judged

    def late_reason(self, row: SyntheticRow) -> str | None:
        """What is known only of scored rows, and of all rows before this one; a row without
        a reason is remembered.

        The same texts are kept once, under whatever label they passed first.
        """
        if row.label_ratio is not None and row.label_ratio < self.min_label_ratio:
            return LOW_LABEL_RATIO
        if self._is_copy(row) and self.copies_left[str(row.label)] <= 0:
            return cleaning.COPY
        if "duplicate" not in self.skipped and self.duplicates.has(row.text1, row.text2):
            return "duplicate"
        near = "near-duplicate" not in self.skipped
        if near and self.duplicates.has_near(row.text1, row.text2, row.label):
            return "near-duplicate"
        self.remember(row)
        return None

    def remember(self, row: SyntheticRow) -> None:
        """Count a row that passed; also for rows of an earlier, stopped synthesis."""
        self.duplicates.add(row.text1, row.text2, row.label)
        if self._is_copy(row):
            self.copies_left[str(row.label)] -= 1

    def _is_copy(self, row: SyntheticRow) -> bool:
        if cleaning.COPY in self.skipped:
            return False
        return cleaning.is_copy(cleaning.Candidate(row.text1, row.text2, True), self.reference)


def keep_best(
    rows: Sequence[SyntheticRow],
    quota: int,
    reason: str = NOT_AMONG_BEST,
    worth: Sequence[float] | None = None,
) -> list[SyntheticRow]:
    """Marks all but each label's ``quota`` best kept rows as rejected; order stays.

    Args:
        worth: of each row; without, how strongly it belongs to its label. Of equal ones the
            earlier row wins.
    """
    worth = worth or [row.label_confidence or 0.0 for row in rows]
    marked, left = list(rows), Counter(dict.fromkeys((row.label for row in rows), quota))
    kept = [i for i, row in enumerate(rows) if row.kept]
    for i in sorted(kept, key=lambda i: -worth[i]):
        left[rows[i].label] -= 1
        if left[rows[i].label] < 0:
            marked[i] = rows[i].rejected(reason)
    return marked


PASSED = (None, READER_DISAGREES, READER_UNSURE, NOT_AMONG_BEST, TELLS)
"""Reasons of rows that the cleaner had let pass: the choice came later."""
