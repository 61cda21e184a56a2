"""What the generator is tuned on, and batches that hold every label."""

from __future__ import annotations

from collections import Counter

import pytest

from dawgen.backbone import Backbone
from dawgen.decoding.base import Request, encode_sources
from dawgen.errors import UserError
from dawgen.generator.examples import (
    MOST_COMPARED,
    Example,
    Shot,
    epoch_batches,
    label_groups,
    make_shots,
    steps_per_epoch,
)
from dawgen.streams import Streams
from dawgen.tasks import Row, load_card

ROWS = [
    Row("a man runs", "a man is outside", "entailment"),
    Row("two dog", "it was boring", "neutral"),
    Row("a cat eats", "no cat eats", "contradiction"),
]


def encode(backbone: Backbone, rows: list[Row], card: str = "sick", **options) -> list[Shot]:
    given = {"prompt_length": 4, "max_length": 20, "write_first": False, **options}
    return make_shots(load_card(card), rows, backbone, **given)


def test_a_pair_reads_text1_and_writes_text2(tiny_bart: Backbone) -> None:
    shots = encode(tiny_bart, ROWS)
    assert [(s.row, s.label) for s in shots] == [(0, 0), (1, 1), (2, 2)]
    source = tiny_bart.encode_source("two dog", 4)
    target = [*tiny_bart.text_ids("it was boring"), tiny_bart.end_id]
    assert shots[1].examples == (Example(source, target),)


def test_writing_first_sentences_adds_them_from_an_empty_source(tiny_bart: Backbone) -> None:
    first, second = encode(tiny_bart, ROWS, write_first=True)[0].examples
    assert first.source == tiny_bart.encode_source("", 4)
    assert first.target == tiny_bart.encode_target("a man runs")
    assert second == encode(tiny_bart, ROWS)[0].examples[0]


@pytest.mark.parametrize("write_first", [False, True])
def test_a_single_sentence_is_written_from_nothing(tiny_bart: Backbone, write_first: bool) -> None:
    rows = [Row("good film", None, "positive"), Row("bad film", None, "negative")]
    shots = encode(tiny_bart, rows, "sst2", write_first=write_first)
    only = Example(tiny_bart.encode_source("", 4), tiny_bart.encode_target("good film"))
    assert shots[0].examples == (only,)


@pytest.mark.parametrize("name", ["tiny_bart", "tiny_t5", "tiny_gpt2"])
def test_first_texts_that_are_cut_are_told_at_tuning_and_at_writing(
    name: str,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Once each; a text that just fits is not cut."""
    backbone: Backbone = request.getfixturevalue(name)
    monkeypatch.setattr(backbone, "_told", set())
    words = 20
    whole = len(backbone.encode_source("a " * words, 4))
    fits = whole if backbone.is_encoder_decoder else 2 * len(backbone.text_ids("a " * words))
    monkeypatch.setattr(backbone, "max_length", 4 + fits)
    rows = [*ROWS, Row("a " * words, "two dog", "neutral")]
    long = [Row("a " * (words + 2), "two dog", "neutral")] * 2

    def write(*sources: str) -> None:
        encode_sources(backbone, [Request(text, 0, 0) for text in sources], 4)

    encode(backbone, rows, max_length=60)
    encode(backbone, [*rows, *long], max_length=60, tell=False)
    write("a " * words)
    assert capsys.readouterr().err == ""
    encode(backbone, [*rows, *long], max_length=60)
    encode(backbone, [*rows, *long], max_length=60)
    told = capsys.readouterr().err
    assert told.startswith("warning: generator tuning: 2 of 6 first texts are longer than ")
    assert len(told.splitlines()) == 1
    write("a dog", long[0].text1)
    write(long[0].text1)
    told = capsys.readouterr().err
    assert told.startswith("warning: writing: 1 of 2 first texts are longer than backbone.max_len")
    assert len(told.splitlines()) == 1


def test_rows_with_long_texts_are_left_out_whole(
    tiny_bart: Backbone, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [*ROWS, Row("two dog", "yes " * 5, "neutral"), Row("yes " * 5, "two", "neutral")]
    shots = encode(tiny_bart, rows, max_length=5)
    assert [s.row for s in shots] == [0, 1, 2, 4]  # 5 words and the end mark are 6 tokens
    assert "1 of 5 few shots are longer" in capsys.readouterr().err
    shots = encode(tiny_bart, rows, max_length=5, write_first=True)
    assert [s.row for s in shots] == [0, 1, 2]
    with pytest.raises(UserError, match="no row for 'contradiction'"):
        encode(tiny_bart, [*ROWS[:2], Row("a", "no " * 9, "contradiction")], max_length=5)


def plain_shots(*counts: int) -> list[Shot]:
    labels = [c for c, count in enumerate(counts) for _ in range(count)]
    return [Shot(i, label, (Example([1], [2]),)) for i, label in enumerate(labels)]


def test_every_batch_holds_every_label_and_every_row_comes_once() -> None:
    shots = plain_shots(5, 5, 5)
    batches = list(epoch_batches(shots, 2, Streams(0), 0))
    assert len(batches) == steps_per_epoch(shots, 2) == 2
    for batch, size in zip(batches, (2, 3), strict=True):  # a row left over is not alone
        assert Counter(batch.shot_labels.tolist()) == {0: size, 1: size, 2: size}
    seen = [shot.row for batch in batches for shot in batch.shots]
    assert sorted(seen) == list(range(15))


@pytest.mark.parametrize(
    ("rows", "batch_size", "sizes"),
    [(1, 2, [1]), (2, 2, [2]), (3, 2, [3]), (3, 1, [1, 1, 1]), (9, 4, [4, 5]), (10, 4, [4, 4, 2])],
)
def test_no_batch_is_left_with_one_row_per_label(rows, batch_size, sizes) -> None:
    shots = plain_shots(rows, rows)
    batches = list(epoch_batches(shots, batch_size, Streams(0), 0))
    assert [len(batch.shots) // 2 for batch in batches] == sizes
    assert len(batches) == steps_per_epoch(shots, batch_size)


def test_many_labels_are_compared_in_parts_that_change_from_pass_to_pass() -> None:
    """Time grows with the labels, not with their square; no label is ever alone."""
    shots = plain_shots(*[4] * 20)
    passes = [list(epoch_batches(shots, 2, Streams(0), epoch)) for epoch in (0, 1)]
    for batches in passes:
        assert len(batches) == steps_per_epoch(shots, 2) == 6
        assert sorted(shot.row for batch in batches for shot in batch.shots) == list(range(80))
        for batch in batches:
            counts = Counter(batch.shot_labels.tolist())
            assert 6 <= len(counts) <= MOST_COMPARED
            assert set(counts.values()) == {2}
    first, second = ({tuple(b.shot_labels.tolist()) for b in batches} for batches in passes)
    assert len(first) == 3  # a pass goes twice through the same parts
    assert not first & second
    assert [len(group) for group in label_groups(range(77))] == [8] * 7 + [7] * 3
    assert label_groups(range(8)) == [list(range(8))]


def test_a_small_label_goes_round_again() -> None:
    shots = plain_shots(5, 2)
    seen = Counter(s.row for b in epoch_batches(shots, 2, Streams(0), 0) for s in b.shots)
    assert [seen[i] for i in range(5)] == [1] * 5
    assert sorted(seen[i] for i in (5, 6)) == [2, 3]


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    shots = plain_shots(8, 8)

    def rows(seed: int, epoch: int) -> list[int]:
        return [s.row for b in epoch_batches(shots, 4, Streams(seed), epoch) for s in b.shots]

    assert rows(1, 3) == rows(1, 3)
    assert rows(1, 3) != rows(1, 4)
    assert rows(1, 3) != rows(2, 3)
