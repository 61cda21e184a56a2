"""Rows of the mixture: their form, what they may be made of, and that steps repeat."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from tests.tools.conftest import CARDS
from tools.pretrain import edits, text
from tools.pretrain.batching import Pools, deal, split
from tools.pretrain.mixture import LONGEST_TARGET, PROMPT_LENGTH, Mixture, Row, load_sources
from tools.pretrain.recipe import Group, Recipe


@pytest.fixture(scope="module")
def mixture(start: Path, world: Path) -> Mixture:
    """The mixture over the small world, with one row of self-training."""
    sources = load_sources(world / "data", world / "corpora", CARDS, 1000, None)
    pair = text.Pair("a dog is running.", "an animal is moving.", "entailment")
    sources = replace(sources, written=[("snli", pair)], judged=[("snli", pair)])
    return Mixture(sources, Tokenizer.from_file(str(start / "tokenizer.json")))


def test_every_kind_gives_rows_that_end(mixture: Mixture) -> None:
    """Each kind gives rows; every target ends with one end mark and is not too long."""
    rng = np.random.default_rng(0)
    for name, kind in mixture.kinds.items():
        rows = [row for row in (kind(rng) for _ in range(60)) if row is not None]
        assert rows, name
        for row in rows:
            assert row.target[-1] == mixture.sep, name
            assert mixture.sep not in row.target[:-1], name
            assert len(row.target) <= LONGEST_TARGET + 1, name
            assert row.source.count(mixture.cls) == 1, name
            assert (row.rival is not None) == (name.startswith("write") and name != "write_first")


def test_writing_form(mixture: Mixture, cards: dict[str, text.Card]) -> None:
    """``cycle(label prompt, 20) [CLS] text1 [SEP]`` in, ``text2 [SEP]`` out, and a rival."""
    pair = text.Pair("a man is playing", "a man is not playing", "contradiction")
    found = set()
    for seed in range(40):
        row = mixture.write(cards["mnli"], pair, np.random.default_rng(seed))
        assert row is not None
        assert row.rival is not None
        at = row.source.index(mixture.cls)
        prompt = mixture.ids(cards["mnli"].label_prompts["contradiction"])
        assert at in (PROMPT_LENGTH, len(prompt))
        assert row.source[:at] == [prompt[i % len(prompt)] for i in range(at)]
        assert row.source[at:] == [mixture.cls, *mixture.ids("a man is playing"), mixture.sep]
        assert row.target == [*mixture.ids("a man is not playing."), mixture.sep]
        wrong = tuple(row.rival[: row.rival.index(mixture.cls)][:14])
        found.add(wrong)
    assert len(found) >= 2  # both of the other labels


def test_judging_form(mixture: Mixture, cards: dict[str, text.Card]) -> None:
    """The card's template in, its label word out; some rows behind 20 ordinary pieces."""
    pair = text.Pair("a man is playing.", "a man.", "neutral")
    starts = set()
    for seed in range(40):
        row = mixture.judge(cards["mnli"], pair, np.random.default_rng(seed))
        assert row is not None
        at = row.source.index(mixture.cls)
        starts.add(at)
        filled = "premise: a man is playing. hypothesis: a man. answer:"
        assert row.source[at + 1 : -1] == mixture.ids(filled)
        assert row.target == [*mixture.ids("maybe"), mixture.sep]
    assert starts == {0, PROMPT_LENGTH}


def test_other_labels_are_refused(world: Path) -> None:
    """Only MNLI and QNLI labels may be trained on."""
    for task in ("snli", "sick", "mrpc", "rte", "qqp"):
        with pytest.raises(ValueError, match="never trained on"):
            text.read_training_pairs(world / "data", task)


def test_held_out_lines_are_apart(world: Path) -> None:
    """Training and held-out lines make up the corpus and share nothing."""
    path = world / "corpora" / "captions.txt"
    train, held = text.read_corpus(path), text.read_corpus(path, held_out=True)
    assert not set(train) & set(held)
    assert sorted(train + held) == sorted(text.iter_lines(path))


def test_pools_repeat(mixture: Mixture) -> None:
    """A step's rows are the same whichever steps came before."""
    groups = {"judge": Group(4, {"judge_mnli": 1.0}), "plain": Group(3, {"continue": 1.0})}
    recipe = Recipe(groups, steps=20, decay_from=10, pool=4)
    first, second = Pools(mixture, recipe), Pools(mixture, recipe)
    ordered = [first.rows("judge", step) for step in range(10)]
    assert second.rows("judge", 7) == ordered[7]
    assert second.rows("judge", 2) == ordered[2]
    assert ordered[0] != ordered[1]


def test_deal_keeps_every_row() -> None:
    """Sixteen rows in four batches of four: short targets with short targets."""
    rows = [Row([1] * (i % 5 + 1), [1] * (i + 1)) for i in range(16)]
    batches = deal(rows, 4)
    assert [len(batch) for batch in batches] == [4, 4, 4, 4]
    assert sorted(len(r.target) for b in batches for r in b) == list(range(1, 17))
    assert max(len(r.target) for b in batches[:2] for r in b) == 8
    assert [len(part) for part in split(rows, 3)] == [5, 5, 6]


def test_with_end() -> None:
    """A full stop where there is none, also inside quotes."""
    assert text.with_end("so it is") == "so it is."
    assert text.with_end("so it is,") == "so it is."
    assert text.with_end("is it?") == "is it?"
    assert text.with_end('he said "yes."') == 'he said "yes."'
    assert text.with_end("who are you", "?") == "who are you?"


def test_edits_by_hand() -> None:
    """Edits with one possible outcome."""
    rng = np.random.default_rng(0)
    assert edits.words("It's a 3-0 win, 1,000 times.") == [
        "It's", "a", "3", "-", "0", "win", ",", "1,000", "times", ".",
    ]  # fmt: skip
    assert edits.negate(["he", "is", "here"], rng) == ["he", "is", "not", "here"]
    assert edits.negate(["he", "is", "not", "here"], rng) == ["he", "is", "here"]
    assert edits.widen(["a", "guitar", "."], rng) == ["a", "instrument", "."]
    assert edits.change_number(["no", "number"], rng) is None
    changed = edits.change_number(["in", "1970"], rng)
    assert changed is not None
    assert changed[1] != "1970"
    assert len(changed[1]) == 4
    moved = edits.reorder(["in", "may", ",", "he", "left", "it", "."], rng)
    assert moved == ["he", "left", "it", ",", "in", "may"]
    assert edits.join(["he", "left", ",", "then", "."]) == "he left, then."
