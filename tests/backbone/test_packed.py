"""Rows end to end behind shared prompts: the same states, gradients and second derivatives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor

from dawgen.backbone import Backbone
from dawgen.backbone.memory import run_rows
from dawgen.backbone.packed import NAME, SharedPrompts
from dawgen.backbone.recompute import recompute
from dawgen.tuning.gradients import Gradients, both_gradients
from dawgen.tuning.rows import JoinedRows
from tests.conftest import word_tokenizer

SIZES: dict[str, Any] = {
    "hidden_size": 48,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
}
KINDS: dict[str, dict[str, Any]] = {
    "Llama": {},
    "Mistral": {"sliding_window": 6, "head_dim": 16},
    "Qwen2": {},
    "Qwen3": {"head_dim": 16},
    "SmolLM3": {},
    "Gemma3Text": {"sliding_window": 6, "head_dim": 16},
}
ROWS = [[5, 6, 7], [8, 9, 5, 4, 7, 6, 5, 8], [4], [6, 7, 8, 9, 5]]
TARGETS = [[4, 5], [6, 7, 8], [9], [4, 4]]
OF = [2, 0, 2, 0]
LENGTH = 4


def packed(kind: str) -> Backbone:
    tokenizer = word_tokenizer()
    config = getattr(transformers, f"{kind}Config")
    ids = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 1}
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(
        config(vocab_size=len(tokenizer), **SIZES, **KINDS[kind], **ids)
    )
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight) * 0.2)
    return Backbone(model, tokenizer, name=kind, fingerprint="")


def padded(kind: str) -> Backbone:
    """The same model with transformers' own attention and norms, rows padded."""
    backbone = packed(kind)
    backbone.model.set_attn_implementation("eager")
    for module in backbone.model.modules():
        if type(module).__module__ == "dawgen.backbone.norm":
            module.__class__ = type(module).__mro__[2]
    return backbone


def asked(backbone: Backbone, twice: bool) -> list[Tensor]:
    """States, log-probabilities, their gradient by the prompts; ``twice``, that of its square."""
    stream = torch.Generator().manual_seed(1)
    prompts = torch.randn(3, LENGTH, backbone.hidden_size, generator=stream) * 0.3
    prompts.requires_grad_()
    shared = SharedPrompts(prompts, OF)
    hidden = backbone.label_hidden(shared, ROWS)
    log_probs = backbone.token_log_probs(shared, ROWS, TARGETS).log_probs
    value = hidden.square().sum() + log_probs.sum()
    (gradient,) = torch.autograd.grad(value, prompts, create_graph=twice)
    found = [hidden, log_probs, gradient]
    if twice:
        found += torch.autograd.grad(gradient.square().sum(), prompts)
    return [one.detach() for one in found]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("twice", [False, True])
def test_packed_is_padded(kind: str, twice: bool) -> None:
    backbone = packed(kind)
    assert backbone.model.config._attn_implementation == NAME
    for ours, theirs in zip(asked(backbone, twice), asked(padded(kind), True), strict=False):
        scale = float(theirs.abs().max())
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5 * scale)


def test_a_prompt_is_read_once_for_its_rows() -> None:
    backbone = packed("Llama")
    read: list[int] = []
    layer = backbone.model.get_input_embeddings().weight
    backbone.model.model.layers[0].mlp.register_forward_pre_hook(
        lambda _, inputs: read.append(inputs[0].numel() // layer.shape[1])
    )
    with torch.no_grad():
        prompts = torch.zeros(3, LENGTH, backbone.hidden_size)
        backbone.label_hidden(SharedPrompts(prompts, OF), ROWS)
    assert read == [2 * LENGTH + sum(map(len, ROWS))]  # of two prompts: no row reads the third


def test_perturbation_without_a_prompt_and_mean_encodings() -> None:
    ours, theirs = packed("Llama"), padded("Llama")
    shift = torch.randn(len(ROWS), max(map(len, ROWS)), ours.hidden_size)
    with torch.no_grad():
        found, expected = (b.label_hidden(None, ROWS, shift) for b in (ours, theirs))
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
        means = [b.mean_encodings(ROWS) for b in (ours, theirs)]
    torch.testing.assert_close(*means, rtol=1e-4, atol=1e-4)


def test_layers_that_are_computed_again_give_the_same_gradients() -> None:
    backbone = packed("Llama")
    kept = asked(backbone, twice=False)
    recompute(backbone.model, "Llama")
    for ours, theirs in zip(asked(backbone, twice=False), kept, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_a_saved_model_says_nothing_of_it(tmp_path: Path) -> None:
    backbone = packed("Llama")
    backbone.model.save_pretrained(tmp_path)
    assert NAME not in (tmp_path / "config.json").read_text("utf-8")


def gradients(backbone: Backbone, threads: int) -> tuple[Gradients, int]:
    """A step's gradients of ten rows with so many threads, and in how many calls they came."""
    calls: list[int] = []
    scores = backbone.label_scores

    def counted(prompts: Any, inputs: Any, words: Any) -> Tensor:
        calls.append(torch.get_num_threads())
        return scores(prompts, inputs, words)

    stream = torch.Generator().manual_seed(2)
    ids = [torch.randint(4, 10, (20 + 9 * n,), generator=stream).tolist() for n in range(10)]
    targets = torch.eye(2)[[n % 2 for n in range(10)]]
    rows = JoinedRows(ids, targets, torch.tensor([0] * 4 + [1] * 6), torch.full((10,), 0.1))
    prompts = torch.randn(1, LENGTH, backbone.hidden_size, generator=stream) * 0.3
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    backbone.label_scores = counted  # type: ignore[method-assign]
    try:
        found = both_gradients(prompts, rows, [[4], [5]], backbone, 2048)
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
        backbone.label_scores = scores  # type: ignore[method-assign]
    assert set(calls) == {1}  # a thread of ours runs PyTorch with one
    return found, len(calls)


def test_two_threads_take_a_call_each_and_add_up_in_a_fixed_order() -> None:
    backbone = packed("Llama")
    alone, one_call = gradients(backbone, 1)
    together, two_calls = gradients(backbone, 2)
    assert (one_call, two_calls) == (1, 2)
    for ours, theirs in zip(together, alone, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
    for _ in range(3):
        again, _ = gradients(backbone, 2)
        assert all(torch.equal(a, b) for a, b in zip(again, together, strict=True))


def test_side_by_side_calls_that_memory_refuses_are_made_again() -> None:
    backbone, done = packed("Llama"), []
    refused = iter([True])

    def work(rows: list[int]) -> None:
        if next(refused, False):
            raise MemoryError("DefaultCPUAllocator: can't allocate memory")
        done.extend(rows)

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        run_rows(backbone, [200] * 4, LENGTH, 2048, work)
    finally:
        torch.set_num_threads(before)
    assert sorted(done) == [0, 1, 2, 3]
