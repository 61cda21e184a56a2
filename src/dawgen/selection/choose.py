"""The rule by which one of several candidates is shipped, and how sure it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dawgen.selection.candidates import Candidate
from dawgen.selection.heads import Numbers, log_losses

DOUBT = 0.3
"""Candidates are as good as the most accurate one where the sign test between them gives a larger
p; the loss on held-out rows then decides (docs/selection.md has the figures)."""


@dataclass(frozen=True)
class Paired:
    """Two candidates on the rows that both hold out.

    Attributes:
        rows: how many.
        better, worse: rows that only the first, only the second gets right.
    """

    rows: int
    better: int
    worse: int

    @property
    def p(self) -> float:
        """Of the exact sign test over the rows that one of them gets right (McNemar), two-sided."""
        from scipy.stats import binomtest

        apart = self.better + self.worse
        return float(binomtest(self.better, apart).pvalue) if apart else 1.0


def right(candidate: Candidate, gold: Numbers) -> npt.NDArray[np.bool_]:
    """[N] whether a row is held out and gets its label."""
    return candidate.known & (np.nan_to_num(candidate.held_out).argmax(axis=1) == gold)


def paired(first: Candidate, second: Candidate, gold: Numbers) -> Paired:
    """The first against the second, row by row."""
    both = first.known & second.known
    one, other = right(first, gold)[both], right(second, gold)[both]
    return Paired(int(both.sum()), int((one & ~other).sum()), int((~one & other).sum()))


def choose(candidates: Sequence[Candidate], gold: Numbers) -> Candidate:
    """The candidate to be shipped; they come in order, the cheapest to use first.

    Candidates that hold out all rows are compared on all of them, the others on the rows that they
    have; then the two best on those rows. A prompt whose step was chosen on these very rows must
    be better beyond doubt.
    """
    whole = [each for each in candidates if each.known.all()]
    partial = [each for each in candidates if not each.known.all()]
    finalists = [best(group, gold) for group in (whole, partial) if group]
    if len(finalists) == 1:
        return finalists[0]
    plain, other = finalists
    if other.tuned_here:
        match = paired(other, plain, gold)
        return other if match.better > match.worse and match.p < DOUBT else plain
    return best(sorted(finalists, key=candidates.index), gold)


def best(candidates: Sequence[Candidate], gold: Numbers) -> Candidate:
    """Of those as good as the most accurate one that of lowest loss; of equals the first."""
    known = np.all([each.known for each in candidates], axis=0)

    def loss(each: Candidate) -> float:
        return float(log_losses(each.held_out[known], gold[known]).mean())

    def hits(each: Candidate) -> int:
        return int(right(each, gold)[known].sum())

    top = min(candidates, key=lambda each: (-hits(each), loss(each)))
    return min((c for c in candidates if c is top or paired(top, c, gold).p >= DOUBT), key=loss)
