"""Both engines against the model's own probabilities, scored without cache, batch or padding."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from dawgen.backbone import Backbone
from dawgen.decoding import Decoding, Engine, Request, TransformersEngine
from dawgen.decoding.base import allowed_tokens
from dawgen.decoding.ctranslate2 import CTranslate2Engine
from tests.synthesis.helpers import next_logits, random_prompts

SAMPLES = 20_000

Make = Callable[[Backbone, torch.Tensor, Decoding], Engine]


@pytest.fixture(params=["writer", "small_t5", "tiny_gpt2", "tiny_llama"])
def backbone(request) -> Backbone:
    return request.getfixturevalue(request.param)


@pytest.fixture(params=[TransformersEngine, CTranslate2Engine])
def make(request) -> Make:
    if request.param is CTranslate2Engine:
        pytest.importorskip("ctranslate2")
    return request.param


def test_log_probabilities_agree(backbone, make):
    prompts = random_prompts(backbone, 2)
    engine = make(backbone, prompts, Decoding())
    target = [*backbone.ordinary_token_ids()[3:40:6], backbone.end_id]
    allowed = allowed_tokens(backbone)
    for label, text in ((0, "a dog runs"), (1, "")):
        source = backbone.encode_source(text, prompts.shape[1])
        expected = []
        for t, token in enumerate(target):
            logits = next_logits(backbone, prompts[label], source, target[:t])
            logits = logits.masked_fill(~allowed, -torch.inf)
            expected.append(float(logits.log_softmax(-1)[token]))
        assert engine.log_probs(label, source, target) == pytest.approx(expected, abs=1e-5)


def exact(logits: torch.Tensor, decoding: Decoding) -> np.ndarray:
    """The distribution [V] that the settings make of logits [V], written down once more."""
    p = (logits.double() / decoding.temperature).softmax(-1).numpy()
    order = np.argsort(-p)
    if decoding.top_k:
        p[order[decoding.top_k :]] = 0.0
        p /= p.sum()
    enough = int(np.searchsorted(np.cumsum(p[order]), decoding.top_p)) + 1
    p[order[enough:]] = 0.0
    return p / p.sum()


def first_tokens(engine: Engine, backbone: Backbone) -> np.ndarray:
    """How often [V] each token begins a text, over many texts of one label and source."""
    counts = np.zeros(len(backbone.head.weight))
    requests = [Request("a dog", 1, seed) for seed in range(SAMPLES)]
    read: list[int] = []
    module = engine.__class__.__module__
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(f"{module}.read_ids", lambda _, ids, *__: read.append(ids[0]))
        engine.generate(requests)
    np.add.at(counts, read, 1)
    return counts


def p_value(counts: np.ndarray, p: np.ndarray) -> float:
    """Of a chi-square test; tokens expected fewer than five times are taken together."""
    assert not counts[p == 0].any()
    expected = p * SAMPLES
    rare = expected < 5
    seen = [*counts[~rare], counts[rare].sum()]
    due = [*expected[~rare], expected[rare].sum()]
    if due[-1] < 5:  # even together: with the commonest
        seen[0], due[0] = seen[0] + seen.pop(), due[0] + due.pop()
    return float(chisquare(seen, due).pvalue) if len(seen) > 1 else 1.0


DECODINGS = {
    "tests/writer": Decoding(top_k=0, max_new_tokens=1, batch_size=4000),
    "tests/t5": Decoding(top_k=10, temperature=0.7, max_new_tokens=1, batch_size=4000),
    "tests/gpt2": Decoding(top_k=20, top_p=0.8, temperature=2.0, max_new_tokens=1, batch_size=4000),
    "tests/llama": Decoding(top_k=0, top_p=0.9, max_new_tokens=1, batch_size=4000),
}
"""Each kind of model with another one."""


def test_first_tokens_follow_the_exact_distribution(backbone, make):
    decoding, prompts = DECODINGS[backbone.name], random_prompts(backbone, 2)
    logits = next_logits(backbone, prompts[1], backbone.encode_source("a dog", 3), [])
    logits = logits.masked_fill(~allowed_tokens(backbone), -torch.inf)
    counts = first_tokens(make(backbone, prompts, decoding), backbone)
    assert counts.sum() == SAMPLES
    assert p_value(counts, exact(logits, decoding)) > 1e-3
    warmer = replace(decoding, temperature=decoding.temperature * 1.5)
    other = exact(logits, warmer)
    assert counts[other == 0].any() or p_value(counts, other) < 1e-6  # the test can fail
