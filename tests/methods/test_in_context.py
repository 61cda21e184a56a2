"""Demonstrations: balanced, as many as fit, in the seed's order, scored as the model scores."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from typing import Any

import numpy as np
import pytest

from dawgen.backbone import Backbone
from dawgen.errors import UserError
from dawgen.methods.in_context import encode_demonstration, in_context
from dawgen.methods.zero_shot import zero_shot
from dawgen.streams import Streams
from dawgen.tasks import Row, Shots
from tests.methods.small import (
    MODELS,
    pair_card,
    pair_shots,
    pair_task,
    reference,
    sentence_shots,
    sentence_task,
    small_settings,
    words_behind,
)
from tests.tuning.toy import toy_card, toy_rows


def demonstration(row: Row) -> str:
    return f"{toy_card().fill(row)} {toy_card().label_words[str(row.label)]}"


@pytest.fixture
def read(tiny_gpt2: Backbone, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs the method; gives back what the model read for each row, as text, and the details."""
    score = tiny_gpt2.label_scores

    def run(rows: Sequence[Row], shots: Shots, seed: int = 13, *overrides: str) -> Any:
        texts: dict[str, str] = {}

        def spy(prompts: Any, inputs: Any, words: Any) -> Any:
            for ids in inputs:
                text = tiny_gpt2.tokenizer.decode(ids)
                texts[text.rpartition("\n")[2]] = text
            return score(prompts, inputs, words)

        monkeypatch.setattr(tiny_gpt2, "label_scores", spy)
        found = in_context(
            sentence_task(rows), shots, tiny_gpt2, small_settings(*overrides), Streams(seed)
        )
        return [texts[toy_card().fill(row)] for row in rows], found.details

    return run


@pytest.mark.parametrize("name", [*MODELS, "tiny_llama"])
def test_scores_are_those_of_plain_transformers(name: str, request: Any) -> None:
    """Of all orders of four demonstrations one explains the scores, and it is balanced."""
    backbone: Backbone = request.getfixturevalue(name)
    task = sentence_task(toy_rows(2, seed=5))
    shots = Shots([Row("good", None, "positive"), Row("funny dog", None, "positive")], [])
    shots.train.extend([Row("bad", None, "negative"), Row("boring cat", None, "negative")])
    found = in_context(task, shots, backbone, small_settings(), Streams(13))
    line = " " if backbone.is_encoder_decoder else "\n"
    explained = []
    for order in permutations(shots.train):
        head = "".join(demonstration(row) + line for row in order)
        texts = [head + task.card.fill(row) for row in task.rows]
        expected = np.stack(
            [reference(backbone, text, words_behind(backbone, task.card)) for text in texts]
        )
        if np.abs(np.log(found.probabilities) - np.log(expected)).max() < 1e-4:
            explained.append(order)
    assert len(explained) == 1
    for pair in (explained[0][:2], explained[0][2:]):
        assert {row.label for row in pair} == {"positive", "negative"}
    assert found.details["demonstrations_min"] == found.details["demonstrations_max"] == 4


@pytest.mark.parametrize("name", ["tiny_gpt2", "tiny_llama", "tiny_bart", "tiny_t5"])
def test_special_tokens_in_a_demonstration_are_text(name: str, request: Any) -> None:
    backbone: Backbone = request.getfixturevalue(name)
    row = Row("good <|endoftext|> </s> [SEP] <bos> <|im_end|>", None, "positive")
    special = set(backbone.tokenizer.all_special_ids) - {backbone.tokenizer.unk_token_id}
    assert not special & set(encode_demonstration(toy_card(), row, backbone))
    name = backbone.tokenizer.convert_ids_to_tokens(backbone.end_id)
    card = toy_card().model_copy(update={"template": f"{{text1}} {name} label:"})
    assert encode_demonstration(card, row, backbone).count(backbone.end_id) == 1


def test_rounds_of_one_a_label_as_many_as_fit(read: Any, tiny_gpt2: Backbone) -> None:
    rows = [Row("the dog", None, None), Row("a man was very funny in the park", None, None)]
    texts, details = read(rows, sentence_shots(20))
    counts = []
    for text in texts:
        *shown, _ = text.split("\n")
        assert set(shown) <= {demonstration(row) for row in sentence_shots(20).train}
        assert len(set(shown)) == len(shown)
        for first, second in zip(shown[::2], shown[1::2], strict=True):
            assert {first.split()[-1], second.split()[-1]} == {"yes", "no"}
        counts.append(len(shown))
        size = len(tiny_gpt2.tokenizer(text).input_ids)
        assert size <= tiny_gpt2.max_length - 1
    assert counts[0] >= counts[1] > 0
    assert details["demonstrations_min"] == counts[1]
    assert details["demonstrations_max"] == counts[0]
    assert details["demonstrations_median"] == sum(counts) / 2
    assert details["rows_without_demonstrations"] == 0


def test_no_further_round_would_have_fitted(read: Any, tiny_gpt2: Backbone) -> None:
    """Rounds of one size: the room is used up to less than one round."""
    train = [
        Row(f"it {w}", None, label) for w in "abcdefghij" for label in ("positive", "negative")
    ]
    (text,), details = read([Row("the dog", None, None)], Shots(train, []))
    size = len(tiny_gpt2.tokenizer(text).input_ids)
    pair = "".join(demonstration(row) + "\n" for row in train[:2])
    a_round = len(tiny_gpt2.tokenizer(pair).input_ids)
    room = tiny_gpt2.max_length - 1
    assert 2 <= details["demonstrations_max"] < len(train)
    assert size <= room < size + a_round


def test_the_order_is_the_seeds_and_nothing_elses(read: Any) -> None:
    row = Row("the dog", None, None)
    shots = sentence_shots(4)
    (first,), _ = read([row], shots)
    again, _ = read([row, Row("a man", None, None)], shots)
    assert again[0] == first
    assert again[1].startswith(first.rpartition("\n")[0])
    others = {read([row], shots, seed)[0][0] for seed in (21, 42, 87, 100)}
    assert len(others | {first}) > 2


def test_a_demonstration_longer_than_the_model_reads_is_left_out(read: Any) -> None:
    shots = sentence_shots(4)
    giant = Row("x" * 300, None, "positive")
    texts, details = read([Row("the dog", None, None)], Shots([giant, *shots.train], []))
    assert "xx" not in texts[0]
    assert details["demonstrations_max"] == 4


def test_a_round_too_long_beside_one_row_makes_way_for_the_next(read: Any) -> None:
    long = [Row("x" * 150, None, label) for label in ("positive", "negative")]
    shots = Shots([*long, *toy_rows(4, seed=1)], [])
    for seed in (13, 21, 42):
        texts, details = read([Row("the dog", None, None)], shots, seed)
        assert "no" in texts[0]
        assert 2 <= details["demonstrations_max"] <= 4


def test_a_row_beside_which_no_round_fits_has_none(read: Any, tiny_gpt2: Backbone) -> None:
    long = Row("y" * 215, None, None)
    (short_text, long_text), details = read([Row("a", None, None), long], sentence_shots(2))
    assert long_text == toy_card().fill(long)
    assert short_text.count("\n") == 2
    assert details["demonstrations_min"] == 0
    assert details["rows_without_demonstrations"] == 1


def test_the_setting_caps_them_in_whole_rounds(read: Any) -> None:
    row, cap = Row("a", None, None), "methods.in_context.demonstrations"
    assert read([row], sentence_shots(6), 13, f"{cap}=3")[1]["demonstrations_max"] == 2
    assert read([row], sentence_shots(6), 13, f"{cap}=4")[1]["demonstrations_max"] == 4
    with pytest.raises(UserError, match=r"demonstrations = 1 is fewer .* 2 labels"):
        read([row], sentence_shots(6), 13, f"{cap}=1")


def test_the_scarcest_label_limits_the_rounds(read: Any) -> None:
    shots = Shots([*toy_rows(2, seed=1), Row("good", None, "positive")], [])
    assert read([Row("a", None, None)], shots)[1]["demonstrations_max"] == 2


def test_pairs(tiny_bart: Backbone) -> None:
    task, settings = pair_task(), small_settings()
    found = in_context(task, pair_shots(), tiny_bart, settings, Streams(13))
    bare = zero_shot(task, pair_shots(), tiny_bart, settings, Streams(13))
    assert found.probabilities.shape == (6, len(pair_card().labels))
    assert found.details["demonstrations_min"] >= 2
    assert np.abs(found.probabilities - bare.probabilities).max() > 1e-4


@pytest.mark.parametrize(("end", "between"), [("", " "), ("  ", " "), ("\n", ""), ("\n ", "")])
def test_a_demonstration_is_answered_as_a_row_is(
    tiny_gpt2: Backbone, end: str, between: str
) -> None:
    card, (row,) = toy_card(), toy_rows(1, 0)
    template = card.template + end
    ids = encode_demonstration(card.model_copy(update={"template": template}), row, tiny_gpt2)
    text = f"{card.fill(row)}{end.rstrip(' ')}{between}{card.label_words[str(row.label)]}\n"
    assert ids == tiny_gpt2.text_ids(text)
