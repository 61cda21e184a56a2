"""A look at all rows of a file: counts, lengths, duplicates, conflicting labels."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from statistics import median

from rich.cells import cell_len

from dawgen.tasks.card import TaskCard
from dawgen.tasks.row import Row, row_key
from dawgen.terminal.screen import shortened

_MOST_LABELS = 20
_MOST_NAMED = 5
_LABEL_COLUMNS = 30


def look_lines(name: str, card: TaskCard, rows: Sequence[Row], cut: Sequence[int]) -> list[str]:
    """A table of the labels, then what is odd, by row numbers.

    Args:
        name: of the file.
        cut: places of rows whose end the model does not read.
    """
    plural = "" if len(rows) == 1 else "s"
    lines = [f"{name}: {len(rows):,} row{plural}, {len(card.labels)} labels", ""]
    return [*lines, *_table(card, rows), "", *_findings(card, rows, cut)]


def _table(card: TaskCard, rows: Sequence[Row]) -> list[str]:
    """Per label its rows, and the fewest, the median and the most words of each text."""
    by_label: dict[str, list[Row]] = {label: [] for label in card.labels}
    for row in rows:
        by_label[str(row.label)].append(row)
    heads = [
        "label",
        "rows",
        *(f"words of {card.columns[role]} (min / median / max)" for role in card.roles),
    ]
    labels = list(by_label)
    if len(labels) > _MOST_LABELS:  # the rarest tell most
        labels = sorted(labels, key=lambda label: len(by_label[label]))[:_MOST_LABELS]
    cells = [heads]
    for label in labels:
        some = by_label[label]
        words = [_words([getattr(row, role) for row in some]) for role in card.roles]
        cells.append([shortened(label, _LABEL_COLUMNS), f"{len(some):,}", *words])
    cells.append(
        ["all", f"{len(rows):,}", *(_words([getattr(r, x) for r in rows]) for x in card.roles)]
    )
    widths = [max(cell_len(line[i]) for line in cells) for i in range(len(heads))]
    found = [_line(line, widths) for line in cells]
    if hidden := len(by_label) - len(labels):
        found.insert(-1, f"  ({hidden} more labels, none with fewer rows)")
    return found


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    pads = [" " * (width - cell_len(cell)) for cell, width in zip(cells, widths, strict=True)]
    first, *others = zip(cells, pads, strict=True)
    return "  ".join(
        [f"  {first[0]}{first[1]}", *(f"{pad}{cell}" for cell, pad in others)]
    ).rstrip()


def _words(texts: Sequence[str]) -> str:
    counts = sorted(len(text.split()) for text in texts)
    return f"{counts[0]} / {median(counts):g} / {counts[-1]}" if counts else "-"


# --- what is odd ----------------------------------------------------------------------------


def _findings(card: TaskCard, rows: Sequence[Row], cut: Sequence[int]) -> list[str]:
    counts = Counter(row.label for row in rows)
    missing = [label for label in card.labels if not counts[label]]
    empty = [place for place, row in enumerate(rows) if not row.has_texts]
    groups: dict[object, list[int]] = defaultdict(list)
    for place, row in enumerate(rows):
        if row.has_texts:
            groups[row_key(row)].append(place)
    twice = [places for places in groups.values() if len(places) > 1]
    repeats = [place for places in twice for place in places[1:]]
    conflicts = [places for places in twice if len({rows[place].label for place in places}) > 1]
    found = {
        "labels without a row": _some(missing, len(missing)),
        "rows with an empty text": _numbers(empty),
        "rows longer than the model reads (the end is cut)": _numbers(cut),
        "rows that repeat an earlier text": _numbers(sorted(repeats)),
        "texts with several labels": _conflicts(rows, conflicts),
    }
    odd = [f"  {what}: {text}" for what, text in found.items() if text]
    return odd or ["  no empty, cut or repeated texts, and none with several labels"]


def _numbers(places: Sequence[int]) -> str:
    """``3 (rows 2, 5, 9)``; empty for none."""
    return _some([str(place + 1) for place in places], len(places), "rows ")


def _some(items: Sequence[str], count: int, what: str = "") -> str:
    more = f" and {count - _MOST_NAMED:,} more" if count > _MOST_NAMED else ""
    what = what.rstrip("s ") + " " if what and count == 1 else what
    return f"{count:,} ({what}{', '.join(items[:_MOST_NAMED])}{more})" if count else ""


def _conflicts(rows: Sequence[Row], groups: Sequence[Sequence[int]]) -> str:
    """Each text's labels with the row that has each first."""
    texts = []
    for places in groups:
        first: Mapping[str, int] = {str(rows[place].label): place for place in reversed(places)}
        labels = sorted(first.items(), key=lambda item: item[1])
        texts.append(" and ".join(f"row {place + 1} {label}" for label, place in labels))
    return _some(texts, len(texts))
