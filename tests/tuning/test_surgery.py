"""Gradient surgery on numbers worked out by hand (method.md §3)."""

from __future__ import annotations

import pytest
import torch

from dawgen.tuning import project


def gradients(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_a_conflict_worked_by_hand():
    # real (3, 4), synthetic (1, -2): dot 3 - 8 = -5, |real|² 25, share -1/5,
    # projected (1, -2) + (3, 4) / 5 = (1.6, -1.2), cosine -5 / (5 · √5)
    real = torch.tensor([[[3.0, 4.0]]])
    synthetic = torch.tensor([[[1.0, -2.0]]])
    projected, cosine, conflict = project(synthetic, real)
    torch.testing.assert_close(projected, torch.tensor([[[1.6, -1.2]]]))
    assert cosine.tolist() == pytest.approx([-1 / 5**0.5])
    assert conflict.tolist() == [True]


def test_the_dot_product_is_over_the_whole_prompt_not_each_token():
    # token by token: -1 and +4; over the prompt +3, so there is no conflict
    real = torch.tensor([[[1.0, 0.0], [0.0, 2.0]]])
    synthetic = torch.tensor([[[-1.0, 0.0], [0.0, 2.0]]])
    projected, _, conflict = project(synthetic, real)
    assert conflict.tolist() == [False]
    assert torch.equal(projected, synthetic)


def test_each_arm_is_judged_alone():
    # summed over the arms the gradients agree (+9 - 1), but arm 1 conflicts
    real = torch.tensor([[[3.0]], [[1.0]]])
    synthetic = torch.tensor([[[3.0]], [[-1.0]]])
    projected, cosine, conflict = project(synthetic, real)
    assert conflict.tolist() == [False, True]
    assert projected.flatten().tolist() == [3.0, 0.0]
    assert cosine.tolist() == [1.0, -1.0]


def test_gradients_that_agree_are_unchanged_bit_for_bit():
    real = gradients(6, 4, 8)
    synthetic = gradients(6, 4, 8, seed=1)
    synthetic = torch.where((real * synthetic).sum((1, 2), keepdim=True) < 0, -synthetic, synthetic)
    projected, _, conflict = project(synthetic, real)
    assert not conflict.any()
    assert torch.equal(projected, synthetic)


def test_after_surgery_the_two_are_orthogonal():
    real = gradients(6, 20, 32)
    synthetic = -0.5 * real + gradients(6, 20, 32, seed=1)
    projected, cosine, conflict = project(synthetic, real)
    assert conflict.all()
    assert (cosine < -0.2).all()
    left = (projected * real).sum((1, 2)) / real.square().sum((1, 2))
    assert left.abs().max() < 1e-6
    assert (projected.flatten(1).norm(dim=1) > 1.0).all()  # not simply emptied


def test_the_real_gradient_is_never_changed():
    real, synthetic = gradients(3, 4, 5), -gradients(3, 4, 5)
    before = real.clone(), synthetic.clone()
    project(synthetic, real)
    assert torch.equal(real, before[0])
    assert torch.equal(synthetic, before[1])


@pytest.mark.parametrize("missing", ["real", "synthetic"])
def test_a_gradient_of_zero_is_no_conflict_and_gives_no_nan(missing):
    real, synthetic = gradients(1, 2, 3), gradients(1, 2, 3, seed=1)
    (real if missing == "real" else synthetic).zero_()
    projected, cosine, conflict = project(synthetic, real)
    assert torch.equal(projected, synthetic)
    assert cosine.tolist() == [0.0]
    assert conflict.tolist() == [False]
