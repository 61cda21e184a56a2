"""Joining the arms' rows and cutting them into pieces."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from dawgen.tasks import Row, load_card
from dawgen.tuning.combine import Draw
from dawgen.tuning.rows import EncodedRows, encode, join, pieces


def encoded(*ids: list[int], labels: list[int]) -> EncodedRows:
    return EncodedRows(list(ids), torch.eye(2)[labels])


def test_rows_join_with_their_copy_weight_and_target():
    real = encoded([1], [2], [3], labels=[0, 1, 1])
    synthetic = encoded([4], [5], labels=[1, 0])
    draws = [Draw([2, 0], [1], 1.0, 1.0), Draw([1], [], 1.0, 0.0)]
    rows = join(draws, [real, real], [synthetic, synthetic], [0.2, 0.0])
    assert rows.ids == [[3], [1], [2], [5]]
    assert rows.copy.tolist() == [0, 0, 1, 2]  # arm 0 real, arm 1 real, arm 0 synthetic (2 + 0)
    assert rows.weight.tolist() == [0.5, 0.5, 1.0, 1.0]
    # smoothing 0.2 over two labels: (1 - 0.2)·1 + 0.1 and 0.1, on synthetic rows only
    torch.testing.assert_close(
        rows.targets, torch.tensor([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0], [0.9, 0.1]])
    )


def test_encoding_numbers_the_labels_in_the_cards_order(tiny_bart):
    card = load_card("sick")
    rows = [Row("a man runs", "a dog runs", label) for label in ("contradiction", "entailment")]
    result = encode(card, rows, tiny_bart, 4)
    assert result.targets.tolist() == [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    assert result.ids == tiny_bart.encode_rows(card, rows, 4)
    assert len(encode(card, [], tiny_bart, 4)) == 0


def test_a_row_without_label_is_refused(tiny_bart):
    with pytest.raises(ValueError, match="without label"):
        encode(load_card("sick"), [Row("a", "b", None)], tiny_bart, 4)


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
