"""(c) The gradient of the token weights: dawgen's meta-step against double backward.

python -m benchmarks.meta
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from benchmarks.measure import Bar, Job, main
from benchmarks.models import load
from dawgen.backbone import linear as products
from dawgen.backbone.head import Head
from dawgen.generator import meta, objectives
from dawgen.generator.examples import Batch, epoch_batches, make_shots
from dawgen.generator.fit import label_prompt_start
from dawgen.generator.outer import OuterLoss
from dawgen.generator.scoring import score_all, score_own
from dawgen.settings.layers import build_settings
from dawgen.streams import Streams
from dawgen.tasks import load_card, load_rows, packaged_data, sample_shots

RATE = 0.02
ELSEWHERE = "double backward, PyTorch's products"


class _Step:
    """A batch of the demo task's shots, and both losses on it."""

    def __init__(self, job: Job) -> None:
        settings = build_settings(preset="tiny" if job.device == "cpu" else "t5-large")[0]
        chosen, card = settings.generator, load_card("demo")
        self.backbone = load(job.model, job.device, job.seed)
        pool = load_rows(card, packaged_data(card)["train"], split="train")
        shots = make_shots(
            card,
            sample_shots(card, pool, 8, job.seed).train,
            self.backbone,
            prompt_length=chosen.prompt_length,
            max_length=chosen.max_length,
            write_first=False,
        )
        self.batch: Batch = next(epoch_batches(shots, chosen.batch_size, Streams(job.seed), 0))
        self.labels = self.batch.labels.to(self.backbone.device)
        self.prompts = label_prompt_start(card, self.backbone, chosen.prompt_length)
        self.prompts.requires_grad_()

    def losses(self, prompts: Tensor) -> Tensor:
        """Each token's own loss [B,T]."""
        return -score_own(self.backbone, prompts, self.batch.examples, self.labels).log_probs

    def outer(self, prompts: Tensor, weights: Tensor) -> Tensor:
        """L_disc, in one piece."""
        scored = score_all(self.backbone, prompts, self.batch.examples, self.labels)
        return objectives.discriminative_loss(scored.log_probs, self.labels, scored.mask)


def ours(job: Job) -> Callable[[], float]:
    """As dawgen does."""
    step = _Step(job)

    def work() -> float:
        with step.backbone.eager_attention():
            losses = step.losses(step.prompts)
        mask = losses != 0
        outer = OuterLoss(step.backbone, step.batch, step.labels, 0.0)
        found = meta.meta_gradient(step.prompts, losses, mask.float(), mask, outer, RATE)
        return float(found.weights.sum()) * 0.0

    return work


def _by_all_logits(head: Head, hidden: Tensor, targets: Tensor) -> Tensor:
    logits = head.logits(hidden)
    return logits.gather(-1, targets[:, None])[:, 0] - logits.logsumexp(-1)


def double_backward(job: Job) -> Callable[[], float]:
    """A graph through the look-ahead's gradient, and log-probabilities by way of all logits.

    Fused attention has no such graph, so it is eager.
    """
    step = _Step(job)
    step.backbone.head.log_probs = partial(_by_all_logits, step.backbone.head)  # type: ignore

    def work() -> float:
        with step.backbone.eager_attention():
            losses = step.losses(step.prompts)
            mask = losses != 0
            weights = mask.float().requires_grad_()
            inner = objectives.weighted_generation_loss(losses, weights, mask)
            (gradient,) = torch.autograd.grad(inner, step.prompts, create_graph=True)
            value = step.outer(step.prompts - RATE * gradient, weights)
            (found,) = torch.autograd.grad(value, weights)
        return float(found.sum()) * 0.0

    return work


def double_backward_elsewhere(job: Job) -> Callable[[], float]:
    """The same with PyTorch's own products, as anybody else's code has them."""
    products.onednn_is_faster = lambda: False  # type: ignore[assignment]
    return double_backward(job)


BARS = {
    device: [
        Bar("of double backward's time", "dawgen", "double backward", most=1.0),
        Bar(
            "of its memory above the loaded model",
            "dawgen",
            "double backward",
            "above_loaded_mib",
            most=0.6,
        ),
        Bar("of its time with PyTorch's products", "dawgen", ELSEWHERE, most=1.0),
    ]
    for device in ("cpu", "cuda")
}

if __name__ == "__main__":
    arms = {
        "dawgen": ours,
        "double backward": double_backward,
        ELSEWHERE: double_backward_elsewhere,
    }
    main("meta", "Meta-gradient against double backward", arms, BARS)
