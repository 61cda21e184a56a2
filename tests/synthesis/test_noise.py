from __future__ import annotations

import torch

from dawgen.decoding.noise import _mix, _shift, gumbel, uniform


def splitmix(x: int) -> int:
    """The output function in plain integers (Steele et al. 2014)."""
    mask = 2**64 - 1
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & mask
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & mask
    return x ^ (x >> 31)


def test_mixing_is_splitmix():
    values = [0, 1, 12345678901234567, 2**63 + 5, 2**64 - 1]
    signed = torch.tensor([v - 2**64 if v >= 2**63 else v for v in values], dtype=torch.int64)
    assert [v % 2**64 for v in _mix(signed).tolist()] == [splitmix(v) for v in values]


def test_shift_brings_in_zeros():
    assert _shift(torch.tensor([-1]), 60).item() == 15


SEEDS = torch.arange(50, dtype=torch.int64) * 7919 + 3
TOKENS = torch.arange(400)


def test_noise_depends_on_seed_step_and_token_alone():
    tokens = TOKENS.expand(50, -1)
    whole = uniform(SEEDS, 4, tokens)
    order = torch.randperm(400, generator=torch.Generator().manual_seed(0))
    part = uniform(SEEDS[10:12], 4, tokens[10:12][:, order])
    torch.testing.assert_close(part, whole[10:12][:, order], rtol=0, atol=0)
    for other in (uniform(SEEDS, 5, tokens), uniform(SEEDS + 1, 4, tokens)):
        assert (other == whole).float().mean() < 1e-3


def test_values_are_uniform_and_uncorrelated():
    x = uniform(SEEDS, 0, TOKENS.expand(50, -1))
    assert x.min() > 0
    assert x.max() < 1
    counts = torch.histc(x, bins=20, min=0, max=1)
    expected = x.numel() / 20
    chi_square = ((counts - expected) ** 2 / expected).sum()
    assert chi_square < 43.8  # 99.9 % point at 19 degrees of freedom
    next_step = uniform(SEEDS, 1, TOKENS.expand(50, -1))
    assert abs(torch.corrcoef(torch.stack([x.flatten(), next_step.flatten()]))[0, 1]) < 0.03
    assert abs(torch.corrcoef(torch.stack([x[:, 1:].flatten(), x[:, :-1].flatten()]))[0, 1]) < 0.03


def test_gumbel_noise_samples_from_softmax():
    logits = torch.tensor([2.0, 0.0, -1.0, 1.0])
    seeds = torch.arange(20_000, dtype=torch.int64)
    tokens = torch.arange(4).expand(20_000, -1)
    chosen = (logits + gumbel(seeds, 3, tokens)).argmax(-1)
    counts = torch.bincount(chosen, minlength=4)
    expected = torch.softmax(logits, -1) * 20_000
    assert ((counts - expected) ** 2 / expected).sum() < 16.3  # 99.9 % point, 3 degrees
    assert torch.isfinite(gumbel(seeds, 0, tokens)).all()
