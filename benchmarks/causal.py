"""(e) Steps of a small causal model, SmolLM2-135M by shape, against plain transformers.

    python -m benchmarks.causal                  30 layers as SmolLM2 has them, random weights
    python -m benchmarks.causal --threads 2      with one thread, and with two beside them
    python -m benchmarks.causal --layers 6       a fifth of it, for a quick look

Both sides see the same rows. dawgen computes as the preset smollm2 does. transformers pads a batch
to its longest row, puts a prompt before each row, and is measured in bf16 and fp32; the faster one
is what dawgen is compared with. Each arm is a process of its own, and the arms of one kind of work
run in turn. Arms of one thread are compared by CPU seconds with peers of one thread; arms of
several by clock time with peers of any number up to theirs. The limit is what the products with
weights alone would take at the machine's own rate.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, linear
from transformers import LlamaConfig, LlamaForCausalLM

from benchmarks import measure as processes
from benchmarks.measure import commit
from benchmarks.more import GENERATOR, causal_section
from dawgen.backbone import Backbone, load_backbone
from dawgen.backbone.packed import SharedPrompts
from dawgen.backbone.scoring import score_rows
from dawgen.generator.examples import Batch, Example, Shot
from dawgen.generator.fit import Tuner
from dawgen.machine.hardware import hardware, versions
from dawgen.settings import Settings
from dawgen.settings.layers import build_settings
from dawgen.streams import Streams
from dawgen.tasks import load_card
from dawgen.tuning.gradients import both_gradients
from dawgen.tuning.rows import JoinedRows

REAL, SYNTHETIC, PROMPT, LABELS, PER_LABEL = 8, 12, 20, 3, 4
WORDS = [[1000], [2000], [3000]]
SHAPE: dict[str, Any] = {
    "vocab_size": 49_152,
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "tie_word_embeddings": True,
}
DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}
TUNING, SCORES = "tuning step", "label scores"
PLAIN, FULL, BETWEEN = GENERATOR
GROUPS = ((TUNING,), (SCORES,), GENERATOR)
"""Kinds of work whose arms run in turn; transformers does the first of each."""
MEMORY = ("loaded_mib", "above_loaded_mib")

Do = Callable[[], object]


@dataclass(frozen=True)
class Arm:
    """One arm: which side does what, in which number format, with how many threads."""

    side: str
    work: str
    dtype: str
    threads: int
    layers: int

    @property
    def name(self) -> str:
        """As the page has it."""
        threads = f", {self.threads} threads" if self.threads > 1 else ""
        return f"{self.side}, {self.work}, {self.dtype}{threads}"

    def __call__(self, job: processes.Job) -> Callable[[], float]:
        """Gets ready in a process of its own, and gives back what is timed."""
        torch.set_num_threads(self.threads)
        do = self.make()

        def work() -> float:
            do()
            return 0.0

        return work

    def make(self) -> Do:
        """What is timed."""
        llama = model(self.layers, DTYPES[self.dtype])
        if self.side == "transformers":
            makers = {TUNING: their_tuning, SCORES: their_scores, PLAIN: their_generator}
            return makers[self.work](llama)
        tokenizer = load_backbone("tiny").tokenizer
        ours = Backbone(llama, tokenizer, name="smollm2", fingerprint="random")
        if self.work in (TUNING, SCORES):
            return (our_tuning if self.work == TUNING else our_scores)(ours)
        return our_generator(ours, self.work)


def preset() -> Settings:
    """What a user of SmolLM2 gets."""
    return build_settings(preset="smollm2")[0]


def model(layers: int, dtype: torch.dtype = torch.bfloat16) -> LlamaForCausalLM:
    """Random weights, the same ones every time."""
    torch.manual_seed(13)
    made = LlamaForCausalLM(LlamaConfig(num_hidden_layers=layers, **SHAPE))
    return torch.nn.Module.to(made, dtype).eval().requires_grad_(False)


def rows(count: int, stream: torch.Generator) -> list[list[int]]:
    """Rows of 35 to 75 tokens."""
    lengths = torch.randint(35, 76, (count,), generator=stream).tolist()
    return [torch.randint(5, 40_000, (n,), generator=stream).tolist() for n in lengths]


def padded(plain: LlamaForCausalLM, prompts: Tensor, ids: Sequence[Sequence[int]]) -> Tensor:
    """Last hidden states [B,P+T,H] by transformers' own code."""
    longest = max(map(len, ids))
    tokens = torch.tensor([[*row, *[0] * (longest - len(row))] for row in ids])
    mask = torch.tensor([[1] * (PROMPT + len(row)) + [0] * (longest - len(row)) for row in ids])
    vectors = torch.cat([prompts.to(plain.dtype), plain.get_input_embeddings()(tokens)], 1)
    states: Tensor = plain.model(
        inputs_embeds=vectors, attention_mask=mask, use_cache=False
    ).last_hidden_state
    return states


# --- a prompt-tuning step, and label scores ---------------------------------------------


def tuning_rows() -> tuple[list[list[int]], Tensor, Tensor]:
    """Real rows and then synthetic ones, their labels [B], and a prompt [1,P,H]."""
    stream = torch.Generator().manual_seed(13)
    ids = rows(REAL + SYNTHETIC, stream)
    prompt = torch.randn(1, PROMPT, SHAPE["hidden_size"], generator=stream) * 0.1
    return ids, torch.arange(len(ids)) % LABELS, prompt


def _scores(plain: LlamaForCausalLM, ids: Sequence[Sequence[int]], soft: Tensor) -> Tensor:
    """Scores [B,C] of the label words after each row."""
    states = padded(plain, soft.expand(len(ids), -1, -1), ids)
    last = states[torch.arange(len(ids)), torch.tensor([PROMPT + len(row) - 1 for row in ids])]
    answers = torch.tensor([word[0] for word in WORDS])
    return last.float() @ plain.lm_head.weight[answers].float().T


def their_tuning(plain: LlamaForCausalLM) -> Do:
    """A backward pass of real rows and one of synthetic rows: both gradients are needed."""
    ids, labels, prompt = tuning_rows()

    def gradient(start: int, end: int) -> Tensor | None:
        soft = prompt.clone().requires_grad_()
        cross_entropy(_scores(plain, ids[start:end], soft), labels[start:end]).backward()
        return soft.grad

    return lambda: (gradient(0, REAL), gradient(REAL, len(ids)))


def our_tuning(ours: Backbone) -> Do:
    """Both gradients of the same losses."""
    ids, labels, prompt = tuning_rows()
    copy = torch.tensor([0] * REAL + [1] * SYNTHETIC)
    weight = torch.tensor([1 / REAL] * REAL + [1 / SYNTHETIC] * SYNTHETIC)
    joined = JoinedRows(ids, torch.eye(LABELS)[labels], copy, weight)
    most = preset().tuning.tokens_per_batch
    return lambda: both_gradients(prompt, joined, WORDS, ours, most)


def their_scores(plain: LlamaForCausalLM) -> Do:
    """Without a gradient."""
    ids, _, prompt = tuning_rows()
    return torch.no_grad()(lambda: _scores(plain, ids, prompt))


def our_scores(ours: Backbone) -> Do:
    """The same."""
    ids, _, prompt = tuning_rows()
    most = preset().tuning.tokens_per_batch
    return lambda: score_rows(ours, SharedPrompts.one(prompt[0], len(ids)), ids, WORDS, most)


# --- a generator step -------------------------------------------------------------------


def generator_rows() -> tuple[list[list[int]], Tensor, Tensor]:
    """Texts, label by label, their labels [B], and label prompts [C,P,H]."""
    stream = torch.Generator().manual_seed(14)
    ids = rows(LABELS * PER_LABEL, stream)
    prompts = torch.randn(LABELS, PROMPT, SHAPE["hidden_size"], generator=stream) * 0.1
    return ids, torch.arange(len(ids)) // PER_LABEL, prompts


def their_generator(plain: LlamaForCausalLM) -> Do:
    """The texts' mean loss under their own labels' prompts, and its gradient."""
    ids, labels, prompts = generator_rows()

    def step() -> float:
        soft = prompts.clone().requires_grad_()
        hidden = padded(plain, soft[labels], [[1, *row] for row in ids])[:, PROMPT:-1]
        targets = torch.full(hidden.shape[:2], -100)
        for n, row in enumerate(ids):
            targets[n, : len(row)] = torch.tensor(row)
        logits = plain.lm_head(hidden).float()
        loss = cross_entropy(logits.flatten(0, 1), targets.flatten())
        loss.backward()
        return loss.item()

    return step


def our_generator(ours: Backbone, work: str) -> Do:
    """A step of the preset's method, or of the plain one without the report's figures of (3)."""
    ids, labels, prompts = generator_rows()
    shots = [Shot(n, int(labels[n]), (Example([1], row),)) for n, row in enumerate(ids)]
    batch, chosen = Batch(tuple(shots)), preset().generator
    method = "plain" if work == PLAIN else chosen.method
    wanted = chosen.model_copy(update={"method": method, "prompt_length": PROMPT})
    tuner = Tuner(load_card("demo"), ours, wanted, Streams(13))
    with torch.no_grad():
        tuner.prompts.copy_(prompts)
    return lambda: tuner.step(batch, first=False, again=work == FULL)


# --- what is measured ------------------------------------------------------------------


def arms_of(group: Sequence[str], layers: int, most_threads: int) -> list[Arm]:
    """transformers in each number format, and dawgen; with one thread and with the most."""
    counts = sorted({1, most_threads})
    return [
        *(Arm("transformers", group[0], *how, layers) for how in product(DTYPES, counts)),
        *(Arm("dawgen", *how, layers) for how in product(group, [preset().backbone.dtype], counts)),
    ]


def tokens_of(work: str) -> int:
    """How many tokens plain transformers reads for it, prompts counted."""
    if work in (TUNING, SCORES):
        ids = tuning_rows()[0]
        return sum(map(len, ids)) + PROMPT * len(ids)
    ids = generator_rows()[0]
    return sum(map(len, ids)) + (PROMPT + 1) * len(ids)


def product_rate(threads: int = 1) -> float:
    """FLOP/s of this machine's bf16 product of the largest kind that a layer has: the best of
    five times twelve."""
    torch.set_num_threads(threads)
    clock = process_time if threads == 1 else perf_counter
    a, b = torch.randn(1536, 576).bfloat16(), torch.randn(1536, 576).bfloat16()
    linear(a, b)
    taken = []
    for _ in range(5):
        start = clock()
        for _ in range(12):
            linear(a, b)
        taken.append(clock() - start)
    return 12 * 2 * a.numel() * len(b) / min(taken)


def figures(
    arms: Sequence[Arm], found: dict[str, dict[str, Any]], limits: dict[tuple[str, int], float]
) -> dict[str, dict[str, Any]]:
    """What the page shows of each arm of a group; ``limits`` are tokens/s of a work and threads."""

    def seconds(arm: Arm, threads: int) -> float:
        """As arms of so many threads are compared."""
        figure = "median_cpu_seconds" if threads == 1 else "median_seconds"
        return float(found[arm.name][figure])

    shown = {}
    for arm in arms:
        taken = seconds(arm, arm.threads)
        peers = [one for one in arms if one.side == "transformers" and one.threads <= arm.threads]
        peer = min(seconds(one, arm.threads) for one in peers)
        speed = tokens_of(arm.work) / taken
        one = {
            "work": arm.work,
            "side": arm.side,
            "dtype": arm.dtype,
            "threads": arm.threads,
            "seconds": round(found[arm.name]["median_cpu_seconds"], 3),
            "clock_seconds": round(found[arm.name]["median_seconds"], 3),
            "tokens_per_second": round(speed),
            "of_limit": round(speed / limits[arm.work, arm.threads], 2),
            "times_transformers": round(peer / taken, 2),
            "peak_mib": round(sum(found[arm.name][key] for key in MEMORY), 1),
            "above_loaded_mib": found[arm.name]["above_loaded_mib"],
        }
        if arm.threads > 1:
            one["times_one_thread"] = round(
                seconds(replace(arm, threads=1), arm.threads) / taken, 2
            )
        shown[arm.name] = one
    return shown


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--layers", type=int, default=30)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1, help="measure so many beside one")
    parser.add_argument("--out", type=Path, help="write the figures to this file too")
    given = parser.parse_args()
    counts = sorted({1, given.threads})
    rates = {threads: product_rate(threads) for threads in counts}
    weights = given.layers * sum(p.numel() for p in model(1).model.layers.parameters())
    limits = {
        (work, threads): rates[threads] / (weights * (2 if work == SCORES else 4))
        for group in GROUPS
        for work, threads in product(group, counts)
    }
    shown: dict[str, Any] = {}
    for group in GROUPS:
        arms = arms_of(group, given.layers, given.threads)
        job = processes.Job("smollm2", "cpu", given.threads, 13, 0)
        found = processes.measure({arm.name: arm for arm in arms}, job, given.repeats)
        shown |= figures(arms, found, limits)
    record = {
        "commit": commit(),
        "layers": given.layers,
        "repeats": given.repeats,
        "weights_every": preset().generator.weights_every,
        "product_gflops": rates[1] / 1e9,
        "product_gflops_of_threads": {str(n): rate / 1e9 for n, rate in rates.items()},
        "hardware": hardware(),
        "versions": versions(),
        "arms": shown,
    }
    print(causal_section(record))
    if given.out:
        given.out.write_text(json.dumps(record, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
