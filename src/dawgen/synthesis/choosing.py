"""Choosing rows by a reader: a classifier that did not write them says which carry their label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from dawgen.errors import UserError
from dawgen.settings.choosing import ChoosingSettings
from dawgen.synthesis.cleaner import PASSED, READER_DISAGREES, READER_UNSURE
from dawgen.synthesis.rows import SyntheticRow
from dawgen.tasks import Row, TaskCard
from dawgen.terminal.progress import say, shown, warn

Reader = Callable[[Sequence[Row]], Tensor]
"""Rows to log p(label) [N,C]; the rows' own labels are not looked at."""

FEW = 0.1
"""A label that keeps a smaller share of its rows than this is named in a warning."""


def calibrated(log_probs: Tensor, labels: Sequence[int]) -> Tensor:
    """Batch calibration (Zhou et al. 2024), [N,C]: each label's mean log-probability over the rows
    is taken off.

    Written labels weigh alike in that mean, however many rows each has: otherwise a label that
    needs many attempts would lower its own score by them. Rows of one label only stay as they are:
    half of them would always disagree.

    Args:
        log_probs: [N,C], N at least 1.
        labels: the N rows' own labels, as places in 0..C-1.
    """
    own = torch.tensor(labels)
    written = own.unique()
    if len(written) < 2:
        return log_probs
    means = [log_probs[own == label].mean(dim=0) for label in written]
    return torch.log_softmax(log_probs - torch.stack(means).mean(dim=0), dim=1)


def margins(log_probs: Tensor, labels: Sequence[int]) -> Tensor:
    """By how many nats a reader of log p(label) [N,C] prefers each row's label to the next best,
    [N]."""
    own = torch.tensor(labels)[:, None]
    mine = log_probs.gather(1, own)[:, 0]
    others = log_probs.scatter(1, own, -torch.inf).amax(dim=1)
    return mine - others


class Chooser:
    """Marks the clean rows with which a reader disagrees, or gives them its label; each text is
    read once.

    Made for the rows of one shard, while more are being written: a row is judged among the clean
    rows that the shard has by then, so it may be chosen in one round and not in a later one. The
    mean over the whole set would have to wait for the last shard, when nothing more is written.

    Args:
        relabel: as the setting; None for rows from elsewhere, whose writer may know better than a
            reader of few shots.
    """

    def __init__(
        self,
        reader: Reader,
        card: TaskCard,
        settings: ChoosingSettings,
        relabel: float | None = None,
    ) -> None:
        self.reader = reader
        self.card = card
        self.settings = settings
        self.relabel = relabel
        self._read: dict[tuple[str, str | None], Tensor] = {}

    def __call__(self, rows: Sequence[SyntheticRow]) -> list[SyntheticRow]:
        """The rows in their order; rejected ones stay as they are."""
        clean = [i for i, row in enumerate(rows) if row.kept]
        if not clean:
            return list(rows)
        scores = torch.stack(self._log_probs([rows[i] for i in clean]))
        own = [self.card.label_index(str(rows[i].label)) for i in clean]
        labels, least, reason = own, self.settings.min_margin, READER_DISAGREES
        if (relabel := self._relabel) is not None:
            labels, least, reason = scores.argmax(dim=1).tolist(), relabel, READER_UNSURE
        elif self.settings.calibrate:
            scores = calibrated(scores, labels)
        is_sure = (margins(scores, labels) >= least).tolist()
        chosen = list(rows)
        for n, i in enumerate(clean):
            row, label = rows[i], labels[n] if is_sure[n] else own[n]
            if not is_sure[n]:
                row = row.rejected(reason)
            elif label != own[n]:
                row = row.relabelled(self.card.labels[label])
            chosen[i] = replace(row, reader_probability=float(scores[n, label].exp()))
        return chosen

    @property
    def _relabel(self) -> float | None:
        """The lead by which a row takes the reader's label; None where it keeps its own."""
        sound = getattr(self.reader, "is_sound", False)
        return self.relabel if sound else None

    def _log_probs(self, rows: Sequence[SyntheticRow]) -> list[Tensor]:
        new = {(row.text1, row.text2): row for row in rows}
        new = {key: row for key, row in new.items() if key not in self._read}
        if new:
            self._read.update(zip(new, self.reader(list(new.values())), strict=True))
        return [self._read[row.text1, row.text2] for row in rows]


def choose_rows(
    rows: Sequence[SyntheticRow],
    reader: Reader,
    card: TaskCard,
    settings: ChoosingSettings,
) -> list[SyntheticRow]:
    """The clean rows of any source with which the reader agrees; says how many of each label.

    Raises:
        UserError: the reader agrees with none of the rows.
    """
    marked = Chooser(reader, card, settings)(rows)
    clean, kept = Counter(row.label for row in rows), [row for row in marked if row.kept]
    if not kept:
        reasons = Counter(row.reason for row in marked)
        raise UserError(
            f"None of the {len(rows):,} synthetic rows is left after the reader's choice "
            f"({', '.join(f'{why}: {count:,}' for why, count in reasons.items())}); look at the "
            "rows and their labels, or set synthesis.choose.by to none."
        )
    left = Counter(row.label for row in kept)
    for label in card.labels:
        count = f"{left[label]:,} of {clean[label]:,} synthetic rows of label {shown(label)!r}"
        if left[label] <= FEW * clean[label]:
            warn(f"only {count} are left after the reader's choice. {NEXT_STEPS}")
        else:
            say(f"  {count} chosen")
    return kept


NEXT_STEPS = (
    "The reader, which learned from the few shots alone, predicts another label for the rest or "
    "is not sure of one, so the final prompt has little to learn this label from; read the "
    "rejected rows (synthesis.keep_rejected), give more labelled rows, or set "
    "synthesis.choose.by to none."
)


def reader_agreement(
    rows: Sequence[SyntheticRow], labels: Sequence[str]
) -> dict[str, float | None]:
    """Of each label's clean rows, as written, the share with which the reader agrees, before any
    further cut."""
    clean = [row for row in rows if row.reason in PASSED]
    counts = Counter(row.asked_for for row in clean)
    refused = (READER_DISAGREES, READER_UNSURE)
    against = Counter(row.asked_for for row in clean if row.written_for or row.reason in refused)
    return {
        label: round(1 - against[label] / counts[label], 4) if counts[label] else None
        for label in labels
    }
