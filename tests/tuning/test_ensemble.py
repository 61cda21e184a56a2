"""Temporal ensembling, worked by hand."""

from __future__ import annotations

import math

import torch

from dawgen.backbone import Backbone
from dawgen.settings import NoiseSettings
from dawgen.tuning import Arm, TunedPrompt, fit_prompts
from dawgen.tuning.ensemble import Ensemble
from dawgen.tuning.gradients import cross_entropy
from dawgen.tuning.rows import JoinedRows
from tests.tuning.toy import toy_card, toy_rows, toy_settings

NOISE = NoiseSettings(ensembling=True, momentum=0.5, weight=2.0, threshold=0.6)


def drawn(targets: list[list[float]]) -> JoinedRows:
    """One real row, then synthetic rows of one arm."""
    weight = torch.tensor([1.0, *[1 / len(targets)] * len(targets)])
    copy = torch.tensor([0, *[1] * len(targets)])
    return JoinedRows([[1]] * len(copy), torch.tensor([[1.0, 0.0], *targets]), copy, weight)


def test_the_mean_is_bias_corrected() -> None:
    ensemble = Ensemble(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), NOISE)
    ensemble.add([0], torch.tensor([[0.8, 0.2]]))
    torch.testing.assert_close(ensemble.mean([0, 1]), torch.tensor([[0.8, 0.2], [0.0, 0.0]]))
    ensemble.add([0], torch.tensor([[0.2, 0.8]]))
    # sum: 0.5·0.4 + 0.5·0.2 = 0.3; 1 - 0.5² = 0.75
    torch.testing.assert_close(ensemble.mean([0]), torch.tensor([[0.4, 0.6]]))


def test_doubtful_rows_weigh_nothing_and_new_ones_stay() -> None:
    ensemble = Ensemble(torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]), NOISE)
    ensemble.add([0, 1], torch.tensor([[0.7, 0.3], [0.5, 0.5]]))
    rows = drawn([[0.0, 1.0], [1.0, 0.0], [1.0, 0.0]])
    found = ensemble.apply(rows, 1, [1, 2, 0])  # doubtful, new, sure
    assert found.weight.tolist() == [1.0, 0.0, 0.5, 0.5]
    expected = [[1.0, 0.0], [1.0, 2.0], [1.0, 0.0], [2.4, 0.6]]
    torch.testing.assert_close(found.targets, torch.tensor(expected))
    assert rows.targets[1].tolist() == [0.0, 1.0]  # the step's own rows are left alone


def test_all_rows_doubtful_is_no_gradient_rather_than_a_division_by_zero() -> None:
    ensemble = Ensemble(torch.tensor([[1.0, 0.0]]), NOISE)
    ensemble.add([0], torch.tensor([[0.1, 0.9]]))
    assert ensemble.apply(drawn([[1.0, 0.0]]), 1, [0]).weight.tolist() == [1.0, 0.0]


def test_the_target_gives_the_gradient_of_both_terms() -> None:
    scores = torch.tensor([[0.3, -0.4]], requires_grad=True)
    label, mean = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.7, 0.3]])
    log_p = torch.log_softmax(scores, dim=-1)
    published = -(label * log_p).sum() + 2.0 * (mean * (mean.log() - log_p)).sum()
    (expected,) = torch.autograd.grad(published, scores)
    (found,) = torch.autograd.grad(cross_entropy(scores, label + 2.0 * mean).sum(), scores)
    torch.testing.assert_close(found, expected)
    assert not math.isclose(float(expected[0, 0]), 0.0)


def tune(backbone: Backbone, **noise: object) -> TunedPrompt:
    (tuned,) = fit_prompts(
        toy_card(),
        [Arm("a", 1, "paired", learning_rate=0.05)],
        toy_rows(8, seed=1),
        toy_rows(8, seed=2),
        toy_rows(12, seed=3),
        backbone,
        toy_settings(steps=6, eval_every=6, noise=noise),
    )
    return tuned


def losses(tuned: TunedPrompt) -> list[float]:
    return [record["synthetic_loss"] for record in tuned.history[1:]]


def test_a_threshold_that_no_row_reaches_leaves_all_seen_rows_out(tiny_bart: Backbone) -> None:
    found = losses(tune(tiny_bart, ensembling=True, threshold=1.0))
    assert min(found[:2]) > 0  # two batches of six: every row for the first time
    assert found[2:] == [0.0] * 4


def test_no_weight_and_no_threshold_is_no_ensembling(tiny_bart: Backbone) -> None:
    plain = tune(tiny_bart)
    without = tune(tiny_bart, ensembling=True, weight=0.0, threshold=0.0)
    ensembled = tune(tiny_bart, ensembling=True, threshold=0.0)
    assert losses(plain) == losses(without)
    assert losses(plain)[:2] == losses(ensembled)[:2]
    assert losses(plain)[2:] != losses(ensembled)[2:]
