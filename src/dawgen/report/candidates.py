"""The classifiers that a run has compared, and the one that it ships."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

WRITTEN, UNLABELLED = "+written", "+unlabelled"
_TITLES = {
    "tfidf": "logistic regression on TF-IDF",
    "embeddings": "logistic regression on embeddings",
    "alignment": "logistic regression on word match",
    "cross-encoder": "cross-encoder",
    "cross-encoder+alignment": "cross-encoder and word match",
    "tuned-cross-encoder": "tuned cross-encoder",
    "tuned-cross-encoder+alignment": "tuned cross-encoder and word match",
    "states": "logistic regression on the model's states",
    "embeddings+states": "logistic regression on embeddings and states",
    "tuned-embeddings": "logistic regression on tuned embeddings",
    "tuned-embeddings+states": "logistic regression on tuned embeddings and states",
    "zero-shot": "zero-shot, no tuning",
    "baseline": "prompt tuned on the shots alone",
    "prompt": "prompt tuned on shots and written rows",
    "noisy-channel": "the generator as a noisy channel",
    "average": "average of the best few",
}
_MORE = {WRITTEN: "written rows", UNLABELLED: "unlabelled texts"}


_PRODUCTS = ("embeddings+states", "tuned-embeddings+states")
"""Candidates that of pairs have further factors."""


def title(name: str, scores: Mapping[str, Any] | None = None) -> str:
    """A candidate in words.

    Args:
        scores: of the run that has compared it; these tell whether its rows are pairs.
    """
    for ending, more in _MORE.items():
        if name.endswith(ending):
            return f"{title(name.removesuffix(ending), scores)} and {more}"
    words = _TITLES.get(name, name)
    others = {each["name"] for each in (scores or {}).get("candidates") or []}
    if name not in _PRODUCTS or "alignment" not in others:
        return words
    across = "cross-encoder, " if "cross-encoder" in others else ""
    return words.replace("logistic regression on ", f"{across}word match, ")


def shipped(scores: dict[str, Any]) -> str:
    """The candidate that the run ships; the prompt where it has not chosen."""
    return str(scores.get("choice", "prompt"))


def table(
    scores: dict[str, Any], metric: str, seconds: Mapping[str, float]
) -> list[dict[str, Any]]:
    """The candidates, the best on held-out rows first.

    Each has its ``title``, ``held_out`` and ``test`` by the metric, and its ``seconds``, which are
    None where this run has not measured them.
    """
    found = [
        {
            **each,
            "title": title(each["name"], scores),
            "held_out": each[f"held_out_{metric}"],
            "test": each.get(f"test_{metric}"),
            "seconds": seconds.get(each["name"]),
        }
        for each in scores.get("candidates") or []
    ]
    return sorted(found, key=lambda each: -each["held_out"])
