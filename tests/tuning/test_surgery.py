"""Gradient surgery (method.md §3): by hand, and by properties over one list of inputs.

The same inputs try the sum that surgery ends in: see ``COMBINATIONS``.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from dawgen.tuning import project
from dawgen.tuning.combine import Draw
from dawgen.tuning.gradients import Gradients, joint_gradient

Operation = Callable[[Tensor, Tensor], Tensor]
"""Synthetic and real gradients [R, P, H] to one gradient of each arm [R, P, H]."""


def gradients(seed: int) -> Tensor:
    """Of six arms, each of which has a prompt of 20 tokens and 32 units."""
    return torch.randn(6, 20, 32, generator=torch.Generator().manual_seed(seed))


def orthogonal_to(real: Tensor, other: Tensor) -> Tensor:
    share = (other * real).sum((1, 2), keepdim=True) / real.square().sum((1, 2), keepdim=True)
    return other - share * real


def inputs() -> dict[str, tuple[Tensor, Tensor]]:
    """Synthetic and real gradients, which all properties hold for."""
    real, other = gradients(0), gradients(1)
    conflict = other - 0.5 * real
    return {
        "random": (other, real),
        "conflict": (conflict, real),
        "aligned": (3.0 * real, real),
        "opposed": (-0.1 * real, real),
        "orthogonal": (orthogonal_to(real, other), real),
        "no synthetic": (torch.zeros_like(real), real),
        "no real": (other, torch.zeros_like(real)),
        "neither": (torch.zeros_like(real), torch.zeros_like(real)),
        "tiny": (1e-12 * conflict, 1e-12 * real),
        "huge": (1e12 * conflict, 1e12 * real),
        "tiny beside huge": (1e-12 * conflict, 1e12 * real),
        "of a bf16 model": (conflict.bfloat16().float(), real.bfloat16().float()),
        "one arm in conflict": (torch.cat([conflict[:1], real[1:]]), real),
    }


INPUTS = inputs()
each_input = pytest.mark.parametrize(("synthetic", "real"), list(INPUTS.values()), ids=list(INPUTS))


def surgery(synthetic: Tensor, real: Tensor) -> Tensor:
    return project(synthetic, real).projected


def combination(draw: Draw) -> Operation:
    def joint(synthetic: Tensor, real: Tensor) -> Tensor:
        both = Gradients(real, synthetic, torch.zeros(1), torch.zeros(1, 2))
        return joint_gradient(both, [draw] * len(real)).gradient

    return joint


COMBINATIONS = {
    "surgery": combination(Draw([0], [0], 1.0, 0.7, surgery=True)),
    "paired": combination(Draw([0], [0], 1.0, 0.7)),
    "mixed": combination(Draw([0], [0], 0.25, 0.75)),
    "real": combination(Draw([0], [], 1.0, 0.0)),
    "synthetic": combination(Draw([], [0], 0.0, 1.0)),
}
OPERATIONS = {"projection": surgery, **COMBINATIONS}
each_operation = pytest.mark.parametrize("operation", OPERATIONS.values(), ids=list(OPERATIONS))


# --- the properties ---------------------------------------------------------------------------


def inner(one: Tensor, other: Tensor) -> Tensor:
    """Inner products [R] over the whole prompts, without rounding."""
    return (one.double() * other.double()).sum((1, 2))


def norms(one: Tensor, other: Tensor) -> Tensor:
    return (inner(one, one) * inner(other, other)).sqrt()


def assert_non_conflicting(synthetic: Tensor, real: Tensor) -> None:
    """The projected gradient never points against the real one, by more than rounding."""
    projected = surgery(synthetic, real)
    assert projected.isfinite().all()
    assert (inner(projected, real) >= -1e-6 * norms(synthetic, real)).all()


def assert_unchanged_without_conflict(synthetic: Tensor, real: Tensor) -> None:
    """Gradients that agree come back bit for bit; those in clear conflict do not."""
    projected, cosine, conflict = project(synthetic, real)
    clear = inner(synthetic, real).abs() > 1e-6 * norms(synthetic, real)
    assert torch.equal(conflict[clear], (inner(synthetic, real) < 0)[clear])
    assert torch.equal(projected[~conflict], synthetic[~conflict])
    assert all(not torch.equal(projected[arm], synthetic[arm]) for arm in conflict.nonzero())
    expected = (inner(synthetic, real) / norms(synthetic, real)).nan_to_num(0.0)
    torch.testing.assert_close(cosine.double(), expected, atol=1e-5, rtol=0)


def assert_only_the_conflict_is_taken(synthetic: Tensor, real: Tensor) -> None:
    """All of the part against the real gradient goes, and what is orthogonal to it stays."""
    projected, _, conflict = project(synthetic, real)
    assert (inner(projected, real) <= 1e-6 * norms(synthetic, real))[conflict].all()
    taken = synthetic - projected
    aligned = inner(taken, real).abs()
    torch.testing.assert_close(
        aligned, norms(taken, real), atol=1e-5 * float(norms(synthetic, real).max()), rtol=1e-3
    )


def assert_arguments_untouched(operation: Operation, synthetic: Tensor, real: Tensor) -> None:
    before = synthetic.clone(), real.clone()
    operation(synthetic, real)
    assert torch.equal(synthetic, before[0])
    assert torch.equal(real, before[1])


def assert_scale_equivariant(operation: Operation, synthetic: Tensor, real: Tensor) -> None:
    """Both gradients doubled double the result, to the bit: a power of two rounds nothing."""
    for factor in (2.0, 0.25):
        scaled = operation(factor * synthetic, factor * real)
        assert torch.equal(scaled, factor * operation(synthetic, real))


def assert_independent_of_the_real_scale(synthetic: Tensor, real: Tensor) -> None:
    """Only the direction of the real gradient counts."""
    assert torch.equal(surgery(synthetic, 4.0 * real), surgery(synthetic, real))


def assert_permutation_equivariant(operation: Operation, synthetic: Tensor, real: Tensor) -> None:
    """Arms in another order come out in that order, tokens and units too."""
    arms = torch.tensor([3, 0, 5, 1, 4, 2])
    whole = operation(synthetic, real)
    assert torch.equal(operation(synthetic[arms], real[arms]), whole[arms])
    size = 1e-5 * max(float(synthetic.abs().max()), float(real.abs().max()))
    for axis in (1, 2):
        found = operation(synthetic.flip(axis), real.flip(axis))
        torch.testing.assert_close(found, whole.flip(axis), atol=size, rtol=1e-5)


def assert_an_arm_alone_is_an_arm_in_a_stack(
    operation: Operation, synthetic: Tensor, real: Tensor
) -> None:
    stacked = operation(synthetic, real)
    size = 1e-6 * max(float(synthetic.abs().max()), float(real.abs().max()))
    for arm in range(len(real)):
        alone = operation(synthetic[arm : arm + 1], real[arm : arm + 1])
        torch.testing.assert_close(alone[0], stacked[arm], atol=size, rtol=1e-6)


def assert_never_against_the_real_gradient(synthetic: Tensor, real: Tensor) -> None:
    """After surgery a step goes at least as far down the real loss as without synthetic rows."""
    joint = COMBINATIONS["surgery"](synthetic, real)
    lost = inner(real, real) - inner(joint, real)
    assert (lost <= 1e-6 * (norms(synthetic, real) + inner(real, real))).all()


@each_input
def test_surgery(synthetic: Tensor, real: Tensor) -> None:
    assert_non_conflicting(synthetic, real)
    assert_unchanged_without_conflict(synthetic, real)
    assert_only_the_conflict_is_taken(synthetic, real)
    assert_independent_of_the_real_scale(synthetic, real)
    assert_never_against_the_real_gradient(synthetic, real)


@each_operation
@each_input
def test_surgery_and_every_combination(
    operation: Operation, synthetic: Tensor, real: Tensor
) -> None:
    assert_arguments_untouched(operation, synthetic, real)
    assert_scale_equivariant(operation, synthetic, real)
    assert_permutation_equivariant(operation, synthetic, real)
    assert_an_arm_alone_is_an_arm_in_a_stack(operation, synthetic, real)


# --- by hand ----------------------------------------------------------------------------------


def test_a_conflict_worked_by_hand() -> None:
    # real (3, 4), synthetic (1, -2): dot 3 - 8 = -5, |real|² 25, share -1/5,
    # projected (1, -2) + (3, 4) / 5 = (1.6, -1.2), cosine -5 / (5 · √5)
    real = torch.tensor([[[3.0, 4.0]]])
    synthetic = torch.tensor([[[1.0, -2.0]]])
    projected, cosine, conflict = project(synthetic, real)
    torch.testing.assert_close(projected, torch.tensor([[[1.6, -1.2]]]))
    assert cosine.tolist() == pytest.approx([-1 / 5**0.5])
    assert conflict.tolist() == [True]


def test_the_dot_product_is_over_the_whole_prompt_not_each_token() -> None:
    # token by token: -1 and +4; over the prompt +3, so there is no conflict
    real = torch.tensor([[[1.0, 0.0], [0.0, 2.0]]])
    synthetic = torch.tensor([[[-1.0, 0.0], [0.0, 2.0]]])
    projected, _, conflict = project(synthetic, real)
    assert conflict.tolist() == [False]
    assert torch.equal(projected, synthetic)


def test_each_arm_is_judged_alone() -> None:
    # summed over the arms the gradients agree (+9 - 1), but arm 1 conflicts
    real = torch.tensor([[[3.0]], [[1.0]]])
    synthetic = torch.tensor([[[3.0]], [[-1.0]]])
    projected, cosine, conflict = project(synthetic, real)
    assert conflict.tolist() == [False, True]
    assert projected.flatten().tolist() == [3.0, 0.0]
    assert cosine.tolist() == [1.0, -1.0]


@pytest.mark.parametrize(
    ("combination", "expected"),
    [
        ("surgery", [3.0 + 0.7 * 1.6, 4.0 - 0.7 * 1.2]),
        ("paired", [3.7, 2.6]),
        ("mixed", [1.5, -0.5]),
        ("real", [3.0, 4.0]),
        ("synthetic", [1.0, -2.0]),
    ],
)
def test_combinations_worked_by_hand(combination: str, expected: list[float]) -> None:
    real, synthetic = torch.tensor([[[3.0, 4.0]]]), torch.tensor([[[1.0, -2.0]]])
    joint = COMBINATIONS[combination](synthetic, real)
    torch.testing.assert_close(joint, torch.tensor([[expected]]))
