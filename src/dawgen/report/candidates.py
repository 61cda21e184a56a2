"""What a run says of the classifiers that it has compared, and of the one that it ships."""

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


def words(scores: dict[str, Any]) -> list[str]:
    """Which candidate is shipped and how it compares; whether written rows helped its kind."""
    by_name = {each["name"]: each for each in scores.get("candidates") or []}
    ours = by_name.get(shipped(scores))
    if ours is None:
        return []
    sentences = [
        f"Shipped: {title(ours['name'])}, right on {ours['held_out_accuracy']:.1%} of "
        f"{ours['held_out_rows']:,} held-out rows; the best of {len(by_name)}."
    ]
    prompt = by_name.get("prompt")
    if prompt and prompt is not ours:
        sentences.append(
            f"Of the held-out rows, {prompt['shipped_better']} are right by it alone and "
            f"{prompt['shipped_worse']} by the tuned prompt alone (p = {prompt['p']:.2g})."
        )
    return [*sentences, *_written(by_name, ours["name"].removesuffix(WRITTEN))]


def _written(by_name: dict[str, dict[str, Any]], head: str) -> list[str]:
    """What written rows did to a linear head."""
    plain, more = by_name.get(head), by_name.get(head + WRITTEN)
    if not plain or not more:
        return []
    figure = "test_accuracy" if "test_accuracy" in plain else "held_out_accuracy"
    gap = 100 * (more[figure] - plain[figure])
    rows = "test" if figure == "test_accuracy" else "held-out"
    return [f"Written rows change {title(head)} by {gap:+.1f} points on {rows} rows."]
