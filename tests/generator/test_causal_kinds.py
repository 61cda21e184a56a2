"""Llama-, Gemma- and Qwen-shaped generators against plain transformers, the tokenizer's own ids."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor

from dawgen.backbone import Backbone
from dawgen.backbone.threads import jobs_at_once
from dawgen.generator import meta, objectives
from dawgen.generator.examples import Batch, make_shots
from dawgen.generator.fit import fit_generator, label_prompt_start
from dawgen.generator.outer import OuterLoss
from dawgen.generator.scoring import distinction, score_own
from dawgen.settings import GeneratorSettings
from dawgen.streams import Streams
from dawgen.tasks import Row, load_card

RATE, DIST = 0.5, 0.7
CARD = load_card("sick")
ROWS = [
    Row("a man runs", "12 men\n\noutside", "entailment"),
    Row("a dog plays", "a dog", "entailment"),
    Row("two", "it eats 3", "neutral"),
    Row("a woman", "blue", "neutral"),
    Row("the cat eats", "no cat", "contradiction"),
    Row("a red street", "not red", "contradiction"),
]


@pytest.fixture(params=["tiny_llama", "tiny_gemma", "tiny_qwen"])
def backbone(request: pytest.FixtureRequest) -> Backbone:
    found: Backbone = request.getfixturevalue(request.param)
    return found


@contextmanager
def plain_attention(backbone: Backbone) -> Iterator[None]:
    """transformers' own, which has a second derivative."""
    before = backbone.model.config._attn_implementation
    backbone.model.set_attn_implementation("eager")
    yield
    backbone.model.set_attn_implementation(before)


def read_plainly(backbone: Backbone, prompts: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """Log-probabilities [B,T] and hidden states [B,T,H] of the rows' texts, one at a time.

    ``prompts`` [B,P,H]. A text1 is written from nothing, a text2 behind its text1 and a new line;
    before either stands what ``tokenizer(text)`` begins with.
    """
    tokenizer, end = backbone.tokenizer, backbone.end_id
    log_probs, hidden = [], []
    texts = [(source, text) for r in ROWS for source, text in (("", r.text1), (r.text1, r.text2))]
    for prompt, (source, text) in zip(prompts, texts, strict=True):
        lead = tokenizer(f"{source}\n" if source else "")["input_ids"]
        target = [*tokenizer(text, add_special_tokens=False)["input_ids"], end]
        ids = torch.tensor([*lead, *target], dtype=torch.long)
        vectors = torch.cat([prompt, backbone.model.get_input_embeddings()(ids)])
        out = backbone.model(inputs_embeds=vectors[None], output_hidden_states=True)
        start = len(vectors) - len(target)
        found = out.logits[0, start - 1 : -1].log_softmax(-1)
        found = found.gather(1, torch.tensor(target)[:, None])[:, 0]
        gap = width - len(target)
        log_probs.append(torch.nn.functional.pad(found, (0, gap)))
        states = out.hidden_states[-1][0, start:]
        hidden.append(torch.nn.functional.pad(states, (0, 0, 0, gap)))
    return torch.stack(log_probs), torch.stack(hidden)


def test_the_meta_step_is_double_backward_through_plain_transformers(backbone: Backbone) -> None:
    batch = Batch(
        tuple(make_shots(CARD, ROWS, backbone, prompt_length=3, max_length=99, write_first=True))
    )
    labels, start = batch.labels, label_prompt_start(CARD, backbone, 3)
    width = max(len(target) for target in batch.targets)
    with backbone.eager_attention():
        prompts = start.clone().requires_grad_()
        own = score_own(backbone, prompts, batch.examples, labels)
        mask = own.mask
        weights = torch.rand(mask.shape, generator=torch.Generator().manual_seed(1)) * mask
        outer = OuterLoss(backbone, batch, labels, DIST)
        found = meta.meta_gradient(prompts, -own.log_probs, weights, mask, outer, RATE)

    with plain_attention(backbone):
        prompts = start.clone().requires_grad_()
        by_weights = weights.clone().requires_grad_()
        log_probs, _ = read_plainly(backbone, prompts[labels], width)
        torch.testing.assert_close(own.log_probs, log_probs, atol=1e-4, rtol=1e-4)
        inner = objectives.weighted_generation_loss(-log_probs, by_weights, mask)
        (gradient,) = torch.autograd.grad(inner, prompts, create_graph=True)
        ahead = prompts - RATE * gradient
        every = [read_plainly(backbone, p.expand(len(labels), -1, -1), width) for p in ahead]
        disc = objectives.discriminative_loss(torch.stack([e[0] for e in every]), labels, mask)
        hidden = torch.stack([every[label][1][i] for i, label in enumerate(labels.tolist())])
        loss = disc + DIST * distinction(by_weights, hidden, mask, batch)
        (expected,) = torch.autograd.grad(loss, by_weights)
    torch.testing.assert_close(found.outer, loss.detach(), atol=1e-5, rtol=1e-4)
    assert (found.weights - expected).abs().max() < 2e-4 * expected.abs().max()
    assert (found.direct - expected).abs().max() > 1e-2 * expected.abs().max()


def test_a_generator_is_tuned(backbone: Backbone) -> None:
    settings = GeneratorSettings(prompt_length=3, batch_size=2, epochs=4, learning_rate=0.05)
    found = fit_generator(CARD, ROWS, backbone, settings, Streams(0), write_first=True)
    assert found.history[-1]["gen_loss"] < found.history[0]["gen_loss"]


def test_a_step_takes_threads_for_its_calls_only(
    tiny_llama: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, int]] = []

    def watched(*given):  # type: ignore[no-untyped-def]
        seen.append((torch.get_num_threads(), jobs_at_once()))
        return distinction(*given)

    monkeypatch.setattr("dawgen.generator.fit.distinction", watched)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        settings = GeneratorSettings(prompt_length=3, batch_size=2, epochs=1)
        fit_generator(CARD, ROWS, tiny_llama, settings, Streams(0), write_first=True)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert set(seen) == {(1, 2)}
