"""Counted work against PyTorch's own counter of FLOPs, and by hand."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from dawgen.backbone import Backbone
from dawgen.backbone import linear as products
from dawgen.backbone.counting import peak_flops
from dawgen.backbone.shape import Shape, Work, shape_of


@pytest.fixture(params=["tiny_bart", "tiny_t5", "tiny_gpt2"])
def backbone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Backbone]:
    """With products that PyTorch's counter knows."""
    found: Backbone = request.getfixturevalue(request.param)
    monkeypatch.setattr(products, "onednn_is_faster", lambda: False)
    with found.eager_attention():
        yield found


def counted(call) -> int:
    with FlopCounterMode(display=False) as counter:
        call()
    return int(counter.get_total_flops())


def test_forward_is_what_pytorch_counts(backbone: Backbone) -> None:
    shape, prompts = shape_of(backbone), torch.zeros(1, 4, 32)
    source, target = [5] * 7, [6] * 9
    with torch.no_grad():
        found = counted(lambda: backbone.token_log_probs(prompts, [source], [target]))
    lead = len(backbone.decoder_start) if backbone.is_encoder_decoder else 0
    work = shape.forward(4 + 7, 9 + lead, 9)
    assert work.flops == found
    assert work.tokens == 4 + 7 + 9 + lead


def test_forward_and_backward_are_what_pytorch_counts(backbone: Backbone) -> None:
    """Together: the head's part of the backward pass is computed with the forward pass."""
    shape, prompts = shape_of(backbone), torch.zeros(1, 4, 32).requires_grad_()

    def both() -> None:
        backbone.token_log_probs(prompts, [[5] * 7], [[6] * 9]).log_probs.sum().backward()

    found = counted(both)
    lead = len(backbone.decoder_start) if backbone.is_encoder_decoder else 0
    sizes = (4 + 7, 9 + lead)
    # The decoder's own inputs need no gradient; of two layers that is a seventh, of 24 nothing.
    without_head = shape.forward(*sizes).flops + shape.backward(*sizes).flops
    of_head = shape.forward(*sizes, 9).flops - shape.forward(*sizes).flops
    counted_here = without_head + 2 * of_head
    assert shape.backward(*sizes, 9).flops == shape.backward(*sizes).flops + of_head
    assert found <= counted_here <= found + 0.15 * shape.backward(*sizes).flops


def test_bytes_and_rates_by_hand() -> None:
    # one source token of 10 multiply-adds that moves 6 numbers of 4 bytes; a call of 2,048 tokens
    # reads 4,096 bytes of weights, so a token 2
    shape = Shape(10, 20, 30, 3, 2, 0, (6, 7), weights=4096, itemsize=4, layers=3)
    work = shape.forward(1, 0)
    assert work == Work(1, 2 * 10 + 4 * 2, 6 * 4 + 2)
    assert shape.backward(1, 0) == Work(0, 2 * 10 + 8 * 2, 6 * 4 + 2)
    assert (work + work) * 2.0 == Work(4, 112, 104)
    record = (work * 100).record(seconds=2.0, peak=2800.0)
    assert record["tokens_per_second"] == 50
    assert record["flops_per_second"] == 1400
    assert record["share_of_peak"] == 0.5


def test_peak_is_a_speed_that_a_machine_can_have() -> None:
    assert 1e8 < peak_flops(torch.device("cpu"), torch.float32) < 1e14
