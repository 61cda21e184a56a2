"""Measures of the evaluation, self-training's filter, and the card."""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer
from transformers import (
    BartForConditionalGeneration,
    BertConfig,
    BertForSequenceClassification,
    PreTrainedTokenizerFast,
)

from tests.tools.conftest import CARDS, LINES
from tools.pretrain import card, evaluate, judge, scoring, selftrain, text, train


@pytest.fixture(scope="module")
def model(start: Path) -> BartForConditionalGeneration:
    """The untrained small model."""
    return BartForConditionalGeneration.from_pretrained(str(start)).eval()


@pytest.fixture(scope="module")
def tokenizer(start: Path) -> Tokenizer:
    """Its tokenizer."""
    return Tokenizer.from_file(str(start / "tokenizer.json"))


def test_measures_by_hand() -> None:
    """Distinct-2, copies and completeness of hand-written texts."""
    assert evaluate.distinct(["a b c", "A b d"]) == 3 / 4
    assert evaluate.normal('He said: "Yes."') == "he said yes"
    assert evaluate.is_complete('he said "yes."', [7, 3], 3)
    assert not evaluate.is_complete("he said yes.", [7, 7], 3)
    assert not evaluate.is_complete("he said", [7, 3], 3)


def test_batches_cover_every_row_once() -> None:
    """Sorted, within the budget, each index once."""
    assert list(scoring.batches([5, 1, 9, 2], budget=10)) == [[1, 3], [0], [2]]


def test_label_scores_are_log_probabilities(
    model: BartForConditionalGeneration, tokenizer: Tokenizer, cards: dict[str, text.Card]
) -> None:
    """Over the label words they sum to one, and agree with the library's own logits."""
    pairs = [text.Pair(LINES[0], LINES[1], "neutral"), text.Pair("a man.", "a cat.", "entailment")]
    scores = scoring.label_scores(model, tokenizer, cards["mnli"], pairs)
    assert torch.allclose(scores.exp().sum(-1), torch.ones(2), atol=1e-5)
    ids = tokenizer.encode(cards["mnli"].fill(LINES[0], LINES[1])).ids
    start = torch.tensor([[model.config.decoder_start_token_id]])
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([ids]), decoder_input_ids=start).logits[0, 0]
    words = [tokenizer.token_to_id(word) for word in ("yes", "maybe", "no")]
    assert torch.allclose(scores[0], torch.log_softmax(logits[words], -1), atol=1e-5)
    assert scoring.accuracy(torch.eye(3)[[1, 1]], cards["mnli"], pairs) == 0.5


def test_writing_is_repeatable_and_stays_within_text(
    model: BartForConditionalGeneration, tokenizer: Tokenizer
) -> None:
    """The same seed writes the same texts; no special piece but a last end mark."""

    def written() -> tuple[list[str], list[list[int]]]:
        return scoring.write(
            model, tokenizer, "Sentence 1:", LINES, temperature=1.0, top_k=10, seed=3, longest=6
        )

    once = written()
    assert once == written()
    for pieces in once[1]:
        assert not {0, 1, 2, 4} & set(pieces)
        assert 3 not in pieces[:-1]


def test_self_training_keeps_what_it_is_sure_of(
    model: BartForConditionalGeneration, tokenizer: Tokenizer, cards: dict[str, text.Card]
) -> None:
    """Kept rows are rows the model gives their label, at most the share of every label."""
    rows = [text.Pair(a, b, "neutral") for a in LINES for b in LINES]
    kept, agreement = selftrain.keep_sure([model, model], tokenizer, cards["mnli"], rows, 0.5)
    assert len(kept) <= 18
    if kept:
        scores = scoring.label_scores(model, tokenizer, cards["mnli"], kept)
        assert scoring.accuracy(scores, cards["mnli"], kept) == 1.0
    assert 0 <= agreement <= 1


def test_judge_trains_and_freezes(original_tokenizer: Tokenizer) -> None:
    """A few steps move the head and leave the frozen layers alone."""
    config = BertConfig(
        vocab_size=original_tokenizer.get_vocab_size(),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        num_labels=3,
    )
    classifier = BertForSequenceClassification(config)
    judge.freeze_bottom(classifier, 1)
    wrapped = PreTrainedTokenizerFast(tokenizer_object=original_tokenizer, pad_token="[PAD]")
    found = judge.Judge(classifier, wrapped)
    rows = [text.Pair(line, line, label) for line in LINES for label in judge.LABELS] * 4
    bottom = classifier.bert.encoder.layer[0].output.dense.weight.clone()
    head = classifier.classifier.weight.clone()
    assert judge.train_judge(found, rows, minutes=5, epochs=1, rate=1e-3, seed=0) == 2
    assert torch.equal(bottom, classifier.bert.encoder.layer[0].output.dense.weight)
    assert not torch.equal(head, classifier.classifier.weight)
    assert found.probabilities(rows).sum(-1).allclose(torch.ones(len(rows)), atol=1e-5)


def test_evaluation_and_card(start: Path, world: Path, tmp_path: Path) -> None:
    """Without a judge everything but writing is measured; the card names every figure."""
    data = tmp_path / "data"
    for task in evaluate.TASKS:
        (data / task).mkdir(parents=True)
        label = text.read_card(CARDS / f"{task}.yaml").labels[0]
        rows = [{"text1": a, "text2": b, "label": label} for a in LINES[:2] for b in LINES[:2]]
        for part in ("train", "test"):
            path = data / task / f"{part}.jsonl"
            path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    arguments = argparse.Namespace(
        model=start,
        judge=tmp_path / "none",
        data=data,
        corpora=world / "corpora",
        cards=CARDS,
        parts=("accuracy", "perplexity"),
        rows=3,
        lines=3,
        firsts=2,
        temperature=0.7,
        top_k=10,
        seed=1,
    )
    report = evaluate.evaluate(arguments)
    assert set(report["accuracy"]) == set(evaluate.TASKS)
    assert all(value > 1 for value in report["perplexity"].values())
    report["accuracy"]["mnli"], report["accuracy"]["qnli"] = 0.65, 0.5
    report["sampling"] = {"temperature": 0.7, "top_k": 10}
    report["judge"] = {"mnli": 0.6, "snli": 0.7}
    report["writing"] = {
        "mnli": {
            "agreement": 0.63,
            "by_label": {"entailment": 0.7, "neutral": 0.44, "contradiction": 0.75},
            "complete": 0.95,
            "copies": 0.01,
            "unknown_pieces": 0,
            "distinct_2": {"entailment": 0.5, "neutral": 0.5, "contradiction": 0.5},
            "samples": {"entailment": [["One.", "Two."]]},
        }
    }
    state = train.new_state()
    state["history"] = [[10, 0.5, {"judge": 1.0, "plain": 5.0}], [20, 1.0, {"judge": 0.9}]]
    card.write_card(state, report, card.counts(data, world / "corpora"), "2 cores", tmp_path)
    written = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "64.0 %: met" in written
    assert "80.0 %: missed" in written
    assert "no label under 45.0 %) is missed" in written
    assert "One. → *Two.*" in written
    assert (tmp_path / "loss.png").stat().st_size < 60_000
    known = set("abcdefghijklmnopqrstuvwxyz_12")
    fields = [part.split("}")[0] for part in written.split("{")[1:]]
    assert not [field for field in fields if field and set(field) <= known]


def test_a_phase_without_a_group_is_a_gap_in_its_curve() -> None:
    history = [[10, 1.0, {"a": 4.0}], [20, 2.0, {}], [30, 3.0, {"a": 2.0}], [40, 4.0, {"a": 3.0}]]
    found = card.curve(history, "a")
    assert found[0] == 4.0
    assert math.isnan(found[1])
    assert found[2:] == pytest.approx([2.0, 0.8 * 2.0 + 0.2 * 3.0])
