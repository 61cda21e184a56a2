"""Rows end to end behind shared prompts: the same states, gradients and second derivatives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from dawgen.backbone import Backbone
from dawgen.backbone.memory import run_rows
from dawgen.backbone.packed import NAME, SharedPrompts
from dawgen.backbone.recompute import recompute
from dawgen.backbone.shape import shape_of
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


def packed(kind: str, dtype: torch.dtype = torch.float32) -> Backbone:
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
    return Backbone(model.to(dtype), tokenizer, name=kind, fingerprint="")


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


def label_scores(backbone: Backbone) -> Tensor:
    prompts = torch.zeros(3, LENGTH, backbone.hidden_size, requires_grad=True)
    return backbone.label_scores(SharedPrompts(prompts, OF), ROWS, [[4], [5]])


def log_probs(backbone: Backbone) -> Tensor:
    prompts = torch.zeros(3, LENGTH, backbone.hidden_size, requires_grad=True)
    return backbone.token_log_probs(SharedPrompts(prompts, OF), ROWS, TARGETS).log_probs


def kept_inputs(backbone: Backbone, forward: Callable[[Backbone], Tensor]) -> tuple[int, int]:
    """How many inputs of linear layers the graph keeps, which gradients of weights need; and the
    bytes of all that it keeps, weights apart."""
    weights = {weight.untyped_storage().data_ptr() for weight in backbone.model.parameters()}
    inputs: dict[int, Tensor] = {}  # held, or their place in memory would be used again
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        if tensor.untyped_storage().data_ptr() not in weights:
            kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    def note(_: nn.Module, arguments: tuple[Tensor]) -> None:
        inputs[arguments[0].untyped_storage().data_ptr()] = arguments[0]

    layers = [one for one in backbone.model.base_model.modules() if isinstance(one, nn.Linear)]
    hooks = [layer.register_forward_pre_hook(note) for layer in layers]
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # what happens on other threads would not be seen
    try:
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            graph = forward(backbone)
    finally:
        torch.set_num_threads(before)
        for hook in hooks:
            hook.remove()
    assert graph.requires_grad
    assert len(inputs) == 4 * SIZES["num_hidden_layers"]  # of q, k and v; o; gate and up; down
    return len(inputs.keys() & kept), sum(one.untyped_storage().nbytes() for one in kept.values())


@pytest.mark.parametrize("forward", [label_scores, log_probs])
def test_no_weight_s_gradient_is_prepared_for_in_bf16(
    forward: Callable[[Backbone], Tensor],
) -> None:
    """The graph keeps no input of a layer, and no more than a token is counted to take."""
    backbone = packed("Llama", torch.bfloat16)
    assert backbone.is_packed
    inputs, kept = kept_inputs(backbone, forward)
    assert inputs == 0
    read = 2 * LENGTH + sum(map(len, ROWS)) + (forward is log_probs) * sum(map(len, TARGETS))
    assert kept < shape_of(backbone).held_bytes(graph=True) * read
    backbone.model.requires_grad_(True)
    inputs, more = kept_inputs(backbone, forward)  # the test can fail
    assert inputs == 4 * SIZES["num_hidden_layers"]
    assert more > kept


def test_no_weight_s_gradient_is_computed_in_bf16() -> None:
    """Backward, as many FLOPs as forward: those by activations, once for each product."""
    backbone = packed("Llama", torch.bfloat16)

    def flops() -> tuple[int, int]:
        with FlopCounterMode(display=False) as forward:
            scores = label_scores(backbone)
        with FlopCounterMode(display=False) as backward:
            scores.sum().backward()
        counts = (counter.get_flop_counts()["Global"] for counter in (forward, backward))
        first, second = (count[torch.ops.aten.mm] for count in counts)
        return first, second

    forward, backward = flops()
    assert backward == forward > 0
    assert all(weight.grad is None for weight in backbone.model.parameters())
    backbone.model.requires_grad_(True)
    assert flops() == (forward, 2 * forward)  # the test can fail


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
