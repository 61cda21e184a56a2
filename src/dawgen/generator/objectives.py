"""What the generator minimises: equations (1) to (4) of the method, as plain functions of tensors.

Letters: C labels, B examples in a batch, T target tokens, H hidden size, N valid tokens of the
batch (``mask.sum()``). One convention holds throughout: **E_j is the mean over the N valid tokens
of the whole batch**, so a long text counts for more than a short one, and a weight of 1 everywhere
makes (2) equal to (1). Where a batch holds as many rows of every label, its mean is the mean of
the labels' own losses of (1) and (2), up to the texts' lengths.
"""

from __future__ import annotations

import torch
from torch import Tensor


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """E_j: the mean of ``values`` [B,T] over the tokens where ``mask`` [B,T] is true."""
    return torch.where(mask, values, values.new_zeros(())).sum() / mask.sum()


def own_label(values: Tensor, labels: Tensor) -> Tensor:
    """From ``values`` [C,B,...] each example's entry under its own label, [B,...].

    ``labels`` [B] are the examples' own labels.
    """
    return values[labels, torch.arange(labels.shape[0], device=labels.device)]


def generation_loss(token_losses: Tensor, mask: Tensor) -> Tensor:
    """(1), plain: L_gen = E_j -log p(x_j | x_<j; Q_y).

    ``token_losses`` [B,T] are the tokens' own losses, -log p under their own label's prompt.
    """
    return masked_mean(token_losses, mask)


def weighted_generation_loss(token_losses: Tensor, weights: Tensor, mask: Tensor) -> Tensor:
    """(2), weighted: L_wGen = E_j W_j · -log p(x_j | x_<j; Q_y).

    ``weights`` [B,T] have mean 1 over the valid tokens (:class:`~dawgen.generator.weights.
    TokenWeights` gives N times a softmax), which makes this FewGen's Σ_j softmax_j · loss_j.
    """
    return masked_mean(weights * token_losses, mask)


def label_ratio(log_probs: Tensor, labels: Tensor) -> Tensor:
    """The ratio in (3): p(x_j; Q_y) / Σ_l p(x_j; Q_l), for every token: [B,T] in 0..1.

    ``log_probs`` [C,B,T] are the tokens' log-probabilities under every label's prompt. 1/C says
    that the token does not tell the labels apart.
    """
    return own_label(log_probs.log_softmax(0), labels).exp()


def discriminative_loss(log_probs: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
    """(3): L_disc = -E_j p(x_j; Q_y) / Σ_l p(x_j; Q_l), between -1 and 0."""
    return -masked_mean(label_ratio(log_probs, labels), mask)


def discriminative_token_loss(scores: Tensor, labels: Tensor) -> Tensor:
    """What the weight network looks at: the token's cross-entropy over the label prompts, [B,T].

    FewGen takes the softmax over the label prompts of the token's raw logit. We take it of the
    log-probability, so that this is -log of the ratio in (3): a logit is only defined up to a
    constant of its position. The function itself takes either as ``scores`` [C,B,T].
    """
    return -own_label(scores.log_softmax(0), labels)


def sentence_vectors(weights: Tensor, hidden: Tensor, mask: Tensor) -> Tensor:
    """s_i = Σ_t W_t Z_i,t over a text's valid tokens: weights [B,T], hidden [B,T,H] → [B,H]."""
    return torch.einsum("bt,bth->bh", weights * mask, hidden)


def distinction_loss(vectors: Tensor, labels: Tensor, margin: float = 1.0) -> Tensor:
    """(4): L_dist = E max(0, margin - cos(s_i, s_j) + cos(s_i, s_k)), y_i = y_j ≠ y_k, i ≠ j.

    The mean runs over **all** such ordered triples of the batch. ``vectors`` [R,H] are the rows'
    sentence vectors, ``labels`` [R]. A batch without a triple (every label once, or one label
    only) gives 0, still part of the graph, so that its gradient is 0 rather than missing.
    """
    unit = torch.nn.functional.normalize(vectors, dim=-1)
    cosine = unit @ unit.T
    same = labels[:, None] == labels[None, :]
    other = ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    triple = (same & other)[:, :, None] & ~same[:, None, :]
    hinge = (margin - cosine[:, :, None] + cosine[:, None, :]).clamp_min(0)
    return (hinge * triple).sum() / triple.sum().clamp_min(1)


def weight_entropy(weights: Tensor, mask: Tensor) -> Tensor:
    """How evenly the weight is spread: entropy of W / N over the valid tokens ÷ log N, in 0..1.

    1 says that all tokens weigh alike, 0 that a single token has everything (N = 1 counts as 1).
    """
    share = weights[mask] / weights[mask].sum()
    if share.numel() < 2:
        return share.new_ones(())
    entropy = torch.special.entr(share).sum()
    return entropy / torch.log(torch.tensor(float(share.numel()), device=share.device))
