"""The outer loss of the meta-step, L_disc + λ L_dist, and its derivatives, piece by piece."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from dawgen.backbone.inputs import pad_right
from dawgen.generator import objectives
from dawgen.generator.examples import Batch, Example
from dawgen.generator.meta import OuterValue
from dawgen.generator.scoring import distinction, score_all, score_own, score_rest

if TYPE_CHECKING:
    from dawgen.backbone import Backbone


class OuterLoss:
    """F(Q, W) = L_disc(Q) + λ L_dist(Z(Q), W) of a batch.

    (3) compares the labels token by token, so it falls apart into rows: examples of like length
    are scored under all labels and differentiated a few at a time, never with more rows in memory
    than the batch has. (4) needs the hidden states of all rows at once; with it, what the rows'
    own labels say is kept meanwhile and differentiated at the end.

    Attributes:
        disc: L_disc at the prompts that were asked for last.
    """

    def __init__(
        self, backbone: Backbone, batch: Batch, labels: Tensor, dist_weight: float
    ) -> None:
        self.backbone, self.batch, self.labels = backbone, batch, labels
        self.dist_weight = dist_weight
        self.disc = torch.zeros(())
        self.examples = batch.examples
        self._valid = sum(len(example.target) for example in self.examples)

    def __call__(self, prompts: Tensor, weights: Tensor) -> OuterValue:
        """Value and derivatives at prompts [C,P,H] and weights [B,T]."""
        prompts = prompts.detach().requires_grad_()
        weights = weights.detach().requires_grad_()
        own = said = None
        if self.dist_weight:
            own = score_own(self.backbone, prompts, self.examples, self.labels)
            said = own.log_probs.detach().requires_grad_()
        value = torch.zeros((), device=prompts.device)
        # as many rows at once as the batch has, each under every label that is not yet known
        for rows in _cut(self.examples, len(prompts) - (said is not None)):
            value = value + self._share(prompts, rows, None if said is None else said[rows])
        self.disc = value
        if own is not None and said is not None:
            dist = self.dist_weight * distinction(weights, own.hidden, own.mask, self.batch)
            torch.autograd.backward((own.log_probs, dist), (said.grad, None))
            value = value + dist.detach()
        return OuterValue(value, _gradient(prompts), _gradient(weights))

    def _share(self, prompts: Tensor, rows: Sequence[int], said: Tensor | None) -> Tensor:
        """What some rows add to L_disc, differentiated, so that nothing of it stays in memory.

        ``said`` [b,T] is under their own labels, where known.
        """
        examples = [self.examples[row] for row in rows]
        labels = self.labels[rows]
        if said is None:
            log_probs = score_all(self.backbone, prompts, examples, labels).log_probs
        else:
            longest = max(len(example.target) for example in examples)
            log_probs = score_rest(self.backbone, prompts, examples, labels, said[:, :longest])
        mask = pad_right([example.target for example in examples], prompts.device).mask
        ratio = objectives.label_ratio(log_probs, labels)
        share = -torch.where(mask, ratio, 0.0).sum() / self._valid
        share.backward()
        return share.detach()


def _cut(examples: Sequence[Example], parts: int) -> list[list[int]]:
    """The examples' places in as many parts of like length, longest first: the rest then fits
    into the memory that they leave."""
    sizes = [len(example.source) + len(example.target) for example in examples]
    order = sorted(range(len(sizes)), key=sizes.__getitem__, reverse=True)
    size = max(1, len(order) // parts)
    return [order[start : start + size] for start in range(0, len(order), size)]


def _gradient(leaf: Tensor) -> Tensor:
    return torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
