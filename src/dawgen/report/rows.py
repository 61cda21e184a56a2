"""The synthetic rows: their account, their texts against real ones, and all of them as data."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

from markupsafe import Markup

from dawgen.report.bars import (
    Dot,
    PairOfShares,
    dots_chart,
    histogram,
    pairs_chart,
    stacked_chart,
)
from dawgen.report.charts import label_kind, label_shape
from dawgen.report.read import Rows, RunFiles

MOST_ROWS = 20_000
"""Rows that the page's table holds; of more, so many spread evenly."""
MOST_STATIC_DOTS = 500
_KEPT, _OTHERS = "kept", "other reasons"
_REASONS_SHOWN = 6
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")
_LEAST_TEXTS = 5
Words = Sequence[list[str]]
"""Of each text."""
REAL = ("shot", "development", "test")


def ledger_table(ledger: dict[str, Any]) -> list[dict[str, Any]]:
    """Per label: rows attempted, kept, and rejected by reason; of ledger.json."""
    return [
        {"label": label, **{name: account[name] for name in ("attempted", "kept", "reasons")}}
        for label, account in ledger.get("labels", {}).items()
    ]


def ledger_chart(ledger: dict[str, Any], seed: object) -> Markup | None:
    """A bar per label: kept, and rejected by the commonest reasons."""
    if not ledger.get("labels"):
        return None
    common = sorted(ledger.get("reasons", {}), key=lambda why: -ledger["reasons"][why])
    named = common[:_REASONS_SHOWN]
    stacks = {}
    for label, account in ledger["labels"].items():
        rest = sum(n for why, n in account["reasons"].items() if why not in named)
        parts = {why: account["reasons"].get(why, 0) for why in named}
        stacks[label] = {_KEPT: account["kept"], **parts, _OTHERS: rest}
    title = f"What became of every try; seed {seed}"
    return stacked_chart(title, stacks, [_KEPT, *named, _OTHERS])


def samples(synthetic: Rows, most: int = 6) -> dict[str, Rows]:
    """Per label, kept rows spread evenly from those that belong to it most, by the reader or by
    the label ratio, to those that do least."""
    chosen = {}
    for label in dict.fromkeys(row["label"] for row in synthetic):
        kept = [row for row in synthetic if row["label"] == label and row["kept"]]
        kept.sort(key=lambda row: -(label_confidence(row) or 0.0))
        chosen[label] = spread(kept, most)
    return chosen


def label_confidence(row: dict[str, Any]) -> float | None:
    """p(label) by the reader that chose the row, else its label ratio; None where neither is
    known."""
    known = row.get("reader_probability")
    return row.get("label_ratio") if known is None else known


def spread(items: Sequence[Any], most: int) -> list[Any]:
    """``most`` of the items at equal distances, the first and the last among them."""
    count = min(most, len(items))
    places = [round(i * (len(items) - 1) / max(count - 1, 1)) for i in range(count)]
    return [items[place] for place in places]


# --- against real rows -----------------------------------------------------------------


def written(row: dict[str, Any]) -> str:
    """The text that tells a row's label: text2 of a pair, else text1."""
    return str(row["text1"] if row.get("text2") is None else row["text2"])


def tokens(text: str) -> list[str]:
    """Words, case folded."""
    return _WORD.findall(text.casefold())


def real_rows(files: RunFiles) -> Rows:
    """The labelled real rows that the map holds: shots, and some of the test rows."""
    return [row for row in files.points if row["kind"] in REAL and row["label"] is not None]


def _words_by_set(files: RunFiles, label: str | None = None) -> tuple[Words, Words]:
    """The words of the real and of the kept synthetic texts, of one label or of all."""
    kept = [row for row in files.synthetic if row["kept"]]
    real, synthetic = (
        [tokens(written(row)) for row in rows if label in (None, row["label"])]
        for rows in (real_rows(files), kept)
    )
    return real, synthetic


def lengths_chart(files: RunFiles) -> Markup | None:
    """Words of the written texts, real and synthetic."""
    real, ours = _words_by_set(files)
    series = {"written": [len(text) for text in ours], "real": [len(text) for text in real]}
    return histogram("Length of the texts, written and real", series, "words")


def phrase_charts(files: RunFiles, most: int = 8) -> list[Markup]:
    """Per label, the words and pairs of words whose use differs most, real against synthetic."""
    charts = []
    for label in dict.fromkeys(row["label"] for row in files.synthetic):
        real, ours = _words_by_set(files, label)
        title = f"{label}: over- and under-used words, n = {len(real):,} and {len(ours):,}"
        charts.append(pairs_chart(title, differing(real, ours, most), ("real", "synthetic")))
    return [chart for chart in charts if chart]


def differing(real: Words, synthetic: Words, most: int) -> list[PairOfShares]:
    """The 1- and 2-grams whose share of texts differs most between two sets."""
    if not real or not synthetic:
        return []
    there, here = _texts_with(real), _texts_with(synthetic)
    pairs = [
        PairOfShares(gram, there[gram] / len(real), here[gram] / len(synthetic))
        for gram in there.keys() | here.keys()
        if there[gram] + here[gram] >= _LEAST_TEXTS
    ]
    pairs.sort(key=lambda pair: (-abs(pair.first - pair.second), pair.name))
    return sorted(pairs[:most], key=lambda pair: pair.first - pair.second)


def _texts_with(texts: Iterable[list[str]]) -> Counter[str]:
    """How many texts have each 1- and 2-gram."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update({*text, *(f"{a} {b}" for a, b in pairwise(text))})
    return counts


# --- as data for the page's scripts ----------------------------------------------------


def table_data(files: RunFiles) -> dict[str, Any]:
    """The rows column by column; labels and reasons by their places in ``labels``, ``reasons``.

    A kept row has reason -1. Where rejected rows were not written, the examples of the quality
    report stand for them.
    """
    rows = [*spread(files.synthetic, MOST_ROWS)]
    if all(row["kept"] for row in files.synthetic):
        rows += [row | {"kept": False} for row in files.rejected]
    labels = _labels(files, [*rows, *files.points])
    reasons = _names(row["reason"] for row in rows if not row["kept"])
    pair = any(row.get("text2") is not None for row in rows)
    return {
        "labels": labels,
        "reasons": reasons,
        "text1": [row["text1"] for row in rows],
        "text2": [row.get("text2") for row in rows],
        "label": [labels.index(row["label"]) for row in rows],
        "reason": [-1 if row["kept"] else reasons.index(row["reason"]) for row in rows],
        "ratio": [_short(row.get("label_ratio")) for row in rows],
        "sure": [_short(row.get("reader_probability")) for row in rows],
        "likelihood": [_short(row.get("log_likelihood")) for row in rows],
        "first": [row.get("first_sentence") or "" for row in rows],
        "columns": [name for role, name in files.columns.items() if role != "text2" or pair],
    }


def scored_data(files: RunFiles) -> dict[str, Any]:
    """The scored rows column by column, as :func:`table_data`; label -1 where there is none."""
    rows = spread(files.predictions, MOST_ROWS)
    labels = _labels(files, rows)
    place = {label: n for n, label in enumerate(labels)}
    return {
        "labels": labels,
        "text1": [row["text1"] for row in rows],
        "text2": [row["text2"] for row in rows],
        "label": [place.get(row["label"], -1) for row in rows],
        "answer": [place[row["prediction"]] for row in rows],
        "confidence": [_short(row["confidence"]) for row in rows],
    }


def map_data(files: RunFiles, labels: Sequence[str]) -> dict[str, Any] | None:
    """The map's points column by column: place, label, kind (0 synthetic), texts."""
    points = files.points
    if not points:
        return None
    kinds = ["synthetic", *REAL]
    return {
        "kinds": ["written", *REAL],
        "x": [_short(row["x"]) for row in points],
        "y": [_short(row["y"]) for row in points],
        "label": [labels.index(row["label"]) if row["label"] in labels else -1 for row in points],
        "kind": [kinds.index(row["kind"]) for row in points],
        "text1": [row["text1"] for row in points],
        "text2": [row["text2"] for row in points],
    }


def static_map(files: RunFiles, labels: Sequence[str]) -> Markup | None:
    """The map with fewer points, for paper and for readers without scripts."""
    dots = [
        Dot(
            row["x"],
            row["y"],
            f"{row['kind']}, {row['label']}: {written(row)}",
            label_kind(place) + (" hollow" if row["kind"] in REAL else ""),
            shape=label_shape(place),
        )
        for row in spread(files.points, MOST_STATIC_DOTS)
        for place in [labels.index(row["label"]) if row["label"] in labels else 7]
    ]
    keys = {name: label_kind(place) for place, name in enumerate(labels)}
    return dots_chart("Written rows (filled) and real ones (hollow)", dots, keys=keys)


def _labels(files: RunFiles, rows: Rows) -> list[str]:
    """The card's, so that every part of the page has the same colours, and what else rows have."""
    return list(dict.fromkeys([*files.labels, *_names(row["label"] for row in rows)]))


def _names(values: Iterable[Any]) -> list[str]:
    return list(dict.fromkeys(str(value) for value in values if value is not None))


def _short(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
