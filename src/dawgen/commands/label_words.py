"""Label words before any tuning: how likely the model finds each after the template."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from rich.cells import cell_len

from dawgen.streams import repeatable
from dawgen.terminal.screen import shortened

if TYPE_CHECKING:
    from dawgen.backbone import Backbone
    from dawgen.tasks import Row, TaskCard

_ROWS, _BATCH = 64, 8
_MOST_LABELS = 20
_COLUMNS = 30


@repeatable()
def word_lines(card: TaskCard, backbone: Backbone, rows: Sequence[Row]) -> tuple[list[str], str]:
    """A table of the label words from one zero-shot pass, and a warning about odd ones, if any.

    A word is odd if the model finds its tokens less likely than tokens drawn at random.

    Args:
        rows: those with texts are read, as many of each label as far as there are, 64 at most.

    Raises:
        UserError: a word begins another one, or the model cannot write one.
    """
    words = backbone.label_word_ids(card)
    some = _some([row for row in rows if row.has_texts])
    inputs = backbone.encode_rows(card, some, 0)
    parts = [inputs[start : start + _BATCH] for start in range(0, len(inputs), _BATCH)]
    log_probs = torch.cat([backbone.word_log_probs(part, words).float().cpu() for part in parts])
    means: list[float] = log_probs.mean(0).tolist()
    random = -math.log(len(backbone.tokenizer))
    odd = [mean < random * len(word) for mean, word in zip(means, words, strict=True)]
    best = log_probs.argmax(1).tolist()
    table = _table(card, means, Counter(best), odd)
    title = (
        f"label words before any tuning, on {len(some):,} rows{_accuracy(card, some, best)} "
        f"(a random word: {math.exp(random):.2g})"
    )
    return [title, *table], _warning(card, backbone, odd, Counter(best), len(some))


def _some(rows: Sequence[Row]) -> list[Row]:
    """At most ``_ROWS`` rows, of every label the same number as far as there are."""
    labels = {row.label for row in rows}
    room = dict.fromkeys(labels, max(1, _ROWS // max(1, len(labels))))
    found: list[Row] = []
    for row in rows:
        if room[row.label] and len(found) < _ROWS:
            room[row.label] -= 1
            found.append(row)
    return found


def _accuracy(card: TaskCard, rows: Sequence[Row], best: Sequence[int]) -> str:
    pairs = [(row.label, card.labels[place]) for row, place in zip(rows, best, strict=True)]
    if any(label is None for label, _ in pairs):
        return ""
    share = sum(label == answer for label, answer in pairs) / len(pairs)
    return f", {share:.0%} right by them"


def _table(
    card: TaskCard, means: Sequence[float], chosen: Counter[int], odd: Sequence[bool]
) -> list[str]:
    """Of many labels the oddest only."""
    places = sorted(range(len(means)), key=lambda place: means[place])
    places = places if len(places) > _MOST_LABELS else sorted(places)
    shown = places[:_MOST_LABELS]
    cells = [("label", "word", "probability", "chosen", "")]
    for place in shown:
        label = card.labels[place]
        word, likely = card.label_words[label], f"{math.exp(means[place]):.2g}"
        mark = "odd" if odd[place] else ""
        names = (shortened(label, _COLUMNS), shortened(word, _COLUMNS))
        cells.append((*names, likely, f"{chosen[place]:,}", mark))
    widths = [max(cell_len(line[column]) for line in cells) for column in range(5)]
    lines = ["  " + "  ".join(_padded(line, widths)).rstrip() for line in cells]
    more = len(places) - len(shown)
    return [*lines, *([f"  ({more} more labels, their words likelier)"] if more else [])]


def _padded(cells: Sequence[str], widths: Sequence[int]) -> list[str]:
    """Names to the left, figures to the right."""
    pads = [" " * (width - cell_len(cell)) for cell, width in zip(cells, widths, strict=True)]
    return [
        f"{pad}{cell}" if column in (2, 3) else f"{cell}{pad}"
        for column, (cell, pad) in enumerate(zip(cells, pads, strict=True))
    ]


def _warning(
    card: TaskCard, backbone: Backbone, odd: Sequence[bool], chosen: Counter[int], rows: int
) -> str:
    """What is wrong with the words; empty if nothing is."""
    strange = [
        card.label_words[label] for label, is_odd in zip(card.labels, odd, strict=True) if is_odd
    ]
    if len(strange) == len(odd):
        return (
            f"{backbone.name} expects none of the label words after the template, each is less "
            "likely than a random word; tuning has more to learn then. Try other words, or a "
            "larger model: `dawgen validate` with -s backbone.path=smollm2."
        )
    if strange:
        names = ", ".join(map(repr, strange[:5]))
        names += f" and {len(strange) - 5} more" if len(strange) > 5 else ""
        return (
            f"{backbone.name} finds {names} odd after the template, less likely than a random "
            "word; take words that a person would write there."
        )
    only = next(iter(chosen), 0)
    if len(chosen) == 1 and rows >= _BATCH:
        return (
            f"{backbone.name} answers {card.label_words[card.labels[only]]!r} to all {rows} rows; "
            "tuning may mend that, better label words or a better template do."
        )
    return ""
