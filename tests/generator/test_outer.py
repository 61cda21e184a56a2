"""The outer loss in pieces against the same loss in one."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from dawgen.backbone import Backbone
from dawgen.generator import meta, objectives
from dawgen.generator.examples import Batch, make_shots
from dawgen.generator.fit import label_prompt_start
from dawgen.generator.outer import OuterLoss
from dawgen.generator.scoring import distinction, score_all, score_own, score_rest
from tests.generator.test_fit import CARD, ROWS


@pytest.fixture
def batch(tiny_bart: Backbone) -> Batch:
    shots = make_shots(CARD, ROWS, tiny_bart, prompt_length=3, max_length=99, write_first=True)
    return Batch(tuple(shots))


@pytest.mark.parametrize("dist_weight", [0.0, 0.7])
def test_pieces_add_up_to_the_whole(tiny_bart: Backbone, batch: Batch, dist_weight: float) -> None:
    labels = batch.labels
    prompts = label_prompt_start(CARD, tiny_bart, 3)
    mask = score_own(tiny_bart, prompts, batch.examples, labels).mask
    weights = torch.rand(mask.shape, generator=torch.Generator().manual_seed(1)) * mask

    def in_one(prompts: Tensor, weights: Tensor) -> Tensor:
        scored = score_all(tiny_bart, prompts, batch.examples, labels)
        disc = objectives.discriminative_loss(scored.log_probs, labels, scored.mask)
        return disc + dist_weight * distinction(weights, scored.hidden, scored.mask, batch)

    found = OuterLoss(tiny_bart, batch, labels, dist_weight)(prompts, weights)
    expected = meta.whole(in_one)(prompts, weights)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-7)
    assert bool(found.by_weights.any()) == bool(dist_weight)


def test_the_rest_joins_what_is_known(tiny_bart: Backbone, batch: Batch) -> None:
    labels, prompts = batch.labels, label_prompt_start(CARD, tiny_bart, 3)
    expected = score_all(tiny_bart, prompts, batch.examples, labels).log_probs
    own = score_own(tiny_bart, prompts, batch.examples, labels).log_probs
    found = score_rest(tiny_bart, prompts, batch.examples, labels, own)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
