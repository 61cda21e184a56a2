"""Splitting a pool to choose settings by."""

from __future__ import annotations

from tools.validation_rows import split


def test_parts_are_disjoint_whole_and_the_seeds() -> None:
    """Every row is in one part; a third at most is scored on; the seed decides."""
    rows = [str(number) for number in range(30)]
    pool, scored = split(rows, 8, 1)
    assert len(scored) == 8
    assert sorted(pool + scored) == sorted(rows)
    assert split(rows, 8, 1) == (pool, scored)
    assert split(rows, 8, 2) != (pool, scored)
    assert len(split(rows, 100, 1)[1]) == 10
