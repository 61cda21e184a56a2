"""The classifiers that a run has compared, and the one that it ships."""

from __future__ import annotations

from typing import Any

WRITTEN = "+written"
_TITLES = {
    "tfidf": "logistic regression on TF-IDF",
    "embeddings": "logistic regression on embeddings",
    "states": "logistic regression on mean states",
    "zero-shot": "zero-shot, no tuning",
    "baseline": "prompt tuned on the shots alone",
    "prompt": "prompt tuned on shots and written rows",
    "noisy-channel": "the generator as a noisy channel",
    "average": "average of the best few",
}


def title(name: str) -> str:
    """A candidate in words."""
    head = name.removesuffix(WRITTEN)
    words = _TITLES.get(head, head)
    return words if head == name else f"{words} and written rows"


def shipped(scores: dict[str, Any]) -> str:
    """The candidate that the run ships; the prompt where it has not chosen."""
    return str(scores.get("choice", "prompt"))


def table(scores: dict[str, Any]) -> list[dict[str, Any]]:
    """The candidates, the most accurate on held-out rows first."""
    found = [{**each, "title": title(each["name"])} for each in scores.get("candidates") or []]
    return sorted(found, key=lambda each: -each["held_out_accuracy"])
