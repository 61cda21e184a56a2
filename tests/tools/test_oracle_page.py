"""The table of written rows beside true ones, from cells made by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tools import oracle_page
from tools.oracle_page import oracle_table, share_of_gain

_HEADS = {"tfidf": 0.4, "tfidf+written": 0.5, "embeddings": 0.6, "embeddings+written": 0.55}
_PRODUCTS = {"embeddings+states": 0.9, "cross-encoder+alignment": 0.8}
_WITH = {"cross-encoder+alignment+written": 0.7}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(oracle_page, "CELLS", tmp_path)
    return tmp_path


def _write(folder: Path, method: str, seed: int, cell: object) -> None:
    place = folder / "sick" / f"{method}-{seed}.json"
    place.parent.mkdir(exist_ok=True)
    place.write_text(json.dumps(cell), "utf-8")


def _draw(folder: Path, seed: int, prompt: float, true: float | None) -> None:
    found = {"baseline": 0.5, "prompt": prompt, **_HEADS, **_PRODUCTS, **_WITH}
    candidates = [{"name": name, "test_accuracy": value} for name, value in found.items()]
    details = {"candidates": candidates, "written": {"kept": 2, "attempted": 1300}}
    _write(folder, "dawgen-shipped", seed, {"details": details})
    if true is not None:
        _write(folder, "true-rows", seed, {"accuracy": true})


def test_a_draw_has_each_classifier_and_the_product_that_was_tried_with_written_rows(
    folder: Path,
) -> None:
    _draw(folder, 13, 0.6, 0.7)
    _draw(folder, 21, 0.45, None)
    first, second = list(oracle_table())[2:]
    assert "| 13 | 50.0 → 60.0 | 70.0 | 40.0 → 50.0 | 60.0 → 55.0 | 80.0 → 70.0 |" in first
    assert "| 21 | 50.0 → 45.0 |  |" in second
    assert second.endswith("| 2 of 1,300 |")


def test_written_rows_are_told_as_a_share_of_what_true_rows_bring(folder: Path) -> None:
    for seed, prompt in ((1, 0.60), (2, 0.50), (3, 0.55)):
        _draw(folder, seed, prompt, 0.7)
    _draw(folder, 4, 0.1, None)  # no true rows, so no part of the mean
    (line,) = share_of_gain()
    assert line.startswith("Mean of 3 draws: 50.0 % with the shots alone; ")
    assert line.endswith("960 true rows bring +20.0 points, written rows +5.0, 25% of it.")


def test_where_true_rows_bring_nothing_there_is_no_share(folder: Path) -> None:
    for seed in (1, 2, 3):
        _draw(folder, seed, 0.6, 0.5)
    (line,) = share_of_gain()
    assert line.endswith("true rows bring +0.0 points, written rows +10.0.")


def test_few_draws_say_nothing_of_a_share(folder: Path) -> None:
    _draw(folder, 1, 0.6, 0.7)
    assert list(share_of_gain()) == []
