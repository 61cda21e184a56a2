"""Products by oneDNN against the same in fp64."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from dawgen.backbone import linear as module
from dawgen.backbone.linear import _OneDnnLinear, linear, quicken, relax

CLOSE = {"rtol": 1e-5, "atol": 1e-5}


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def faster(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the processor were one of those that oneDNN serves better."""
    if not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        pytest.skip("this PyTorch comes without oneDNN")
    monkeypatch.setattr(module, "onednn_is_faster", lambda: True)


@pytest.mark.usefixtures("faster")
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(7, 24), (2, 5, 24), (1, 24)])
def test_product_is_that_of_fp64(shape: tuple[int, ...], bias: bool) -> None:
    x, weight = drawn(*shape), drawn(10, 24, seed=1)
    offset = drawn(10, seed=2) if bias else None
    expected = x.double() @ weight.double().t() + (offset.double() if bias else 0.0)
    torch.testing.assert_close(linear(x, weight, offset).double(), expected, **CLOSE)


@pytest.mark.usefixtures("faster")
def test_gradients_of_input_weight_and_bias_are_those_of_fp64() -> None:
    leaves = [drawn(6, 8), drawn(5, 8, seed=1), drawn(5, seed=2)]
    ours = [leaf.clone().requires_grad_() for leaf in leaves]
    theirs = [leaf.double().requires_grad_() for leaf in leaves]
    linear(*ours).square().sum().backward()
    nn.functional.linear(*theirs).square().sum().backward()
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine.grad.double(), other.grad, **CLOSE)


@pytest.mark.usefixtures("faster")
def test_gradient_of_a_gradient_is_that_of_fp64() -> None:
    def second(x: Tensor, weight: Tensor) -> Tensor:
        x = x.requires_grad_()
        (first,) = torch.autograd.grad(linear(x, weight).pow(3).sum(), x, create_graph=True)
        return torch.autograd.grad(first.square().sum(), x)[0]

    x, weight = drawn(4, 6), drawn(3, 6, seed=1)
    torch.testing.assert_close(
        second(x, weight).double(), second(x.double(), weight.double()), rtol=1e-4, atol=1e-3
    )


@pytest.mark.usefixtures("faster")
def test_the_input_is_kept_for_the_backward_pass_of_trained_weights_only() -> None:
    x = drawn(4, 6).requires_grad_()
    frozen = linear(x, drawn(3, 6)).grad_fn.next_functions[0][0]
    trained = linear(x, drawn(3, 6).requires_grad_()).grad_fn.next_functions[0][0]
    assert [t is None for t in frozen.saved_tensors] == [True, False]
    assert [t is None for t in trained.saved_tensors] == [False, False]


@pytest.mark.usefixtures("faster")
def test_other_formats_go_their_usual_way(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Tensor) -> Tensor:
        raise AssertionError("oneDNN was asked")

    monkeypatch.setattr(_OneDnnLinear, "apply", refuse)
    x, weight = drawn(4, 6), drawn(3, 6)
    assert linear(x.double(), weight.double()).dtype == torch.float64
    assert linear(x.bfloat16(), weight.bfloat16()).dtype == torch.bfloat16
    assert linear(x[:0], weight).shape == (0, 3)
    with pytest.raises(AssertionError, match="oneDNN was asked"):
        linear(x, weight)


@pytest.mark.usefixtures("faster")
def test_layers_change_their_class_and_nothing_else() -> None:
    class Special(nn.Linear):
        pass

    model = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), Special(5, 3), Conv1D(4, 3))
    x = drawn(4, 6)
    names, before = list(model.state_dict()), model(x)
    quicken(model)
    torch.testing.assert_close(model(x), before, **CLOSE)
    assert list(model.state_dict()) == names
    assert isinstance(model[0], nn.Linear)
    assert type(model[0]) is not nn.Linear
    assert type(model[2]) is Special
    assert isinstance(model[3], Conv1D)
    assert type(model[3]) is not Conv1D
    torch.testing.assert_close(copy.deepcopy(model)(x), before, **CLOSE)
    relax(model)
    assert [type(part) for part in model] == [nn.Linear, nn.ReLU, Special, Conv1D]


def test_an_intel_processor_keeps_mkl(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_processor_vendor", lambda: "vendor_id : GenuineIntel")
    module.onednn_is_faster.cache_clear()
    model = nn.Sequential(nn.Linear(2, 2))
    quicken(model)
    assert type(model[0]) is nn.Linear
    module.onednn_is_faster.cache_clear()
