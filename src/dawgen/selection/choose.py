"""The rule by which one of several candidates is shipped, and how sure it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from dawgen.evaluation.balance import macro_f1
from dawgen.selection.candidates import Candidate
from dawgen.selection.heads import Numbers, mean_loss
from dawgen.selection.swaps import sign_test, swap_test

if TYPE_CHECKING:
    from dawgen.tasks.card import Metric

DOUBT = 0.3
"""A difference of a larger p in the paired test is none. The loss on held-out rows then decides,
and a rival, whose held-out rows flatter it by some 10 points, is not shipped
(docs/selection.md)."""


@dataclass(frozen=True)
class Paired:
    """Two candidates on the rows that both hold out.

    Attributes:
        rows: how many.
        better, worse: rows that only the first, only the second gets right.
        lead: what the first has more of the metric.
        p: two-sided; of the exact sign test over the rows that one of them gets right (McNemar),
            for macro-F1 of the swap test.
    """

    rows: int
    better: int
    worse: int
    lead: float
    p: float


def right(candidate: Candidate, gold: Numbers) -> npt.NDArray[np.bool_]:
    """[N] whether a row is held out and gets its label."""
    return candidate.known & (_answers(candidate) == gold)


def _answers(candidate: Candidate) -> Numbers:
    """[N] the likeliest label of each row; of no meaning where it is not held out."""
    return np.nan_to_num(candidate.held_out).argmax(axis=1)


def value(
    candidate: Candidate,
    gold: Numbers,
    metric: Metric,
    rows: npt.NDArray[np.bool_] | None = None,
) -> float:
    """The metric on the held-out rows, or on those among them that are named [N]."""
    some = candidate.known if rows is None else rows
    if metric == "accuracy":
        return float(right(candidate, gold)[some].mean())
    return macro_f1(gold[some], _answers(candidate)[some], candidate.held_out.shape[1])


def paired(
    first: Candidate, second: Candidate, gold: Numbers, metric: Metric = "accuracy"
) -> Paired:
    """The first against the second, row by row."""
    both = first.known & second.known
    one, other = right(first, gold)[both], right(second, gold)[both]
    better, worse = int((one & ~other).sum()), int((~one & other).sum())
    lead = value(first, gold, metric, both) - value(second, gold, metric, both)
    if metric == "accuracy":
        p = sign_test(better, worse)
    else:
        answers = (_answers(first)[both], _answers(second)[both])
        p = swap_test(gold[both], *answers, first.held_out.shape[1])
    return Paired(int(both.sum()), better, worse, lead, p)


def choose(
    candidates: Sequence[Candidate], gold: Numbers, metric: Metric = "accuracy"
) -> Candidate:
    """The candidate to be shipped; they come in order, the cheapest to use first.

    The product of heads that leads most, or else the best of those that hold out every row; unless
    others, or else rivals, are better beyond doubt: then the best of these.
    """
    most = max(each.leads for each in candidates)
    leading = [each for each in candidates if each.leads == most] if most else []
    plain = [each for each in candidates if not each.rival] or candidates
    champion = best(leading or plain, gold, metric)
    others = [each for each in candidates if each.rival or each.leads < most]
    better = [each for each in others if beats(each, champion, gold, metric)]
    return best(better, gold, metric) if better else champion


def beats(
    rival: Candidate, champion: Candidate, gold: Numbers, metric: Metric = "accuracy"
) -> bool:
    """Whether a rival is better on the rows that both hold out, with a p below ``DOUBT`` and a
    lower loss: three rows of 32 make a p of 0.25, and a loss tells more of so few."""
    match = paired(rival, champion, gold, metric)
    both = rival.known & champion.known
    losses = [mean_loss(each.held_out[both], gold[both], metric) for each in (rival, champion)]
    return match.lead > 0 and match.p < DOUBT and losses[0] < losses[1]


def best(candidates: Sequence[Candidate], gold: Numbers, metric: Metric = "accuracy") -> Candidate:
    """Of those as good as the one of the highest metric that of lowest loss; of equals the
    first."""
    known = np.all([each.known for each in candidates], axis=0)

    def loss(each: Candidate) -> float:
        return mean_loss(each.held_out[known], gold[known], metric)

    top = min(candidates, key=lambda each: (-value(each, gold, metric, known), loss(each)))
    equal = [c for c in candidates if c is top or paired(top, c, gold, metric).p >= DOUBT]
    return min(equal, key=loss)
