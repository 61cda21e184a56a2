"""What rows of a batch read alike is read once, and changes nothing that they write."""

from __future__ import annotations

from itertools import groupby

import pytest
import torch

from dawgen.backbone import Backbone
from dawgen.backbone.frame import PLAIN
from dawgen.decoding import Decoding, Request, TransformersEngine
from dawgen.decoding.states import CausalState, Source, openings
from tests.synthesis.helpers import next_logits, random_prompts

SHARED = tuple(range(20, 32))
GROUPED: list[Source] = [
    (0, (*SHARED, 7, 8, 9)),
    (1, (*SHARED, 7, 8)),
    (0, (*SHARED, 5)),
    (1, (*SHARED, 4, 4, 4, 4)),
    (0, (50, 51, 52)),
    (0, (*SHARED, 7, 8, 9)),
]


def test_an_opening_is_what_rows_of_a_label_share() -> None:
    assert openings(GROUPED) == [12, 12, 12, 12, 2, 12]


@pytest.mark.parametrize(
    "rows",
    [
        [(0, (1, 2, 3, 4)), (0, (1, 5, 6))],  # they share too little
        [(0, SHARED), (1, SHARED)],  # behind different prompts
        [(0, (*SHARED, 1)), (0, (*SHARED, 2)), (0, ())],  # one has nothing to go on from
        [(0, (1,))],
    ],
)
def test_where_little_is_shared_a_source_is_its_own_opening(rows: list[Source]) -> None:
    assert openings(rows) == [len(ids) for _, ids in rows]


def test_rows_that_are_alike_still_have_something_to_go_on_from() -> None:
    assert openings([(0, SHARED), (0, (*SHARED, 3))]) == [11, 11]


def test_states_are_those_of_one_pass(tiny_llama: Backbone) -> None:
    prompts = random_prompts(tiny_llama, 2)
    engine = TransformersEngine(tiny_llama, prompts, Decoding(frame=PLAIN))
    assert engine.label_prompts is not None
    with torch.inference_mode():
        state = CausalState(tiny_llama, engine.label_prompts, GROUPED, 4)
        at_once = tiny_llama.head.logits(state.first)
        state.keep(torch.tensor([0, 5, 3, 1]))
        then = tiny_llama.head.logits(state.read(torch.tensor([3, 4, 5, 6])))
    for (label, ids), found in zip(GROUPED, at_once, strict=True):
        expected = next_logits(tiny_llama, prompts[label], list(ids), [])
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    for place, token, found in zip((0, 5, 3, 1), (3, 4, 5, 6), then, strict=True):
        label, ids = GROUPED[place]
        expected = next_logits(tiny_llama, prompts[label], list(ids), [token])
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("threads", [1, 2])
def test_texts_behind_turns_are_those_of_a_row_alone(tiny_llama: Backbone, threads: int) -> None:
    """Batches keep rows that share turns together, and run side by side."""
    prompts = random_prompts(tiny_llama, 2)
    decoding = Decoding(max_new_tokens=6, batch_size=5, frame=PLAIN)
    engine = TransformersEngine(tiny_llama, prompts, decoding)
    turns = [((f"a dog runs {n}", "it is old"), ("two cats", "no")) for n in range(3)]
    asked = [
        Request(f"a dog {'sits ' * (n % 4)}", n % 2, n, turns[n % 3] if n % 5 else ())
        for n in range(36)
    ]
    alone = [engine.generate([request])[0] for request in asked]
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        together = engine.generate(asked)
    finally:
        torch.set_num_threads(before)
    assert together == alone
    batches = engine.batches(asked)
    assert max(map(len, batches)) <= 5
    keys = [(asked[i].label, asked[i].turns) for batch in batches for i in batch if asked[i].turns]
    runs = [key for key, _ in groupby(keys)]
    assert len(runs) == len(set(runs)) == 6
