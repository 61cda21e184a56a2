"""Both gradients from one pass: against one backward for each arm and kind of row."""

from __future__ import annotations

import pytest
import torch

from dawgen.backbone import Backbone
from dawgen.tuning.combine import Draw
from dawgen.tuning.gradients import Gradients, both_gradients, clip, cross_entropy, joint_gradient
from dawgen.tuning.rows import encode, join
from tests.tuning.toy import toy_card, toy_rows

DRAWS = [
    Draw([0, 3, 5], [1, 2, 4, 7], 1.0, 0.5, surgery=True),
    Draw([2], [0, 6], 1.0, 0.5),
    Draw([1, 4], [], 1.0, 0.0),
]


@pytest.fixture(params=["tiny_t5", "tiny_gpt2", "tiny_bart"])
def backbone(request) -> Backbone:
    return request.getfixturevalue(request.param)


def prompts_of(backbone: Backbone) -> torch.Tensor:
    return torch.randn(3, 4, backbone.hidden_size, generator=torch.Generator().manual_seed(1))


def gradients(backbone: Backbone, tokens_per_batch: int) -> Gradients:
    card = toy_card()
    real, synthetic = (encode(card, toy_rows(8, seed), backbone, 4) for seed in (0, 1))
    rows = join(DRAWS, [real] * 3, [synthetic] * 3, [0.1, 0.0, 0.0])
    words = backbone.label_word_ids(card)
    return both_gradients(prompts_of(backbone), rows, words, backbone, tokens_per_batch)


def one_gradient(backbone: Backbone, arm: int, seed: int, places: list[int], smoothing: float):
    """The reference: this arm's mean loss over these rows alone, row after row, unpadded."""
    card = toy_card()
    words = backbone.label_word_ids(card)
    prompt = prompts_of(backbone)[arm].requires_grad_()
    rows = toy_rows(8, seed)
    total = torch.zeros(())
    for place in places:
        ids = backbone.encode_rows(card, [rows[place]], 4)
        scores = backbone.label_scores(prompt[None], ids, words)
        label = torch.tensor([card.label_index(rows[place].label)])
        loss = torch.nn.functional.cross_entropy(scores, label, label_smoothing=smoothing)
        total = total + loss / len(places)
    return torch.autograd.grad(total, prompt)[0]


def test_each_gradient_is_the_one_a_backward_of_its_own_gives(backbone):
    found = gradients(backbone, 8192)
    for arm, draw in enumerate(DRAWS):
        expected = one_gradient(backbone, arm, 0, draw.real, 0.0)
        torch.testing.assert_close(found.real[arm], expected, atol=1e-5, rtol=1e-3)
        assert expected.abs().max() > 1e-3
        if draw.synthetic:
            smoothing = 0.1 if arm == 0 else 0.0
            expected = one_gradient(backbone, arm, 1, draw.synthetic, smoothing)
            torch.testing.assert_close(found.synthetic[arm], expected, atol=1e-5, rtol=1e-3)
    assert not found.synthetic[2].any()  # an arm without synthetic rows has no such gradient


def test_a_split_batch_is_the_whole_batch(backbone, monkeypatch):
    calls = []
    inner = backbone.label_scores

    def counted(prompts, inputs, words):
        calls.append(len(inputs))
        return inner(prompts, inputs, words)

    monkeypatch.setattr(backbone, "label_scores", counted)
    monkeypatch.setattr("dawgen.backbone.memory.call_cost", lambda _device: 10**6)
    whole = gradients(backbone, 10**6)
    assert calls == [12]
    calls.clear()
    split = gradients(backbone, 40)
    assert len(calls) > 4
    assert sum(calls) == 12
    for one, other in zip(whole, split, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


def test_the_backbone_gets_no_gradient(backbone):
    gradients(backbone, 8192)
    assert all(weight.grad is None for weight in backbone.model.parameters())
    assert not any(weight.requires_grad for weight in backbone.model.parameters())


def test_cross_entropy_by_hand():
    # p = (3/4, 1/4): 0.9 · log(4/3) + 0.1 · log 4
    scores = torch.tensor([[3.0, 1.0]]).log() + 5.0
    loss = cross_entropy(scores, torch.tensor([[0.9, 0.1]]))
    assert loss.item() == pytest.approx(0.9 * 0.2876821 + 0.1 * 1.3862944)


def test_each_arm_joins_by_its_own_draw():
    # as in test_surgery: after surgery the synthetic gradient is (1.6, -1.2)
    real = torch.tensor([[[3.0, 4.0]]]).expand(2, -1, -1)
    synthetic = torch.tensor([[[1.0, -2.0]]]).expand(2, -1, -1)
    draws = [Draw([0], [0], 1.0, 0.5, surgery=True), Draw([0], [0], 0.25, 0.75)]
    update = joint_gradient(Gradients(real, synthetic, torch.zeros(1), torch.zeros(1, 2)), draws)
    torch.testing.assert_close(update.gradient[:, 0], torch.tensor([[3.8, 3.4], [1.5, -0.5]]))


def test_clipping_shortens_long_gradients_only():
    gradient = torch.tensor([[[3.0, 4.0]], [[0.3, 0.4]]])
    torch.testing.assert_close(clip(gradient, 1.0), torch.tensor([[[0.6, 0.8]], [[0.3, 0.4]]]))
    assert clip(gradient, None) is gradient
