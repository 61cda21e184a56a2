"""The few shots of a run: the user's rows, or rows drawn from them by the seed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from math import ceil
from typing import NamedTuple, TypeVar

from dawgen.errors import UserError
from dawgen.tasks.card import TaskCard
from dawgen.tasks.row import Row, row_key
from dawgen.terminal.progress import say, warn

Item = TypeVar("Item")
FEWEST = 4
"""Different rows per label that a run needs at least, for training and development together where
both come from one file."""


class Shots(NamedTuple):
    """The few labelled rows of a run, for training and for choosing the checkpoint."""

    train: list[Row]
    dev: list[Row]


def prepare_shots(
    card: TaskCard,
    train: Sequence[Row],
    dev: Sequence[Row] | None,
    shots: int,
    seed: int,
    *,
    names: tuple[str, str],
    quick: bool = False,
) -> Shots:
    """The few shots from the user's rows.

    Up to ``shots`` rows per label are used as they are; from more, ``shots`` different ones are
    drawn by the seed. Without ``dev`` both sets come, disjoint, from ``train``: ``shots`` rows per
    label each, or of a label with fewer rows five eighths and three eighths.

    Args:
        names: names of the training and the development rows in messages.
        quick: classifiers learn from both sets; messages name their total.

    Raises:
        UserError: one label only, fewer than ``FEWEST`` different rows of one, or rows that are in
            both sets.
    """
    fewest = min(FEWEST, shots)
    check_shots(card, train, None if dev is None else fewest, name=names[0])
    if dev is None:
        return _split(card, train, shots, seed, names[0], quick=quick)
    check_shots(card, dev, fewest, name=names[1])
    train_keys = {row_key(row) for row in train}
    both = sum(row_key(row) in train_keys for row in dev)
    if both:
        raise UserError(
            f"{names[1]}: {both} of its rows are in {names[0]} too; the development rows choose "
            "the checkpoint and must differ from the training rows."
        )
    return Shots(
        _draw(card, train, shots, seed, "train", names[0]),
        _draw(card, dev, shots, seed, "dev", names[1]),
    )


def _split(
    card: TaskCard, rows: Sequence[Row], shots: int, seed: int, name: str, *, quick: bool
) -> Shots:
    """All rows, or ``2 * shots`` per label of more, in two disjoint sets."""
    pools = _pools(card, rows)
    label, pool = min(pools.items(), key=lambda item: len(item[1]))
    if (most := max(map(len, pools.values()))) > 2 * shots:
        halves = "" if quick else f": {shots} to learn from and {shots} to choose by"
        say(
            f"{name} has {_per_label(pools)} rows per label; {2 * shots} at most are used, drawn "
            f"with seed {seed}{halves}. --shots {ceil(most / 2)} uses them all."
        )
    if len(pool) >= 2 * shots:
        return sample_shots(card, rows, shots, seed, name=name)
    if len(pool) < (fewest := min(FEWEST, 2 * shots)):
        raise UserError(
            f"{name} has only {len(pool)} different rows of label {label!r}, but training and "
            f"development together need {fewest}; {_advice(len(pool) // 2)}."
        )
    train, dev = _draw_both(pools, shots, seed)
    learned = f"{len(train)} rows are learned from, and the other {len(dev)} choose the checkpoint."
    if quick:
        learned = f"all {len(train) + len(dev)} are learned from, and each is held out in turn."
    say(f"{name} has {_per_label(pools)} rows per label: {learned}")
    return Shots(train, dev)


def _per_label(pools: Mapping[str, Sequence[Row]]) -> str:
    least, most = (pick(map(len, pools.values())) for pick in (min, max))
    return f"{least}" if least == most else f"{least} to {most}"


def _pools(card: TaskCard, rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Each label's different rows: texts that differ in case and spacing only count once."""
    pools: dict[str, list[Row]] = {label: [] for label in card.labels}
    seen = set()
    for row in rows:
        key = row_key(row)
        if row.label is not None and key not in seen:
            seen.add(key)
            pools[row.label].append(row)
    return pools


def sample_shots(
    card: TaskCard, rows: Sequence[Row], shots: int, seed: int, *, name: str = "The pool"
) -> Shots:
    """``shots`` rows per label for training and as many others for development, label by label.

    Rows whose texts differ in case and spacing only count once, so no text is drawn twice. Each
    label is drawn from its own random stream: more rows of one label do not change the others.

    Args:
        name: name of the rows in messages, such as their file.

    Raises:
        UserError: a label has fewer than ``2 * shots`` different rows.
    """
    pools = _pools(card, rows)
    label, pool = min(pools.items(), key=lambda item: len(item[1]))
    if len(pool) < 2 * shots:
        raise UserError(
            f"{name} has only {len(pool)} different rows of label {label!r}, but {shots} for "
            f"training and {shots} for development need {2 * shots}; {_advice(len(pool) // 2)}."
        )
    return _draw_both(pools, shots, seed)


def _draw_both(pools: Mapping[str, Sequence[Row]], shots: int, seed: int) -> Shots:
    """Up to ``shots`` rows per label for training, up to as many others for development; of a label
    that has fewer than both, three eighths are for development."""
    train: list[Row] = []
    dev: list[Row] = []
    for label, pool in pools.items():
        drawn = _shuffled(pool, seed, label)[: 2 * shots]
        place = min(shots, len(drawn) - (3 * len(drawn) + 4) // 8)
        train += drawn[:place]
        dev += drawn[place : place + shots]
    return Shots(train, dev)


def check_shots(
    card: TaskCard, rows: Sequence[Row], shots: int | None = None, *, name: str = "The few-shot set"
) -> None:
    """Check that rows can be used for training: every label is there, often enough.

    Args:
        shots: smallest number of rows per label; None is one.
        name: name of the rows in messages, such as their file.

    Raises:
        UserError: one label only, a label without rows, or fewer rows of one than ``shots``.
    """
    counts = Counter(row.label for row in rows if row.label is not None)
    if len(counts) == 1:
        raise UserError(
            f"{name} has rows of one label only, {next(iter(counts))!r}; task {card.name} needs "
            f"rows of {', '.join(card.labels)}."
        )
    label = min(card.labels, key=lambda label: counts[label])
    if not counts[label]:
        raise UserError(f"{name} has no row with the label {label!r}.")
    if shots is not None and counts[label] < shots:
        raise UserError(
            f"{name} has {counts[label]} rows of label {label!r}, fewer than the {shots} that are "
            f"needed; {_advice(counts[label])}."
        )


def _advice(most: int) -> str:
    return f"add rows, or use fewer with -s shots={most}" if most else "add rows"


def _draw(
    card: TaskCard, rows: Sequence[Row], shots: int, seed: int, purpose: str, name: str
) -> list[Row]:
    """``shots`` rows per label, in the file's order; all of them if there are no more."""
    counts = Counter(row.label for row in rows)
    different = list({(row_key(row), row.label): row for row in reversed(rows)}.values())[::-1]
    if all(counts[label] <= shots for label in card.labels):
        if len(different) < len(rows):
            warn(
                f"{name}: {len(rows) - len(different)} of its {len(rows)} rows are duplicates; "
                "different rows would be better."
            )
        return list(rows)
    check_shots(card, different, min(FEWEST, shots), name=f"{name}, without duplicates,")
    say(f"{name} has more than {shots} rows per label; {shots} are drawn with seed {seed}.")
    drawn: list[int] = []
    for label in card.labels:
        places = [i for i, row in enumerate(different) if row.label == label]
        drawn += _shuffled(places, seed, purpose, label)[:shots]
    return [different[i] for i in sorted(drawn)]


def _shuffled(items: Sequence[Item], seed: int, *purpose: str) -> list[Item]:
    from dawgen.streams import Streams  # torch takes a second to import

    order = Streams(seed).numpy("shots", *purpose).permutation(len(items))
    return [items[i] for i in order]
