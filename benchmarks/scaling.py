"""(f) How the cost of a step grows: with rows, tokens, labels, layers, and prompts in one stack.

    python -m benchmarks.scaling --out benchmarks/results/scaling.json

A causal model of SmolLM2's width and one layer with random weights, bf16, one thread. One size
changes at a time, at four values; the exponent is the slope of log(CPU seconds) over log(size) by
least squares: 1 is proportional, 0 is no growth.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.causal import PROMPT, SHAPE, model
from benchmarks.measure import commit
from dawgen.backbone import Backbone, load_backbone
from dawgen.generator.examples import Batch, Example, Shot
from dawgen.generator.fit import Tuner
from dawgen.machine.hardware import hardware, versions
from dawgen.settings.layers import build_settings
from dawgen.streams import Streams
from dawgen.tasks import TaskCard
from dawgen.tuning.gradients import both_gradients
from dawgen.tuning.rows import JoinedRows

LAYERS, ROWS, TOKENS, LABELS, PER_LABEL = 1, 20, 40, 3, 2
LETTERS = "abcdefghijklmnop"

Do = Callable[[], object]


@cache
def backbone(layers: int) -> Backbone:
    """The model of so many layers."""
    tokenizer = load_backbone("tiny").tokenizer
    return Backbone(model(layers), tokenizer, name="smollm2", fingerprint=f"random {layers}")


def tuning_step(
    rows: int = ROWS, tokens: int = TOKENS, layers: int = LAYERS, prompts: int = 1
) -> Do:
    """Both gradients of a prompt, or of several with as many rows each."""
    stream = torch.Generator().manual_seed(13)
    count = rows * prompts
    ids = torch.randint(5, 40_000, (count, tokens), generator=stream).tolist()
    soft = torch.randn(prompts, PROMPT, SHAPE["hidden_size"], generator=stream) * 0.1
    arm = torch.arange(count) % prompts
    synthetic = torch.arange(count) // prompts % 5 >= 2  # 8 of 20
    copy = arm + prompts * synthetic
    weight: Tensor = 1 / torch.bincount(copy, minlength=2 * prompts)[copy]
    joined = JoinedRows(ids, torch.eye(LABELS)[torch.arange(count) % LABELS], copy, weight)
    words = [[1000], [2000], [3000]]
    return lambda: both_gradients(soft, joined, words, backbone(layers), 8192)


def generator_step(labels: int = LABELS) -> Do:
    """One step of dawgen with as many rows of every label."""
    names = list(LETTERS[:labels])
    card = TaskCard(
        name="letters",
        columns={"text1": "text", "label": "label"},
        labels=names,
        template="{text1}",
        label_words={name: name for name in names},
    )
    stream = torch.Generator().manual_seed(14)
    ids = torch.randint(5, 40_000, (labels * PER_LABEL, TOKENS), generator=stream).tolist()
    shots = [Shot(n, n // PER_LABEL, (Example([1], row),)) for n, row in enumerate(ids)]
    batch = Batch(tuple(shots))
    wanted = build_settings(preset="tiny")[0].generator
    wanted = wanted.model_copy(update={"method": "dawgen", "prompt_length": PROMPT})
    tuner = Tuner(card, backbone(LAYERS), wanted, Streams(13))
    return lambda: tuner.step(batch)


SIZES: dict[str, tuple[str, tuple[int, ...], Callable[[int], Do]]] = {
    "rows": ("tuning step", (10, 20, 40, 80), lambda n: tuning_step(rows=n)),
    "tokens a row": ("tuning step", (25, 50, 100, 200), lambda n: tuning_step(tokens=n)),
    "layers": ("tuning step", (1, 2, 4, 8), lambda n: tuning_step(layers=n)),
    "prompts in one stack": ("tuning step", (1, 2, 4, 8), lambda n: tuning_step(prompts=n)),
    "labels": ("generator step", (2, 4, 8, 16), generator_step),
}


def measure(steps: dict[str, Do], repeats: int) -> dict[str, float]:
    """The least processor seconds of each step, taken in turn after one that does not count."""
    seconds: dict[str, float] = {}
    for count in range(repeats + 1):
        for name, do in steps.items():
            start = process_time()
            do()
            taken = process_time() - start
            if count:
                seconds[name] = min(taken, seconds.get(name, taken))
    return seconds


def exponent(sizes: tuple[int, ...], seconds: list[float]) -> float:
    """Slope of log(seconds) over log(sizes)."""
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, help="write the figures to this file too")
    given = parser.parse_args()
    torch.set_num_threads(1)
    figures: dict[str, Any] = {}
    for name, (step, sizes, make) in SIZES.items():
        found = measure({str(size): make(size) for size in sizes}, given.repeats)
        seconds = [found[str(size)] for size in sizes]
        figures[name] = {
            "of": step,
            "sizes": sizes,
            "cpu_seconds": [round(each, 3) for each in seconds],
            "exponent": round(exponent(sizes, seconds), 2),
        }
        print(f"{name}: {json.dumps(figures[name])}", flush=True)
    if given.out:
        record = {"commit": commit(), "hardware": hardware(), "versions": versions()}
        given.out.write_text(json.dumps(record | {"growth": figures}, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
