"""What one text of a pair tells of the label, so that a classifier need not read the other."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from importlib import resources
from typing import Any, Literal

from dawgen.streams import Streams
from dawgen.synthesis.measures import tokens
from dawgen.tasks import Row

LEAST = 50
"""Rows of every label that :func:`text_alone` needs."""
MOST = 960
"""Rows that it uses, over all labels: more rows give a higher figure, so sets of different size
are compared at one size."""
REAL = "real-rows.json"
FEW = 20
"""Rows of a label, and of the others, below which a word says nothing of it."""

Side = Literal["text1", "text2"]


def text_alone(
    rows: Sequence[Row], labels: Sequence[str], streams: Streams, side: Side = "text2"
) -> dict[str, Any] | None:
    """Accuracy of TF-IDF (words, 1- and 2-grams) and logistic regression that see one text only.

    Five folds, as many rows of every label, drawn by the seed where there are more.

    Returns:
        ``accuracy``, ``chance`` and for each label ``by_label``, its recall, in 0..1; ``rows``.
        None for single texts, or where a label has fewer than ``LEAST`` rows.
    """
    texts: dict[str, list[str]] = {label: [] for label in labels}
    for row in rows:
        if row.text2 is not None:
            texts[str(row.label)].append(row.text2 if side == "text2" else row.text1)
    size = min(min(map(len, texts.values())), MOST // len(labels))
    if size < LEAST:
        return None
    rng = streams.numpy("quality", f"{side}-alone")
    x, y = [], []
    for label, own in texts.items():
        x += [own[i] for i in sorted(rng.choice(len(own), size, replace=False).tolist())]
        y += [label] * size
    predicted = _predicted(x, y, "predict")
    right = Counter(label for told, label in zip(predicted, y, strict=True) if told == label)
    return {
        "accuracy": round(right.total() / len(y), 4),
        "chance": round(1 / len(labels), 4),
        "rows": len(x),
        "by_label": {label: round(right[label] / size, 4) for label in labels},
    }


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


def telling_words(
    rows: Sequence[Row], shots: Sequence[Row], labels: Sequence[str]
) -> dict[str, dict[str, Any]] | None:
    """For each label the word of text2 that sets it apart most: whose share of the label's rows is
    furthest above its share of a row of the other labels.

    :func:`text_alone` is an average, and rows that are chosen by it can give one label away while
    they mislead about another; a word shows that.

    Returns:
        ``word``, the shares ``rows`` and ``elsewhere`` in 0..1, and of the few shots ``shots`` and
        ``shots_elsewhere``. Labels with few rows are left out; None for single texts.
    """
    if any(row.text2 is None for row in (*rows, *shots)):
        return None
    ours, theirs = _shares(rows), _shares(shots)
    found: dict[str, dict[str, Any]] = {}
    for label in labels:
        own, other = ours.get(label, {}), _mean([ours[x] for x in ours if x != label])
        here = sum(row.label == label for row in rows)
        if min(here, len(rows) - here) < FEW or not own:
            continue
        word = max(sorted(own), key=lambda word: own[word] - other.get(word, 0.0))
        real = _mean([theirs[x] for x in theirs if x != label])
        found[label] = {
            "word": word,
            "rows": round(own[word], 4),
            "elsewhere": round(other.get(word, 0.0), 4),
            "shots": round(theirs.get(label, {}).get(word, 0.0), 4),
            "shots_elsewhere": round(real.get(word, 0.0), 4),
        }
    return found


def _shares(rows: Sequence[Row]) -> dict[str, dict[str, float]]:
    """For each label the share of its rows that hold a word in text2."""
    sizes = Counter(str(row.label) for row in rows)
    counts: dict[str, Counter[str]] = {label: Counter() for label in sizes}
    for row in rows:
        counts[str(row.label)].update(set(tokens(row.text2 or "")))
    return {
        label: {word: count / sizes[label] for word, count in own.items()}
        for label, own in counts.items()
    }


def _mean(shares: Sequence[dict[str, float]]) -> dict[str, float]:
    """Word by word; labels weigh alike."""
    words = {word for own in shares for word in own}
    return {word: sum(own.get(word, 0.0) for own in shares) / len(shares) for word in words}


def of_real_rows(task: str) -> dict[str, Any] | None:
    """:func:`text_alone` of a shipped task's own rows (``python -m tools.real_rows``), or None."""
    text = (resources.files("dawgen.synthesis") / REAL).read_text("utf-8")
    known: dict[str, dict[str, Any]] = json.loads(text)
    return known.get(task)


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
