"""Figures of a set of rows that need no model: variety, distance, and what text2 alone predicts."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from dawgen.streams import Streams
from dawgen.synthesis.text import ngrams
from dawgen.tasks import Row

Tokens = Sequence[str]

_TOKEN = re.compile(r"\w+|[^\w\s]")
_SMOOTHING = 0.1
"""Counted where no n-gram occurs again (Chen and Cherry 2014, method 1), as in Texygen."""
ALONE_LEAST = 50
"""Rows of every label that :func:`text2_alone` needs."""
ALONE_MOST = 960
"""Rows that it uses, over all labels: more rows give a higher figure, so sets of different size
are compared at one size."""


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


def text2_alone(
    rows: Sequence[Row], labels: Sequence[str], streams: Streams
) -> dict[str, Any] | None:
    """Accuracy of TF-IDF (words, 1- and 2-grams) and logistic regression that see text2 only.

    Five folds, as many rows of every label, drawn by the seed where there are more.

    Returns:
        ``accuracy`` and ``chance`` in 0..1, and ``rows``; None for single texts, or where a label
        has fewer than ``ALONE_LEAST`` rows.
    """
    texts: dict[str, list[str]] = {label: [] for label in labels}
    for row in rows:
        if row.text2 is not None:
            texts[str(row.label)].append(row.text2)
    size = min(min(map(len, texts.values())), ALONE_MOST // len(labels))
    if size < ALONE_LEAST:
        return None
    rng = streams.numpy("quality", "text2-alone")
    x, y = [], []
    for label, own in texts.items():
        x += [own[i] for i in sorted(rng.choice(len(own), size, replace=False).tolist())]
        y += [label] * size
    predicted = _predicted(x, y, "predict")
    accuracy = round(sum(a == b for a, b in zip(predicted, y, strict=True)) / len(y), 4)
    return {"accuracy": accuracy, "chance": round(1 / len(labels), 4), "rows": len(x)}


def told_alone(rows: Sequence[Row]) -> list[float]:
    """How far text2 alone tells each row's label, 0 to 1: the probability of it to a TF-IDF and
    logistic regression that has not seen the row; 0 for single texts, and where there are few rows.
    """
    counts = Counter(row.label for row in rows)
    if any(row.text2 is None for row in rows) or len(counts) < 2 or min(counts.values()) < 5:
        return [0.0] * len(rows)
    labels = [str(row.label) for row in rows]
    shares = _predicted([str(row.text2) for row in rows], labels, "predict_proba")
    order = sorted(set(labels))
    return [float(share[order.index(label)]) for share, label in zip(shares, labels, strict=True)]


def _predicted(texts: Sequence[str], labels: Sequence[str], method: str) -> Any:
    """By a model that has not seen the text, over five folds.

    scikit-learn takes a second to import, and nothing else here needs it.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline

    words = TfidfVectorizer(token_pattern=r"\w+|[^\w\s]", ngram_range=(1, 2))
    model = make_pipeline(words, LogisticRegression(max_iter=1000))
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    return cross_val_predict(model, list(texts), list(labels), cv=folds, method=method)
