"""The few shots of a run: what the user gave, checked, or drawn from it by the seed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from dawgen.errors import UserError
from dawgen.streams import Streams
from dawgen.tasks import Row, Shots, TaskCard, check_shots, row_key, sample_shots
from dawgen.terminal.progress import say, warn


def prepare_shots(
    card: TaskCard,
    train: Sequence[Row],
    dev: Sequence[Row] | None,
    shots: int,
    seed: int,
    *,
    names: tuple[str, str],
) -> Shots:
    """The few shots from the user's rows.

    Rows of exactly ``shots`` a label are taken as they are; from more, ``shots`` different
    ones are drawn by the seed. Without ``dev`` both sets are drawn, disjoint, from ``train``.

    Args:
        names: what to call the training and the development rows in messages.

    Raises:
        UserError: one label only, too few different rows of one, or rows that stand in both.
    """
    check_shots(card, train, None if dev is None else shots, name=names[0])
    if dev is None:
        return sample_shots(card, train, shots, seed, name=names[0])
    check_shots(card, dev, shots, name=names[1])
    known = {row_key(row) for row in train}
    both = sum(row_key(row) in known for row in dev)
    if both:
        raise UserError(
            f"{names[1]}: {both} of its rows are in {names[0]} too; the development rows choose "
            "the checkpoint and must be others than the training rows."
        )
    return Shots(
        _draw(card, train, shots, seed, "train", names[0]),
        _draw(card, dev, shots, seed, "dev", names[1]),
    )


def _draw(
    card: TaskCard, rows: Sequence[Row], shots: int, seed: int, purpose: str, name: str
) -> list[Row]:
    """``shots`` rows per label, in the file's order; all of them where there are no more."""
    counts = Counter(row.label for row in rows)
    different = list({(row_key(row), row.label): row for row in reversed(rows)}.values())[::-1]
    if all(counts[label] == shots for label in card.labels):
        if len(different) < len(rows):
            warn(
                f"{name}: {len(rows) - len(different)} of its {len(rows)} rows stand there "
                "more than once; others in their place would teach more."
            )
        return list(rows)
    rows = different
    check_shots(card, rows, shots, name=f"{name}, each row counted once,")
    say(f"{name} has more than {shots} rows per label; {shots} are drawn with seed {seed}.")
    chosen: set[int] = set()
    for label in card.labels:
        places = [i for i, row in enumerate(rows) if row.label == label]
        order = Streams(seed).numpy("shots", purpose, label).permutation(len(places))
        chosen.update(places[i] for i in order[:shots])
    return [rows[i] for i in sorted(chosen)]
