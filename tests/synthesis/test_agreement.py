"""Classifiers that always give one label, so that their agreement is known."""

from __future__ import annotations

import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification

from dawgen.errors import UserError
from dawgen.settings import Settings
from dawgen.tasks import Row
from dawgen.use.agreement import agreement
from tests.conftest import word_tokenizer

ROWS = [Row("a dog", "it runs", "follows")] * 3 + [Row("a cat", "no cat", "does_not")]


@pytest.fixture
def classifier(tmp_path):
    """A BERT of random weights whose bias decides for one class."""

    def make(names, chosen):
        tokenizer = word_tokenizer("[CLS] $A [SEP]")
        config = BertConfig(
            vocab_size=len(tokenizer),
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=16,
            max_position_embeddings=64,
            id2label=dict(enumerate(names)),
            label2id={name: i for i, name in enumerate(names)},
        )
        torch.manual_seed(0)
        model = BertForSequenceClassification(config)
        with torch.no_grad():
            model.classifier.bias[chosen] = 100.0
        folder = tmp_path / "judge"
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        return folder

    return make


@pytest.mark.parametrize(
    ("names", "chosen", "share"),
    [
        (["follows", "does_not"], 0, 0.75),
        (["DOES-NOT", "Follows"], 0, 0.25),
        (["LABEL_0", "LABEL_1"], 1, 0.25),  # the card's order where it names no hub source
    ],
)
def test_a_transformers_classifier(classifier, pair_card, names, chosen, share):
    found = agreement(classifier(names, chosen), pair_card, ROWS, Settings())
    assert found["classifier"] == "judge"
    assert found["all"] == share
    label = "follows" if share == 0.75 else "does_not"
    assert found["labels"][label]["agreement"] == 1.0
    assert found["labels"]["follows"]["predicted"][label] == 3


def test_a_classifier_of_other_labels_is_refused(classifier, pair_card):
    folder = classifier(["good", "bad"], 0)
    with pytest.raises(UserError, match="knows the labels good, bad, but task pairs has follows"):
        agreement(folder, pair_card, ROWS, Settings())


def test_a_folder_without_a_classifier_is_refused(tmp_path, pair_card):
    with pytest.raises(UserError, match="holds no classifier"):
        agreement(tmp_path, pair_card, ROWS, Settings())


def test_special_tokens_in_texts_are_text(classifier, pair_card, monkeypatch):
    read: list[torch.Tensor] = []
    forward = BertForSequenceClassification.forward

    def spy(self, input_ids, **others):
        read.append(input_ids)
        return forward(self, input_ids, **others)

    monkeypatch.setattr(BertForSequenceClassification, "forward", spy)
    folder = classifier(["follows", "does_not"], 0)
    rows = [Row("a dog [SEP]", "it [CLS] runs", "follows")]
    agreement(folder, pair_card, rows, Settings())
    special = word_tokenizer().convert_tokens_to_ids(["[SEP]", "[CLS]"])
    assert not set(read[0].flatten().tolist()) & set(special)
