"""The token-weight network: from how well a token tells the labels apart to its weight in (2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class TokenWeights(nn.Module):
    """1 → hidden → 1 with ReLU on each token's discriminative loss, then softmax over the batch.

    The network and its size are FewGen's (Meng et al. 2023). The softmax runs over all N valid
    tokens of the batch; the weights are N times it, so that their mean is 1, tokens that weigh
    alike weigh 1, and (2) falls back to (1).
    """

    def __init__(self, hidden: int = 100, rng: torch.Generator | None = None) -> None:
        super().__init__()
        self.first = nn.Linear(1, hidden)
        self.second = nn.Linear(hidden, 1)
        with torch.no_grad():
            for layer in (self.first, self.second):
                bound = layer.in_features**-0.5
                for parameter in layer.parameters():
                    parameter.uniform_(-bound, bound, generator=rng)

    def forward(self, token_loss: Tensor, mask: Tensor) -> Tensor:
        """Weights [B,T] of mean 1 over ``mask``, 0 elsewhere.

        ``token_loss`` [B,T] is :func:`~dawgen.generator.objectives.discriminative_token_loss`; it
        is an input, not a path: no gradient flows through it to the prompts.
        """
        inputs = token_loss.detach().unsqueeze(-1).to(self.first.weight.dtype)
        scores = self.second(torch.relu(self.first(inputs))).squeeze(-1)
        share = scores.masked_fill(~mask, -torch.inf).flatten().softmax(0).view_as(scores)
        return share * mask.sum()


def equal_weights(mask: Tensor) -> Tensor:
    """W = 1 on every valid token of ``mask`` [B,T]: with it (2) is (1)."""
    return mask.to(torch.float32)
