"""Figures of a set of texts that need no model: variety, and distance from others."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from dawgen.synthesis.text import ngrams

Tokens = Sequence[str]

_TOKEN = re.compile(r"\w+|[^\w\s]")
_SMOOTHING = 0.1
"""Counted where no n-gram occurs again (Chen and Cherry 2014, method 1), as in Texygen."""


def tokens(text: str) -> list[str]:
    """Words and single marks, case folded."""
    return _TOKEN.findall(text.casefold())


def distinct(texts: Sequence[Tokens], n: int) -> float | None:
    """Different n-grams over all n-grams of the texts (Li et al. 2016); None without any.

    It falls with the number of texts: compare sets of like size.
    """
    counts = count_ngrams(texts, n)
    total = sum(counts.values())
    return len(counts) / total if total else None


def count_ngrams(texts: Iterable[Tokens], n: int) -> Counter[tuple[str, ...]]:
    """How often each n-gram occurs in the texts."""
    return Counter(gram for text in texts for gram in ngrams(text, n))


def self_bleu(texts: Sequence[Tokens], order: int = 4) -> float | None:
    """Mean BLEU of each text with all others as references (Zhu et al. 2018), in 0..1.

    High says that texts repeat one another. Sentence BLEU with equal weights of the orders 1 to
    ``order``, the closest reference's length for the brevity penalty, and Chen and Cherry's
    first smoothing. None for fewer than two texts.
    """
    if len(texts) < 2:
        return None
    lengths = Counter(len(text) for text in texts)
    counts = [[Counter(ngrams(text, n)) for text in texts] for n in range(1, order + 1)]
    highest = [_two_highest(of_order) for of_order in counts]
    scores = []
    for i, text in enumerate(texts):
        own = [of_order[i] for of_order in counts]
        precisions = [_precision(c, best) for c, best in zip(own, highest, strict=True)]
        scores.append(_bleu(precisions, len(text), _closest(lengths, len(text))))
    return math.fsum(scores) / len(scores)


Highest = dict[tuple[str, ...], tuple[int, int]]


def _two_highest(counts: Sequence[Counter[tuple[str, ...]]]) -> Highest:
    """For each n-gram the two highest counts in a single text: without the text that holds the
    highest, the second is the highest of the others."""
    best: Highest = {}
    for of_text in counts:
        for gram, count in of_text.items():
            first, second = best.get(gram, (0, 0))
            if count > first:
                best[gram] = (count, first)
            elif count > second:
                best[gram] = (first, count)
    return best


def _precision(own: Counter[tuple[str, ...]], best: Highest) -> tuple[int, int]:
    """(n-grams of the text that another text has, clipped by its count there; n-grams)."""
    shared = 0
    for gram, count in own.items():
        first, second = best[gram]
        shared += min(count, second if count == first else first)
    return shared, sum(own.values())


def _bleu(precisions: Sequence[tuple[int, int]], length: int, reference: int) -> float:
    if not precisions[0][0]:
        return 0.0
    logs = [math.log((shared or _SMOOTHING) / max(total, 1)) for shared, total in precisions]
    brevity = 1.0 if length > reference else math.exp(1 - reference / length)
    return brevity * math.exp(math.fsum(logs) / len(logs))


def _closest(lengths: Counter[int], own: int) -> int:
    """The other texts' length that is closest to this one's; of two the shorter."""
    others = [length for length, count in lengths.items() if count > (length == own)]
    return min(others, key=lambda length: (abs(length - own), length))


def jensen_shannon(one: Iterable[Tokens], other: Iterable[Tokens], n: int) -> float | None:
    """Jensen-Shannon divergence of two sets' n-gram frequencies, in bits: 0 alike, 1 disjoint.

    None where one of them has no n-gram. Small sets are far from everything: compare like sizes.
    """
    a, b = count_ngrams(one, n), count_ngrams(other, n)
    if not a or not b:
        return None
    grams = list(dict.fromkeys([*a, *b]))
    p = np.array([a[gram] for gram in grams]) / sum(a.values())
    q = np.array([b[gram] for gram in grams]) / sum(b.values())
    return float((_kullback(p, (p + q) / 2) + _kullback(q, (p + q) / 2)) / 2)


def _kullback(p: np.ndarray, m: np.ndarray) -> float:
    """Kullback-Leibler divergence in bits; m is positive wherever p is."""
    there = p > 0
    return float((p[there] * np.log2(p[there] / m[there])).sum())


def length_distance(one: Sequence[int], other: Sequence[int]) -> float | None:
    """Earth mover's distance of two sets of lengths: by how many words texts would have to be
    longer or shorter, on average, for the one set to be as long as the other."""
    if not one or not other:
        return None
    from scipy.stats import wasserstein_distance  # slow to load

    return float(wasserstein_distance(one, other))
