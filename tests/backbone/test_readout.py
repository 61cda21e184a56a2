"""Log-probabilities without kept logits, against the formula written out."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from dawgen.backbone import readout as module
from dawgen.backbone.readout import Readout, log_probs

VARIANTS = {
    "plain": (False, 1.0, None),
    "bias": (True, 1.0, None),
    "scale": (False, 0.3, None),
    "all": (True, 0.7, 1.5),
}


@pytest.fixture(params=VARIANTS)
def last_layer(request: pytest.FixtureRequest) -> Readout:
    with_bias, scale, cap = VARIANTS[request.param]
    rng = torch.Generator().manual_seed(3)
    weight = torch.randn(17, 6, generator=rng)
    return Readout(weight, torch.randn(17, generator=rng) if with_bias else None, scale, cap)


@pytest.fixture(autouse=True)
def in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two rows at once, so that seven make four pieces."""
    monkeypatch.setattr(module, "_AT_ONCE", {"cpu": 2 * 17})
    monkeypatch.setattr(module, "_FEWEST", 1)


HIDDEN = torch.randn(7, 6, generator=torch.Generator().manual_seed(4))
TARGETS = torch.tensor([3, 0, 16, 3, 9, 1, 2])


def written_out(layer: Readout, hidden: Tensor) -> Tensor:
    """The formula in fp64."""
    weight = layer.weight.double()
    logits = layer.scale * hidden.double() @ weight.T
    if layer.bias is not None:
        logits = logits + layer.bias.double()
    if layer.cap is not None:
        logits = layer.cap * torch.tanh(logits / layer.cap)
    return torch.log_softmax(logits, -1)[torch.arange(7), TARGETS]


def test_values(last_layer: Readout) -> None:
    found = log_probs(last_layer, HIDDEN, TARGETS)
    expected = written_out(last_layer, HIDDEN)
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-5)
    assert not found.requires_grad


def test_gradients(last_layer: Readout) -> None:
    cotangent = torch.linspace(-1, 2, 7)
    hidden = HIDDEN.clone().requires_grad_()
    log_probs(last_layer, hidden, TARGETS).backward(cotangent)
    reference = HIDDEN.double().requires_grad_()
    written_out(last_layer, reference).backward(cotangent.double())
    assert hidden.grad is not None
    torch.testing.assert_close(hidden.grad.double(), reference.grad, rtol=1e-5, atol=1e-6)


def test_gradients_of_gradients(last_layer: Readout) -> None:
    """By the hidden states and by the cotangent."""

    def second(start: Tensor, values: object) -> tuple[Tensor, ...]:
        hidden = start.clone().requires_grad_()
        cotangent = torch.linspace(-1, 2, 7, dtype=start.dtype).requires_grad_()
        found = values(hidden)  # type: ignore[operator]
        (first,) = torch.autograd.grad(found, hidden, cotangent, create_graph=True)
        return torch.autograd.grad(first.pow(3).sum(), (hidden, cotangent))

    ours = second(HIDDEN, lambda hidden: log_probs(last_layer, hidden, TARGETS))
    theirs = second(HIDDEN.double(), lambda hidden: written_out(last_layer, hidden))
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine.double(), other, rtol=1e-4, atol=1e-5)


def test_weights_that_are_tuned_get_their_gradients(last_layer: Readout) -> None:
    weight = last_layer.weight.clone().requires_grad_()
    log_probs(last_layer._replace(weight=weight), HIDDEN, TARGETS).sum().backward()
    reference = last_layer.weight.double().requires_grad_()
    written_out(last_layer._replace(weight=reference), HIDDEN).sum().backward()
    assert weight.grad is not None
    torch.testing.assert_close(weight.grad.double(), reference.grad, rtol=1e-4, atol=1e-5)


def test_nothing_as_wide_as_the_vocabulary_is_kept(last_layer: Readout) -> None:
    hidden = HIDDEN.clone().requires_grad_()
    node = log_probs(last_layer, hidden, TARGETS).grad_fn
    assert node is not None
    assert max(tensor.numel() for tensor in node.saved_tensors) == HIDDEN.numel()


def test_rows_of_half_precision_come_near(last_layer: Readout) -> None:
    half = Readout(last_layer.weight.bfloat16(), last_layer.bias, last_layer.scale, last_layer.cap)
    hidden = HIDDEN.bfloat16().requires_grad_()
    found = log_probs(half, hidden, TARGETS)
    found.sum().backward()
    reference = HIDDEN.double().requires_grad_()
    written_out(last_layer, reference).sum().backward()
    assert found.dtype == torch.float32
    assert hidden.grad is not None
    assert hidden.grad.dtype == torch.bfloat16
    torch.testing.assert_close(hidden.grad.double(), reference.grad, rtol=0.1, atol=0.1)


def test_a_target_is_read_in_fp32_where_the_model_is_in_bf16() -> None:
    """A logit near 20 in bf16 is off by up to 1/16; so would be words that are compared."""
    rng = torch.Generator().manual_seed(1)
    weight = torch.randn(500, 64, generator=rng).bfloat16()
    hidden = (2.5 * torch.randn(1, 64, generator=rng)).bfloat16()
    logits = (hidden.float() @ weight.float().T)[0]
    targets = logits.argsort()[:50]  # unlikely ones, whose normaliser is the same
    found = log_probs(Readout(weight, None, 1.0, None), hidden.expand(50, -1), targets)
    apart = logits[targets] - logits[targets[0]]
    torch.testing.assert_close(found - found[0], apart, atol=1e-4, rtol=0)


def test_a_large_vocabulary_is_not_read_anew_for_every_few_rows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """2^20 logits at once would be four rows of it."""
    monkeypatch.undo()
    rows, weight = [], torch.zeros(2**18, 1)
    inner = module._with_gradient
    monkeypatch.setattr(
        module, "_with_gradient", lambda *how: rows.append(len(how[1])) or inner(*how)
    )
    log_probs(Readout(weight, None, 1.0, None), torch.zeros(70, 1), torch.zeros(70).long())
    assert rows == [64, 6]
