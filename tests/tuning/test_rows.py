"""Joining the arms' rows."""

from __future__ import annotations

import pytest
import torch

from dawgen.tasks import Row, load_card
from dawgen.tuning.combine import Draw
from dawgen.tuning.rows import EncodedRows, encode, join


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


def test_by_macro_f1_a_row_of_a_rare_label_weighs_more():
    rows = EncodedRows([[1], [2], [3], [4]], torch.eye(2)[[0, 0, 0, 1]], "macro-f1")
    joined = join([Draw([0, 3], [], 1.0, 0.0)], [rows], [encoded(labels=[])], [0.0])
    torch.testing.assert_close(joined.weight, torch.tensor([4 / 6 / 2, 2 / 2]))
