"""How right written rows are by a judge, and the page that shows some of them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dawgen.selection.parts import Models
from dawgen.settings.layers import build_settings
from dawgen.synthesis import SyntheticRow
from dawgen.tasks import Row, load_card
from tests.methods.small import pair_card, pair_rows
from tests.selection.conftest import encoder_folder
from tools.judged_rows import Judge, agreement, true_rows
from tools.rows_page import SHOWN, drawn, plain, section

__all__ = ["encoder_folder"]


def test_agreement_is_by_label_too() -> None:
    card = pair_card()
    one, other = card.labels[:2]
    rows = [Row("a", "b", one), Row("a", "c", one), Row("a", "d", other)]
    found = np.zeros((3, len(card.labels)), np.float32)
    found[[0, 1, 2], [0, 1, 1]] = 1.0
    shares = {"right": pytest.approx(2 / 3, abs=1e-4), "by_label": {one: 0.5, other: 1.0}}
    assert agreement(card, rows, found) == {"rows": 3, **shares}


def test_a_judge_of_pairs_reads_vectors_and_words(encoder_folder: Path) -> None:
    card = pair_card()
    models = Models(card, build_settings(overrides=[f"selection.encoder={encoder_folder}"])[0])
    judge = Judge(card, pair_rows(40, 1), models)
    found = judge(pair_rows(10, 2))
    assert found.shape[1] == len(card.labels)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)
    assert [training.matrix.shape[1] for training, _ in judge._parts] == [10, 4 * 16]


def test_true_rows_are_spread_over_the_file(tmp_path: Path) -> None:
    card = load_card("sick")
    (tmp_path / "sick").mkdir()
    lines = [
        json.dumps({"text1": f"a {n}", "text2": f"b {n}", "label": card.labels[0]})
        for n in range(9)
    ]
    (tmp_path / "sick" / "train.jsonl").write_text("\n".join(lines) + "\n")
    found = true_rows(tmp_path, card, "train", 3)
    assert [row.text1 for row in found] == ["a 0", "a 4", "a 8"]


def test_a_page_shows_the_same_rows_as_they_are() -> None:
    card = load_card("sick")
    rows = [SyntheticRow(f"first | {n}", "<b>no</b>\n*", card.labels[n % 3]) for n in range(40)]
    shown = drawn(rows, card.name)
    assert len(shown) == SHOWN
    assert shown == drawn(rows, card.name)
    assert shown != rows[:SHOWN]
    judged = {"right": 0.5, "judge_right": 0.875, "by_label": {"entailment": 0.25}}
    lines = list(section(card, rows, judged))
    assert (
        "40 rows. The judge gives 50.0 % their label (entailment 25), and is right on 87.5 %"
        in (lines[1])
    )
    row = shown[0]
    assert lines[4] == (f"| {row.label} | {plain(row.text1)} | &lt;b&gt;no&lt;/b&gt; &#42; |")
    assert "judge" not in list(section(card, rows, None))[1]
