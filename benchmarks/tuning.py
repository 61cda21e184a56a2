"""(a) One prompt-tuning step on a real and a synthetic batch, against PEFT's prompt tuning.

    python -m benchmarks.tuning

PEFT makes two backward passes, one a batch, padded to 128 tokens as the published configurations
do, or to the batch's longest row. Ours is also timed with PyTorch's own products.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import nn

from benchmarks.measure import Bar, Job, main
from benchmarks.peers import PADDED, Setting, peft_batch, peft_model, prepare
from dawgen.backbone import linear as products
from dawgen.backbone.counting import mean_backward, mean_forward
from dawgen.backbone.shape import shape_of
from dawgen.tuning.combine import Draw
from dawgen.tuning.gradients import both_gradients, joint_gradient
from dawgen.tuning.rows import join

STEPS = 1
TOKENS = 65_536


def draws(setting: Setting, seed: int) -> Iterator[tuple[list[int], list[int]]]:
    """The same rows for all arms, step after step."""
    rng = np.random.default_rng(seed)
    count = len(setting.encoded)
    for _ in itertools.count():
        rows = rng.choice(count, setting.real + setting.synthetic, replace=False).tolist()
        yield rows[: setting.real], rows[setting.real :]


def ours(job: Job) -> Callable[[], float]:
    """One pass over both batches, gradient surgery, AdamW."""
    return our_steps(job, arms=1)


def ours_mkl(job: Job) -> Callable[[], float]:
    """The same with PyTorch's own products."""
    products.onednn_is_faster = lambda: False  # type: ignore[assignment]
    return our_steps(job, arms=1)


def our_steps(job: Job, arms: int) -> Callable[[], float]:
    """``STEPS`` steps of so many arms at once."""
    setting = prepare(job)
    shape = shape_of(setting.backbone)
    prompts = [nn.Parameter(setting.start.clone()) for _ in range(arms)]
    optimizers = [torch.optim.AdamW([prompt], lr=1e-3) for prompt in prompts]
    rows = [draws(setting, job.seed + arm) for arm in range(arms)]
    length = setting.start.shape[0]

    def step() -> float:
        drawn = [Draw(*next(stream), 1.0, 1.0, surgery=True) for stream in rows]
        encoded = [setting.encoded] * arms
        joined = join(drawn, encoded, encoded, [0.0] * arms)
        stack = torch.stack([prompt.detach() for prompt in prompts])
        found = both_gradients(stack, joined, setting.words, setting.backbone, TOKENS)
        for prompt, optimizer, part in zip(
            prompts, optimizers, joint_gradient(found, drawn).gradient, strict=True
        ):
            prompt.grad = part
            optimizer.step()
        sizes = [(length + len(ids), 1.0, 0.0) for ids in joined.ids]
        work = mean_forward(shape, sizes) + mean_backward(shape, sizes)
        return work.flops * len(sizes)

    return lambda: sum(step() for _ in range(STEPS))


def _peft(job: Job, width: int | None) -> Callable[[], float]:
    setting = prepare(job)
    model = peft_model(setting)
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=1e-3)
    rows = draws(setting, job.seed)

    def step() -> None:
        optimizer.zero_grad()
        for part in next(rows):
            model(**peft_batch(setting, part, width)).loss.backward()
        optimizer.step()

    def steps() -> float:
        for _ in range(STEPS):
            step()
        return 0.0

    return steps


def peft_padded(job: Job) -> Callable[[], float]:
    """PEFT, every row padded to 128."""
    return _peft(job, PADDED)


def peft_dynamic(job: Job) -> Callable[[], float]:
    """PEFT, padded to the longest row of each batch."""
    return _peft(job, None)


ARMS = {
    "ours": ours,
    "ours, PyTorch's products": ours_mkl,
    "PEFT padded to 128": peft_padded,
    "PEFT dynamic": peft_dynamic,
}
BARS = {
    "cpu": [
        Bar("x PEFT padded to 128", "ours", "PEFT padded to 128", least=2.0),
        Bar("x PEFT with dynamic padding", "ours", "PEFT dynamic", least=1.1),
        Bar("x PEFT dynamic, same products", "ours, PyTorch's products", "PEFT dynamic", least=1.0),
    ],
    "cuda": [Bar("x PEFT padded to 128", "ours", "PEFT padded to 128", least=2.5)],
}

if __name__ == "__main__":
    main("tuning", "Prompt-tuning step against PEFT", ARMS, BARS)
