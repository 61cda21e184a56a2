"""Oracles: true rows of the pool, none that is known already."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from dawgen.backbone import Backbone
from dawgen.errors import UserError
from dawgen.methods import METHODS, PREPARED
from dawgen.methods.true_rows import drawn
from dawgen.streams import Streams
from tests.methods.toy_pairs import pair_rows, small, three_way, toy_shots, toy_task


def test_each_label_has_its_rows_and_none_is_a_shot_or_a_test_row(
    tmp_path: Path, tiny_bart: Backbone
) -> None:
    card = three_way()
    shots, task = toy_shots(card), toy_task(tmp_path, card)
    known = [*shots.train, *shots.dev, *pair_rows(card, 10, 3)]
    task = replace(task, pool=[*known, *pair_rows(card, 60, 7)])
    job = PREPARED["true-rows-16"](task, shots, tiny_bart, small(), Streams(13))
    assert Counter(row.label for row in job.synthetic) == dict.fromkeys(card.labels, 16)
    assert not {(r.text1, r.text2) for r in job.synthetic} & {(r.text1, r.text2) for r in known}
    assert (job.train, job.dev, job.arm.combine) == (shots.train, shots.dev, "surgery")
    few = PREPARED["true-rows"](task, shots, tiny_bart, small(), Streams(13))
    assert len(few.synthetic) == 60  # 960 are not there


def test_the_draw_is_the_seeds_own() -> None:
    card = three_way()
    pool = pair_rows(card, 60, 7)
    one, same, other = (
        drawn(pool, [], card.labels, 4, Streams(seed).numpy("any")) for seed in (1, 1, 2)
    )
    assert one == same != other
    assert {row.label for row in other} == {*card.labels}


def test_without_a_pool_there_is_no_oracle(tmp_path: Path, tiny_bart: Backbone) -> None:
    card = three_way()
    with pytest.raises(UserError, match=r"only a grid has"):
        METHODS["true-rows"](
            toy_task(tmp_path, card), toy_shots(card), tiny_bart, small(), Streams(1)
        )
