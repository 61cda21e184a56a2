"""Backbones whose random texts end by themselves, and few shots to go with them."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import pytest
import torch
from transformers import MistralConfig, MistralForCausalLM, T5Config, T5ForConditionalGeneration

from dawgen.backbone import Backbone
from dawgen.settings import SynthesisSettings
from dawgen.tasks import Row, TaskCard
from tests.conftest import plain_tokenizer, word_tokenizer


@pytest.fixture(scope="package", autouse=True)
def one_thread() -> Iterator[None]:
    """Models of 32 units gain nothing from more, and lose much on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def writer(tiny_bart: Backbone) -> Backbone:
    """The random BART with a bias towards the end mark, so that texts are some words long."""
    model = copy.deepcopy(tiny_bart.model)
    model.final_logits_bias[0, tiny_bart.end_id] = 4.0
    return Backbone(
        model, tiny_bart.tokenizer, name="tests/writer", fingerprint="writer", max_length=128
    )


@pytest.fixture(scope="session")
def small_t5() -> Backbone:
    """A random backbone shaped like T5 1.1: what it writes is not the table it reads."""
    tokenizer = word_tokenizer(single="$A [SEP]")
    torch.manual_seed(0)
    config = T5Config(
        vocab_size=len(tokenizer) + 28,
        d_model=32,
        d_kv=8,
        d_ff=64,
        num_layers=2,
        num_heads=4,
        dropout_rate=0.0,
        feed_forward_proj="gated-gelu",
        tie_word_embeddings=False,
        pad_token_id=0,
        eos_token_id=tokenizer.eos_token_id,
        decoder_start_token_id=0,
    )
    model = T5ForConditionalGeneration(config)
    model.lm_head.weight = torch.nn.Parameter(torch.randn_like(model.lm_head.weight) / 4)
    return Backbone(model, tokenizer, name="tests/t5", fingerprint="small t5", max_length=128)


@pytest.fixture(scope="session")
def sliding() -> Backbone:
    """A causal model that sees four tokens back, so its cache is not plain keys and values."""
    tokenizer = plain_tokenizer()
    torch.manual_seed(0)
    config = MistralConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        sliding_window=4,
        bos_token_id=0,
        eos_token_id=0,
        initializer_range=0.2,
    )
    model = MistralForCausalLM(config)
    return Backbone(model, tokenizer, name="tests/mistral", fingerprint="mistral", max_length=256)


@pytest.fixture(scope="session")
def pair_card() -> TaskCard:
    return TaskCard(
        name="pairs",
        description="Does the second sentence follow?",
        columns={"text1": "text1", "text2": "text2", "label": "label"},
        labels=["follows", "does_not"],
        template="premise: {text1} hypothesis: {text2} answer:",
        label_words={"follows": "yes", "does_not": "no"},
    )


@pytest.fixture(scope="session")
def single_card() -> TaskCard:
    return TaskCard(
        name="mood",
        columns={"text1": "text1", "label": "label"},
        labels=["good", "bad"],
        template="review: {text1} sentiment:",
        label_words={"good": "great", "bad": "terrible"},
    )


@pytest.fixture(scope="session")
def pair_shots() -> list[Row]:
    return [
        Row("a man runs in the park", "a man is outside", "follows"),
        Row("the dog sleeps", "the dog sleeps under the old house and eats", "follows"),
        Row("two children play", "the children are inside near a blue street", "does_not"),
        Row("a cat eats", "no cat", "does_not"),
    ]


@pytest.fixture(scope="session")
def single_shots() -> list[Row]:
    return [
        Row("a great film", None, "good"),
        Row("the film is very good and funny", None, "good"),
        Row("boring", None, "bad"),
        Row("it is a bad film with no people", None, "bad"),
    ]


@pytest.fixture(scope="session")
def settings() -> SynthesisSettings:
    """Small and quick: 8 rows per label in shards of 5, rejected rows beside them."""
    return SynthesisSettings(
        rows_per_label=8,
        first_sentences="few-shots",
        batch_size=128,
        top_k=0,
        max_new_tokens=16,
        max_attempts_factor=20,
        shard_rows=5,
        keep_rejected=True,
    )
