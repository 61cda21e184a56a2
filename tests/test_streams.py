"""Random streams: the same for the same purpose, apart for different ones."""

from __future__ import annotations

import torch

from dawgen.streams import Streams


def test_a_purpose_has_one_stream() -> None:
    assert (
        Streams(13).numpy("tuning", "real").random() == Streams(13).numpy("tuning", "real").random()
    )
    first, second = (torch.rand(3, generator=Streams(13).torch("a")) for _ in range(2))
    assert torch.equal(first, second)


def test_purposes_and_seeds_are_apart() -> None:
    drawn = {
        Streams(13).seed("a"),
        Streams(13).seed("b"),
        Streams(21).seed("a"),
        Streams(13).seed("a", "b"),
        Streams(13).seed("ab"),
    }
    assert len(drawn) == 5


def test_torch_itself_is_not_seeded() -> None:
    before = torch.get_rng_state()
    Streams(13).torch("a")
    assert torch.equal(before, torch.get_rng_state())
