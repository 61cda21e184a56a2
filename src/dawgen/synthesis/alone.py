"""What the second text alone tells of the label: a shortcut that written rows often leave."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dawgen.streams import Streams
from dawgen.tasks import Row

LEAST = 50
"""Rows of every label that the measure needs."""
MOST = 960
"""Rows that it looks at, over all labels: more rows give a higher figure, so sets of different
size are compared at one size."""
FOLDS = 5


def text2_alone(
    rows: Sequence[Row], labels: Sequence[str], streams: Streams
) -> dict[str, Any] | None:
    """Accuracy of TF-IDF (words, 1- and 2-grams) and logistic regression that see text2 only.

    Five folds, as many rows of every label, drawn by the seed where there are more.

    Returns:
        ``accuracy`` and ``chance`` in 0..1, and ``rows``; None for single texts, or where a label
        has fewer than ``LEAST`` rows.
    """
    texts: dict[str, list[str]] = {label: [] for label in labels}
    for row in rows:
        if row.text2 is not None:
            texts[str(row.label)].append(row.text2)
    size = min(min(map(len, texts.values())), MOST // len(labels))
    if size < LEAST:
        return None
    rng = streams.numpy("quality", "text2-alone")
    x, y = [], []
    for label, own in texts.items():
        x += [own[i] for i in sorted(rng.choice(len(own), size, replace=False).tolist())]
        y += [label] * size
    accuracy = round(_accuracy(x, y), 4)
    return {"accuracy": accuracy, "chance": round(1 / len(labels), 4), "rows": len(x)}


def _accuracy(texts: Sequence[str], labels: Sequence[str]) -> float:
    """Over all folds; scikit-learn takes a second to import, and nothing else here needs it."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline

    words = TfidfVectorizer(token_pattern=r"\w+|[^\w\s]", ngram_range=(1, 2))
    model = make_pipeline(words, LogisticRegression(max_iter=1000))
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    found = cross_val_predict(model, list(texts), list(labels), cv=folds)
    return sum(a == b for a, b in zip(found, labels, strict=True)) / len(labels)
