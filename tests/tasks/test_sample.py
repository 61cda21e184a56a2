"""The k-shot sampler: counts, disjointness, seeds and refusals, over many random pools."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from dawgen.errors import UserError
from dawgen.tasks import Row, TaskCard, check_shots, load_card, row_key, sample_shots, text_key

SICK = load_card("sick")


def random_pool(rng: np.random.Generator, shots: int) -> list[Row]:
    """Enough different rows of every label, duplicates in other clothes among them, shuffled."""
    rows = []
    for label in SICK.labels:
        for i in range(2 * shots + int(rng.integers(0, 5))):
            rows.append(Row(f"{label} premise {i} .", f"It 's number {i}", label))
    for i in rng.integers(0, len(rows), size=10):
        row = rows[i]
        rows.append(Row(row.text1.upper().replace(" .", "."), str(row.text2) + "  ", row.label))
    return [rows[i] for i in rng.permutation(len(rows))]


@pytest.mark.parametrize("case", range(25))
def test_a_draw_is_balanced_disjoint_from_the_pool_and_by_seed(case: int) -> None:
    rng = np.random.default_rng(case)
    shots = int(rng.integers(1, 20))
    pool = random_pool(rng, shots)
    train, dev = sample_shots(SICK, pool, shots, seed=case)
    wanted = dict.fromkeys(SICK.labels, shots)
    assert Counter(row.label for row in train) == wanted
    assert Counter(row.label for row in dev) == wanted
    keys = [row_key(row) for row in train + dev]
    assert len(set(keys)) == len(keys)
    assert set(train + dev) <= set(pool)
    again = sample_shots(SICK, pool, shots, seed=case)
    assert (again.train, again.dev) == (train, dev)


def test_seeds_draw_differently_and_reach_every_row() -> None:
    pool = [Row(f"{label} {i}", "x", label) for label in SICK.labels for i in range(8)]
    draws = [sample_shots(SICK, pool, 2, seed) for seed in range(60)]
    assert len({tuple(draw.train) for draw in draws}) > 50
    assert {row for draw in draws for row in draw.train} == set(pool)
    assert {row for draw in draws for row in draw.dev} == set(pool)


def test_more_rows_of_one_label_change_no_other_labels_draw() -> None:
    pool = [Row(f"{label} {i}", "x", label) for label in SICK.labels for i in range(8)]
    more = [*pool, *(Row(f"new {i}", "x", "neutral") for i in range(30))]

    def others(rows: list[Row]) -> list[Row]:
        return [row for row in rows if row.label != "neutral"]

    before, after = (sample_shots(SICK, rows, 3, seed=5) for rows in (pool, more))
    assert others(before.train) == others(after.train)
    assert others(before.dev) == others(after.dev)
    assert before.train != after.train


def test_too_few_rows_are_refused_with_label_and_numbers() -> None:
    pool = [Row(f"{label} {i}", "x", label) for label in SICK.labels for i in range(8)]
    assert len(sample_shots(SICK, pool, 4, seed=0).train) == 12
    short = pool[:-1]
    with pytest.raises(
        UserError, match=r"only 7 .* 'contradiction', but 4 for .* need 8; .* shots=3"
    ):
        sample_shots(SICK, short, 4, seed=0)
    copy = [*short, Row("CONTRADICTION  0", " x ", "contradiction")]
    with pytest.raises(UserError, match="has only 7 different rows"):
        sample_shots(SICK, copy, 4, seed=0)


def test_unlabelled_rows_are_not_drawn() -> None:
    pool = [Row(f"{label} {i}", "x", label) for label in SICK.labels for i in range(2)]
    bare = [Row(f"bare {i}", "x", None) for i in range(50)]
    train, dev = sample_shots(SICK, [*bare, *pool], 1, seed=3)
    assert set(train + dev) == set(pool)


def test_text_keys() -> None:
    assert text_key("Hello , World .") == text_key("hello, world.")
    assert text_key("I do n't “care” ''") == text_key('I don’t "care" "')
    assert text_key("ﬁne\u00a0day") == text_key("fine day")
    assert text_key("a cat") != text_key("a hat")
    assert row_key(Row("a", "b", "x")) == row_key(Row("A", "b", None))
    assert row_key(Row("a", "b", None)) != row_key(Row("b", "a", None))
    assert row_key(Row("ab", None, None)) != row_key(Row("a", "b", None))


def shots_of(card: TaskCard, **counts: int) -> list[Row]:
    return [Row(f"{label} {i}", "x", label) for label, n in counts.items() for i in range(n)]


def test_given_shots_are_checked() -> None:
    check_shots(SICK, shots_of(SICK, entailment=4, neutral=4, contradiction=5), 4)
    check_shots(SICK, shots_of(SICK, entailment=1, neutral=1, contradiction=1))
    with pytest.raises(UserError, match=r"^t.csv has rows of one label only, 'neutral'"):
        check_shots(SICK, shots_of(SICK, neutral=40), 4, name="t.csv")
    with pytest.raises(UserError, match="no row with the label 'entailment'"):
        check_shots(SICK, shots_of(SICK, neutral=40, contradiction=9), 4)
    with pytest.raises(UserError, match=r"3 rows of label 'neutral', fewer than the 4 that"):
        check_shots(SICK, shots_of(SICK, entailment=4, neutral=3, contradiction=5), 4)
