"""Layers computed again for the backward pass: the same gradients from a smaller graph."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from dawgen.backbone import Backbone, load_backbone
from dawgen.backbone.recompute import is_recomputed, kept, recompute
from dawgen.backbone.shape import shape_of
from dawgen.errors import UserError
from dawgen.settings import BackboneSettings, GeneratorSettings
from dawgen.streams import Streams
from tests.tuning.toy import toy_card, toy_rows


def again(backbone: Backbone) -> Backbone:
    """A copy that keeps the layers' inputs only."""
    model = copy.deepcopy(backbone.model)
    recompute(model, backbone.name)
    return Backbone(model, backbone.tokenizer, name="again", fingerprint="again", max_length=128)


@pytest.fixture(params=["tiny_t5", "tiny_gpt2", "tiny_bart"])
def pair(request) -> tuple[Backbone, Backbone]:
    backbone = request.getfixturevalue(request.param)
    return backbone, again(backbone)


def gradient(backbone: Backbone) -> tuple[Tensor, int]:
    """Of label scores by the prompt [2,4,H], and the bytes that its graph keeps."""
    noise = torch.Generator().manual_seed(0)
    prompts = torch.randn(2, 4, backbone.hidden_size, generator=noise).requires_grad_()
    kept_bytes = held(backbone, lambda: backbone.label_scores(prompts, [[5] * 20] * 2, [[6], [7]]))
    scores = backbone.label_scores(prompts, [[5, 6, 7], [8, 9, 5, 4, 7]], [[6], [7]])
    return torch.autograd.grad(scores.square().sum(), prompts)[0], kept_bytes


def held(backbone: Backbone, forward: Callable[[], Tensor]) -> int:
    weights = {p.untyped_storage().data_ptr() for p in backbone.model.parameters()}
    found: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        if tensor.untyped_storage().data_ptr() not in weights:
            found[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        graph = forward()
    assert graph.requires_grad
    return sum(tensor.untyped_storage().nbytes() for tensor in found.values())


def test_gradients_are_the_same_and_the_graph_is_smaller(pair):
    usual, recomputed = pair
    expected, all_bytes = gradient(usual)
    found, input_bytes = gradient(recomputed)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)
    assert expected.abs().max() > 1e-4
    assert input_bytes < all_bytes / 2


def test_texts_have_the_same_gradients(pair):
    def of(backbone: Backbone) -> Tensor:
        prompts = torch.full((1, 4, backbone.hidden_size), 0.1, requires_grad=True)
        losses = backbone.token_log_probs(prompts, [[5] * 7], [[6, 7, 8]]).log_probs
        # kept and gone back through twice, as the generator's own losses are
        torch.autograd.grad(losses, prompts, torch.ones_like(losses), retain_graph=True)
        return torch.autograd.grad(losses.sum(), prompts)[0]

    usual, recomputed = pair
    torch.testing.assert_close(of(recomputed), of(usual), atol=1e-6, rtol=1e-5)


def test_without_a_graph_nothing_is_different(pair):
    usual, recomputed = pair
    with torch.no_grad():
        one, other = (b.label_scores(None, [[5, 6, 7]], [[6], [7]]) for b in pair)
    assert torch.equal(one, other)
    assert list(usual.model.state_dict()) == list(recomputed.model.state_dict())


@pytest.mark.parametrize("method", ["plain", "dawgen"])
def test_the_generator_s_steps_are_the_same(pair, method):
    """With the meta-step's second derivative, and its attention as plain products."""
    from dawgen.generator.fit import fit_generator

    settings = GeneratorSettings(prompt_length=4, epochs=1, method=method, learning_rate=0.05)
    found = []
    for backbone in pair:
        card, rows = toy_card(), toy_rows(4, 0)
        fitted = fit_generator(card, rows, backbone, settings, Streams(0), write_first=True)
        found.append(fitted.prompts)
        attention = backbone.model.config._attn_implementation
        assert attention != "eager"
    torch.testing.assert_close(*found, atol=1e-5, rtol=1e-4)
    assert is_recomputed(pair[1].model)


def test_activations_are_kept_for_a_while_and_no_longer(pair):
    _, recomputed = pair
    with kept(recomputed.model):
        assert not is_recomputed(recomputed.model)
    assert is_recomputed(recomputed.model)
    assert is_recomputed(copy.deepcopy(recomputed.model))


def test_only_the_setting_switches_it_on():
    assert not is_recomputed(load_backbone(BackboneSettings()).model)
    backbone = load_backbone(BackboneSettings(checkpointing=True))
    assert is_recomputed(backbone.model)
    assert backbone.fingerprint == load_backbone(BackboneSettings()).fingerprint
    shape = shape_of(backbone)
    assert shape.held_bytes(graph=True, recomputed=True) == 184_320 / 6 + 384 * 4 * 6


def test_a_model_without_marked_layers_says_so():
    with pytest.raises(UserError, match=r"layers of 'mine' .* backbone.checkpointing"):
        recompute(nn.Linear(2, 2), "mine")
