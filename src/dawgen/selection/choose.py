"""The rule by which one of several candidates is shipped, and how sure it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dawgen.selection.candidates import Candidate
from dawgen.selection.heads import Numbers, log_losses

DOUBT = 0.3
"""A difference of a larger p in the sign test is none. The loss on held-out rows then decides, and
a rival, whose held-out rows flatter it by some 10 points, is not shipped (docs/selection.md)."""


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

    The best of those that hold out every row, unless rivals are better beyond doubt; then the best
    of these.
    """
    plain = [each for each in candidates if not each.rival] or candidates
    champion = best(plain, gold)
    better = [each for each in candidates if each.rival and beats(each, champion, gold)]
    return best(better, gold) if better else champion


def beats(rival: Candidate, champion: Candidate, gold: Numbers) -> bool:
    """Whether a rival is better on the rows that both hold out, with a p below ``DOUBT``."""
    match = paired(rival, champion, gold)
    return match.better > match.worse and match.p < DOUBT


def best(candidates: Sequence[Candidate], gold: Numbers) -> Candidate:
    """Of those as good as the most accurate one that of lowest loss; of equals the first."""
    known = np.all([each.known for each in candidates], axis=0)

    def loss(each: Candidate) -> float:
        return float(log_losses(each.held_out[known], gold[known]).mean())

    def hits(each: Candidate) -> int:
        return int(right(each, gold)[known].sum())

    top = min(candidates, key=lambda each: (-hits(each), loss(each)))
    return min((c for c in candidates if c is top or paired(top, c, gold).p >= DOUBT), key=loss)
