"""Keys and values in place, against transformers' own layer that copies."""

from __future__ import annotations

import math

import torch
from transformers.cache_utils import DynamicLayer

from dawgen.decoding.cache import InPlaceCache, InPlaceLayer, most_columns
from dawgen.decoding.transformers import _fill_from_the_end


def states(rows: int, columns: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(rows, 2, columns, 4), torch.randn(rows, 2, columns, 4)


def test_it_holds_what_a_copying_layer_holds():
    torch.manual_seed(0)
    ours, theirs = InPlaceLayer(columns=9), DynamicLayer()
    steps = [(3, 4, None), (3, 1, [0, 1, 1, 2, 0]), (5, 2, [0, 4, 2]), (3, 1, [2, 0])]
    for rows, columns, kept in steps:
        new = states(rows, columns)
        shown, held = ours.update(*new), theirs.update(*new)
        assert all(torch.equal(a, b) for a, b in zip(shown, held, strict=True))
        if kept is not None:
            for layer in (ours, theirs):
                layer.batch_select_indices(torch.tensor(kept))
            assert torch.equal(ours.keys, theirs.keys)
            assert torch.equal(ours.values, theirs.values)
        assert ours.get_seq_length() == theirs.get_seq_length()
    assert ours.keys.shape == (2, 2, 8, 4)


def test_a_column_is_written_without_moving_the_others():
    layer = InPlaceLayer(columns=3)
    before = layer.update(*states(2, 1))[0].data_ptr()
    assert layer.update(*states(2, 2))[0].data_ptr() == before


def test_every_layer_has_room_of_its_own():
    cache = InPlaceCache(columns=2)
    for layer in range(2):
        cache.update(*states(1, 1), layer)
    assert cache.layers[0].keys.data_ptr() != cache.layers[1].keys.data_ptr()


def test_the_last_rows_take_the_places_of_finished_ones():
    going = torch.tensor([True, False, True, False, False, True])
    assert _fill_from_the_end(going).tolist() == [0, 5, 2]
    assert _fill_from_the_end(torch.tensor([False, True])).tolist() == [1]
    assert _fill_from_the_end(torch.tensor([True, True])).tolist() == [0, 1]


def test_how_many_columns_stay_in_place(tiny_gpt2, tiny_gemma, sliding):
    """All where nothing slides, else the narrowest window, beside layers that see all."""
    assert most_columns(tiny_gpt2.model) == math.inf
    assert most_columns(tiny_gemma.model) == 16
    assert most_columns(sliding.model) == 4
