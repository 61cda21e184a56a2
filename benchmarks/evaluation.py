"""(d) Scoring rows with a prompt, against a loop over PEFT's model and its full logits.

python -m benchmarks.evaluation --rows 2000
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from benchmarks.measure import Bar, Job, main
from benchmarks.peers import peft_batch, peft_model, prepare
from dawgen.backbone.counting import mean_forward
from dawgen.backbone.shape import shape_of
from dawgen.evaluation import predict

BATCH = 32


def ours(job: Job) -> Callable[[], float]:
    """`predict`: rows sorted by length, label words only."""
    setting = prepare(job)
    rows, shape = setting.rows[: job.rows], shape_of(setting.backbone)
    length = setting.start.shape[0]
    ids = setting.encoded.ids[: job.rows]
    flops = mean_forward(shape, [(length + len(row), 1.0, 0.0) for row in ids]).flops * len(ids)

    def work() -> float:
        predict(setting.backbone, setting.card, setting.start, rows)
        return flops

    return work


def peft(job: Job) -> Callable[[], float]:
    """32 rows at a time in their order, padded to the longest of them."""
    setting = prepare(job)
    model = peft_model(setting).eval()
    words = torch.tensor([word[0] for word in setting.words], device=setting.backbone.device)

    def work() -> float:
        found = []
        with torch.inference_mode():
            for start in range(0, job.rows, BATCH):
                rows = list(range(start, min(start + BATCH, job.rows)))
                batch = peft_batch(setting, rows, None)
                found.append(model(**batch).logits[:, 0, words].softmax(-1).cpu())
        return float(torch.cat(found).sum()) * 0.0

    return work


BARS = {
    device: [Bar("x a loop over PEFT", "ours", "PEFT", least=2.0)] for device in ("cpu", "cuda")
}

if __name__ == "__main__":
    main("evaluation", "Scoring rows against PEFT", {"ours": ours, "PEFT": peft}, BARS)
