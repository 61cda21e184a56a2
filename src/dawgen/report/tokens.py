"""The few-shot texts with what the generator learnt of every token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dawgen.report.read import RunFiles

END = "end"
_FULL = 3.0
"""Times the mean weight at which the shade is full."""

NAMES = {"dawgen": "DawGen", "fewgen": "FewGen", "plain": "plain prompt tuning"}


@dataclass(frozen=True, slots=True)
class Token:
    """A token: its text, its figures, and how strongly each is shown, in [0, 1]."""

    text: str
    weight: float
    ratio: float
    shade: float
    line: float
    says: str


@dataclass(frozen=True, slots=True)
class ShotText:
    """A few-shot text: what it is, what it is written after, and its tokens by method."""

    label: str
    row: int
    source: str
    versions: list[tuple[str, list[Token]]]


def shot_texts(files: RunFiles) -> list[ShotText]:
    """The run's texts, each beside other methods' weights of the very same text.

    The others lie in the run folder from earlier settings; a text that they do not have, or
    have in other tokens, stands alone.
    """
    tuned = {files.method: files.weights, **files.other_weights}
    known = [(method, {_key(text): text for text in texts}) for method, texts in tuned.items()]
    chance = 1 / max(len({text["label"] for text in files.weights}), 2)
    found = []
    for text in files.weights:
        versions = [
            (NAMES.get(method, method or "this run"), _tokens(same, chance))
            for method, texts in known
            if (same := texts.get(_key(text))) is not None
        ]
        found.append(ShotText(text["label"], text["row"] + 1, text["source"], versions))
    return sorted(found, key=lambda text: text.label)


def _key(text: dict[str, Any]) -> tuple[Any, ...]:
    return text["row"], text["label"], text["source"], *(t["text"] for t in text["tokens"])


def _tokens(text: dict[str, Any], chance: float) -> list[Token]:
    return [
        Token(
            token["text"] or f" {END}",
            token["weight"],
            token["label_ratio"],
            min(token["weight"] / _FULL, 1.0),
            min(max((token["label_ratio"] - chance) / (1 - chance), 0.0), 1.0),
            f"{token['text'].strip() or END}: weight {token['weight']:.2f}, "
            f"label ratio {token['label_ratio']:.2f}",
        )
        for token in text["tokens"]
    ]
