"""Length buckets: rows of many steps dealt out so that every batch is of like lengths."""

from __future__ import annotations

import itertools

import numpy as np

from tools.pretrain.mixture import Mixture, Row
from tools.pretrain.recipe import Recipe

DATA_STREAM = 1


def deal(rows: list[Row], batches: int) -> list[list[Row]]:
    """``rows`` in ``batches`` lists of nearly equal size, alike in target and source length.

    Sorted by target length into about sqrt(batches) bands, within a band by source length, so
    that little is padded on either side.
    """
    bands = max(1, round(batches**0.5))
    while batches % bands:
        bands -= 1
    by_target = sorted(rows, key=lambda row: (len(row.target), len(row.source)))
    out: list[list[Row]] = []
    for band in split(by_target, bands):
        out += split(sorted(band, key=lambda row: len(row.source)), batches // bands)
    return out


def split(rows: list[Row], parts: int) -> list[list[Row]]:
    """``rows`` cut into ``parts`` runs whose sizes differ by at most one."""
    edges = [len(rows) * i // parts for i in range(parts + 1)]
    return [rows[a:b] for a, b in itertools.pairwise(edges)]


class Pools:
    """The rows of every group at every step: a function of the seed, the group and the step."""

    def __init__(self, mixture: Mixture, recipe: Recipe) -> None:
        self.mixture, self.recipe = mixture, recipe
        self.drawn: dict[str, tuple[int, list[list[Row]]]] = {}

    def rows(self, name: str, step: int) -> list[Row]:
        """The rows of group ``name`` at ``step``, of like lengths.

        Rows are drawn for ``recipe.pool`` steps at once, sorted, dealt out and shuffled.
        """
        number, turn = divmod(step, self.recipe.pool)
        if name not in self.drawn or self.drawn[name][0] != number:
            group, place = self.recipe.groups[name], list(self.recipe.groups).index(name)
            rng = np.random.default_rng([self.recipe.seed, DATA_STREAM, place, number])
            rows = self.mixture.rows(group.kinds, rng, group.rows * self.recipe.pool)
            batches = deal(rows, self.recipe.pool)
            order = rng.permutation(len(batches))
            self.drawn[name] = (number, [batches[int(i)] for i in order])
        return self.drawn[name][1][turn]
