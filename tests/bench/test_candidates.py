"""A product of heads that a cell of ``benchmarks.candidates`` has already is computed from them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.candidates import multiplied, read_cell, summary
from dawgen.selection.pool import exponents, product


def test_heads_of_a_cell_are_multiplied_as_those_of_a_run() -> None:
    made = np.random.default_rng(1)
    gold = np.repeat([0, 1], 20)

    def chances(rows: int) -> list[list[float]]:
        yes = made.uniform(0.1, 0.9, rows)
        return np.stack([yes, 1 - yes], axis=1).round(4).tolist()

    heads = ("alignment", "cross-encoder")
    cell: dict[str, Any] = {n: {"held_out": chances(40), "test": chances(10)} for n in heads}
    cell |= {"gold": gold.tolist(), "test": [0, 1] * 5}
    found = multiplied(cell, "cross-encoder+alignment")
    assert found is not None
    ours, theirs = (
        [np.array(cell[name][part], np.float32) for name in reversed(heads)]
        for part in ("held_out", "test")
    )
    expected = product(theirs, exponents(ours, gold, "accuracy"))
    np.testing.assert_allclose(found["test"], expected, atol=1e-4)
    leads = {
        each.name: each.leads for each in read_cell(cell | {"cross-encoder+alignment": found})[0]
    }
    assert leads == {"alignment": 0, "cross-encoder": 0, "cross-encoder+alignment": 2, "average": 0}


def test_what_a_cell_lacks_is_measured() -> None:
    cell: dict[str, Any] = {"gold": [0, 1], "alignment": {}, "cross-encoder": {}}
    assert multiplied(cell, "embeddings+states") is None  # neither is there
    assert multiplied(cell, "cross-encoder") is None  # of one head
    assert multiplied(cell, "prompt") is None


def test_a_summary_says_what_a_run_ships(tmp_path: Path) -> None:
    """What leads, also where another head is as good, but not where that is better beyond doubt."""
    gold = [0, 1] * 10
    right = [[0.9, 0.1], [0.1, 0.9]] * 10
    wrong = [[0.4, 0.6], [0.6, 0.4]] * 10
    for task, product_of_heads in (("equal", right), ("worse", wrong)):
        cell = {
            "tfidf": {"held_out": right, "test": wrong},
            "embeddings+states": {"held_out": product_of_heads, "test": right},
            "gold": gold,
            "test": gold,
        }
        (tmp_path / f"{task}-13.json").write_text(json.dumps(cell))
    tasks = summary(sorted(tmp_path.glob("*.json")))["tasks"]
    led = {"name": "embeddings+states", "held_out": 1.0, "test": 1.0}
    assert tasks["equal"]["13"]["ships"] == led
    assert tasks["worse"]["13"]["ships"] == {"name": "tfidf", "held_out": 1.0, "test": 0.0}
