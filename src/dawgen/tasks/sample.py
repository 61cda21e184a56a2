"""Few-shot sampling: k rows per label for training and k others for choosing the checkpoint."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from dawgen.errors import UserError
from dawgen.tasks.card import TaskCard
from dawgen.tasks.row import Row, row_key


class Shots(NamedTuple):
    """The few labelled rows that a run learns from."""

    train: list[Row]
    dev: list[Row]


def sample_shots(
    card: TaskCard, rows: Sequence[Row], shots: int, seed: int, *, name: str = "The pool"
) -> Shots:
    """``shots`` rows of every label for training and as many others for development.

    Rows whose texts are the same but for case and spacing count once (the first of them), so
    no text is drawn twice, in one set or across both. Each label is drawn from a stream of
    its own: rows added to one label change no other's draw. Rows come label by label.

    Args:
        name: how to call the rows in an error, such as their file.

    Raises:
        UserError: a label has fewer than ``2 * shots`` different rows.
    """
    from dawgen.streams import Streams

    pools: dict[str, list[Row]] = {label: [] for label in card.labels}
    seen = set()
    for row in rows:
        key = row_key(row)
        if row.label is not None and key not in seen:
            seen.add(key)
            pools[row.label].append(row)
    _check_pools(pools, shots, name)
    streams = Streams(seed)
    train: list[Row] = []
    dev: list[Row] = []
    for label, pool in pools.items():
        order = streams.numpy("shots", label).permutation(len(pool))
        drawn = [pool[i] for i in order[: 2 * shots]]
        train += drawn[:shots]
        dev += drawn[shots:]
    return Shots(train, dev)


def _check_pools(pools: dict[str, list[Row]], shots: int, name: str) -> None:
    label, pool = min(pools.items(), key=lambda item: len(item[1]))
    if len(pool) < 2 * shots:
        raise UserError(
            f"{name} has only {len(pool)} different rows of label {label!r}, but {shots} for "
            f"training and {shots} for development need {2 * shots}; {_mend(len(pool) // 2)}."
        )


def _mend(most: int) -> str:
    return f"add rows, or take fewer with -s shots={most}" if most else "add rows"


def check_shots(
    card: TaskCard, rows: Sequence[Row], shots: int | None = None, *, name: str = "The few-shot set"
) -> None:
    """See that given rows can be learnt from: every label is there, often enough.

    Args:
        shots: rows wanted of every label; None asks for at least one.
        name: how to call the rows in an error, such as their file.

    Raises:
        UserError: only one label, a label without rows, or fewer rows of one than ``shots``.
    """
    counts = Counter(row.label for row in rows if row.label is not None)
    if len(counts) == 1:
        (only,) = counts
        raise UserError(
            f"{name} has rows of one label only, {only!r}; task {card.name} needs rows of "
            f"{', '.join(card.labels)}."
        )
    for label in card.labels:
        if not counts[label]:
            raise UserError(f"{name} has no row with the label {label!r}.")
    if shots is None:
        return
    label = min(card.labels, key=lambda label: counts[label])
    if counts[label] < shots:
        raise UserError(
            f"{name} has {counts[label]} rows of label {label!r}, fewer than the {shots} "
            f"shots asked for; {_mend(counts[label])}."
        )
