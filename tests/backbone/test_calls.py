"""Rows cut into calls."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from dawgen.backbone.calls import pieces, runs, tokens_at_once


def test_a_processor_is_given_what_its_cache_holds_and_a_gpu_what_is_asked() -> None:
    assert tokens_at_once(torch.device("cpu"), 8192) == 2048
    assert tokens_at_once(torch.device("cpu"), 100) == 100
    assert tokens_at_once(torch.device("cuda"), 8192) == 8192


class TestPieces:
    def test_worked_by_hand(self):
        # whole: 5 + 4·9 = 41; cut 2|2: (5 + 2·3) + (5 + 2·9) = 34; 3|1: (5 + 3·8) + 14 = 43
        assert pieces([9, 3, 8, 3], call_cost=5, most=100) == [[1, 3], [2, 0]]

    def test_a_dear_call_is_made_once(self):
        assert pieces([9, 3, 8, 3], call_cost=1000, most=1000) == [[1, 3, 2, 0]]

    def test_no_piece_is_larger_than_asked_unless_a_single_row_is(self):
        lengths = [*np.random.default_rng(0).integers(5, 60, 40).tolist(), 200]
        cut = pieces(lengths, call_cost=1000, most=120)
        assert sorted(itertools.chain(*cut)) == list(range(41))
        sizes = [len(piece) * max(lengths[row] for row in piece) for piece in cut]
        assert [size for size in sizes if size > 120] == [200]

    @pytest.mark.parametrize("seed", range(5))
    def test_the_cheapest_of_all_cuts(self, seed):
        lengths = np.random.default_rng(seed).integers(3, 30, 9).tolist()
        ordered = sorted(lengths)

        def cost(cuts: tuple[int, ...]) -> float:
            edges = [0, *cuts, 9]
            groups = [ordered[a:b] for a, b in itertools.pairwise(edges)]
            if any(len(g) > 1 and len(g) * g[-1] > 90 for g in groups):
                return float("inf")
            return sum(7 + len(g) * g[-1] for g in groups)

        cheapest = min(cost(c) for k in range(9) for c in itertools.combinations(range(1, 9), k))
        found = pieces(lengths, call_cost=7, most=90)
        assert sum(7 + len(p) * max(lengths[r] for r in p) for p in found) == cheapest

    def test_nothing_to_cut(self):
        assert pieces([], call_cost=1, most=1) == []

    def test_sources_and_targets_are_padded_apart(self):
        # whole: 4 + 2·(5 + 5) = 24; each: 2·(4 + 7) = 22; by the sums alone whole: 4 + 2·7 = 18
        assert pieces([(2, 5), (5, 2)], call_cost=4, most=100) == [[0], [1]]
        assert pieces([7, 7], call_cost=4, most=100) == [[0, 1]]


class TestRuns:
    def test_every_row_once_in_calls_of_about_equal_size(self):
        lengths = np.random.default_rng(0).integers(1, 60, size=500).tolist()
        found = runs(lengths, 1000)
        assert sorted(row for call in found for row in call) == list(range(500))
        sizes = [sum(lengths[row] for row in call) for call in found]
        assert len(found) == -(-sum(lengths) // 1000)
        assert max(sizes) <= 1000 + 60
        assert max(sizes) - min(sizes) <= 2 * 60

    def test_as_many_as_run_side_by_side_where_that_is_worth_it(self):
        assert runs([300] * 4, 2048, 2) == [[0, 1], [2, 3]]
        assert runs([30] * 4, 2048, 2) == [[0, 1, 2, 3]]
        assert len(runs([300] * 8, 1000, 2)) == 4

    def test_nothing_and_long_rows(self):
        assert runs([], 100) == []
        assert runs([500, 500], 100) == [[0], [1]]
        assert runs([0, 0], 100) == [[0, 1]]
