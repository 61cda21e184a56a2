from __future__ import annotations

import builtins
from pathlib import Path

import numpy as np
import pytest
import torch

from dawgen.backbone import Backbone
from dawgen.decoding import Decoding, Request, TransformersEngine
from dawgen.decoding import ctranslate2 as module
from dawgen.decoding.baking import bake, prompt_ids
from dawgen.decoding.base import allowed_tokens
from dawgen.decoding.ctranslate2 import CTranslate2Engine
from dawgen.errors import UserError
from tests.synthesis.helpers import next_logits, random_prompts

pytest.importorskip("ctranslate2")

SOURCES = ["", "a dog runs", "two young children and a woman", "no"]


@pytest.fixture(params=["writer", "small_t5", "tiny_gpt2", "tiny_llama"])
def backbone(request) -> Backbone:
    return request.getfixturevalue(request.param)


def requests(seeds: int = 3) -> list[Request]:
    return [
        Request(source, label, 100 * seed + label)
        for seed in range(seeds)
        for source in SOURCES
        for label in range(2)
    ]


# --- baking ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["writer", "small_t5", "tiny_gpt2", "tiny_llama", "tiny_gemma", "tiny_qwen"]
)
@torch.no_grad()
def test_a_baked_prompt_is_a_soft_prompt(name, request):
    """Reading the prompt's token ids gives what reading its vectors gives."""
    backbone = request.getfixturevalue(name)
    prompts = random_prompts(backbone, 2)
    source = backbone.encode_source("a dog runs", 3)
    model = bake(backbone, prompts)
    ids = torch.tensor([[*prompt_ids(backbone, prompts, 1), *source]])
    if backbone.is_encoder_decoder:
        start = torch.tensor([backbone.decoder_start])
        logits = model(input_ids=ids, decoder_input_ids=start).logits[0, -1]
    else:
        logits = model(input_ids=ids).logits[0, -1]
    hidden = backbone.label_hidden(prompts[1:], [source])
    expected = backbone.head.logits(hidden)[0]
    assert torch.allclose(logits[: len(expected)], expected, atol=1e-5)


def test_baking_and_converting_leave_the_backbone_as_it_was(backbone):
    before = {name: tensor.clone() for name, tensor in backbone.model.state_dict().items()}
    config = backbone.model.config.to_dict()
    CTranslate2Engine(backbone, random_prompts(backbone, 2), Decoding(), "int8")
    assert backbone.model.config.to_dict() == config
    after = backbone.model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


# --- writing --------------------------------------------------------------------------


def test_greedy_texts_are_the_reference_engines(backbone):
    prompts = random_prompts(backbone, 2)
    for decoding in (
        Decoding(temperature=0, max_new_tokens=7, batch_size=3),
        Decoding(temperature=0, max_new_tokens=9, repetition_penalty=(1.0, 1.7)),
        Decoding(temperature=0, max_new_tokens=9, min_new_tokens=6, repetition_penalty=1.2),
    ):
        expected = TransformersEngine(backbone, prompts, decoding).generate(requests())
        assert CTranslate2Engine(backbone, prompts, decoding).generate(requests()) == expected


def test_the_same_requests_give_the_same_texts(backbone):
    prompts = random_prompts(backbone, 2)
    engine = CTranslate2Engine(backbone, prompts, Decoding(max_new_tokens=8, batch_size=5))
    first = engine.generate(requests())
    engine.generate(requests(seeds=5))  # what was written in between plays no part
    assert engine.generate(requests()) == first
    again = CTranslate2Engine(backbone, prompts, Decoding(max_new_tokens=8, batch_size=5))
    assert again.generate(requests()) == first
    others = [Request(r.source, r.label, r.seed + 1) for r in requests()]
    assert engine.generate(others) != first


def test_only_allowed_tokens_are_written(backbone, monkeypatch):
    read: list[int] = []
    monkeypatch.setattr(module, "read_ids", lambda _, ids, *__: read.extend(ids))
    decoding = Decoding(temperature=50.0, top_k=0, max_new_tokens=40)
    CTranslate2Engine(backbone, random_prompts(backbone, 2), decoding).generate(requests(40))
    allowed = allowed_tokens(backbone)
    assert len(read) > 2000
    assert max(read) < len(allowed)
    assert all(allowed[i] for i in set(read))
    assert len(set(read)) > 0.9 * allowed.sum()


def test_int8_stays_near(backbone):
    prompts = random_prompts(backbone, 2)
    engine = CTranslate2Engine(backbone, prompts, Decoding(temperature=0), "int8")
    reference = TransformersEngine(backbone, prompts, Decoding(temperature=0))
    apart = []
    for text in ("a dog runs", "two people on the street", "a man sleeps", "the house is red"):
        source = backbone.encode_source(text, 3)
        logits = next_logits(backbone, prompts[0], source, [])
        likely = logits.masked_fill(~allowed_tokens(backbone), -torch.inf).topk(4).indices
        for token in likely.tolist():
            found, expected = (e.log_probs(0, source, [token])[0] for e in (engine, reference))
            apart.append(abs(found - expected))
    assert 0 < np.mean(apart) < 0.5  # a processor without VNNI rounds more
    assert len(engine.generate(requests())) == len(requests())


def test_the_converted_model_goes_with_the_engine(writer):
    engine = CTranslate2Engine(writer, random_prompts(writer, 1), Decoding())
    folder = Path(engine.path).parent
    assert folder.is_dir()
    del engine
    assert not folder.exists()


# --- what it cannot --------------------------------------------------------------------


def test_a_missing_package_is_one_sentence(writer, monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.split(".")[0] == "ctranslate2":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UserError, match=r"pip install 'dawgen\[fast\]'"):
        CTranslate2Engine(writer, random_prompts(writer, 1), Decoding())


def test_a_model_without_converter_is_refused(sliding, monkeypatch):
    from ctranslate2.converters import transformers as converters

    monkeypatch.delitem(converters._MODEL_LOADERS, "MistralConfig")
    with pytest.raises(UserError, match="no converter for models of type mistral"):
        CTranslate2Engine(sliding, random_prompts(sliding, 1), Decoding())


def test_a_model_it_computes_differently_is_refused(writer, monkeypatch):
    monkeypatch.setattr(module, "prompt_ids", lambda *_: [5, 6, 7])  # some other prompt
    with pytest.raises(UserError, match="other probabilities than tests/writer itself"):
        CTranslate2Engine(writer, random_prompts(writer, 1), Decoding())
