"""Which rows the arms of the analysis learn from."""

from __future__ import annotations

from dawgen.settings.layers import build_settings
from dawgen.synthesis import SyntheticRow
from dawgen.tasks import Row
from tools.drivers import arms, first, surest, true_rows, unseen

ROWS = [
    SyntheticRow("a", "1", "yes", label_ratio=0.5, first_sentence="shots:0"),
    SyntheticRow("b", "2", "no", label_ratio=0.9, first_sentence="shots:0"),
    SyntheticRow("c", "3", "yes", label_ratio=0.8, first_sentence="shots:0"),
    SyntheticRow("d", "4", "no", label_ratio=0.2, first_sentence="shots:0"),
    SyntheticRow("e", "5", "yes", label_ratio=0.7, first_sentence="shots:0"),
]


def texts(rows) -> list[str]:
    return [row.text1 for row in rows]


def test_the_first_and_the_surest_of_each_label() -> None:
    assert texts(first(ROWS, 2)) == ["a", "c", "b", "d"]
    assert texts(surest(ROWS, 2)) == ["c", "e", "b", "d"]
    assert texts(surest(ROWS, 1)) == ["c", "b"]


def test_true_rows_are_as_many_a_label_and_the_seeds() -> None:
    pool = [Row(str(i), "x", "yes" if i % 3 else "no") for i in range(30)]
    rows = true_rows(pool, ["yes", "no"], 4, 1)
    assert [row.label for row in rows] == ["yes"] * 4 + ["no"] * 4
    assert len(set(texts(rows))) == 8
    assert true_rows(pool, ["yes", "no"], 4, 1) == rows
    assert true_rows(pool, ["yes", "no"], 4, 2) != rows


def test_unseen_rows_share_no_pair_of_texts() -> None:
    rows = [Row("a", "1", "yes"), Row("a", "2", "no"), Row("b", "1", "yes")]
    assert unseen(rows, [Row("a", "1", "no")], [Row("b", "1", "yes")]) == [rows[1]]


def test_arms_differ_from_the_settings_in_one_thing() -> None:
    settings, _ = build_settings()
    named = arms(settings, ROWS, [])
    usual = settings.tuning
    for name, (arm, rows) in named.items():
        changed = (arm.epsilon != usual.epsilon) + (arm.learning_rate != usual.learning_rate)
        assert changed == (("ε" in name) or ("rate " in name)), name
        assert (arm.combine == "real") == name.startswith("real rows alone"), name
        assert bool(rows) == (not name.startswith("real") and "pool" not in name), name
