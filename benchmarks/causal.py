"""(e) Steps of a small causal model, SmolLM2-135M by shape, against plain transformers.

    python -m benchmarks.causal                  30 layers as SmolLM2 has them, random weights
    python -m benchmarks.causal --layers 6       a fifth of it, for a quick look

Both sides see the same rows in bf16. transformers pads a batch to its longest row and puts a prompt
before each row. Compared are processor seconds of one thread, taken in turn in one process; the
limit is what the products with weights alone would take at the machine's own rate.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import process_time
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import LlamaConfig, LlamaForCausalLM

from benchmarks.measure import commit
from dawgen.backbone import Backbone, load_backbone
from dawgen.backbone.packed import SharedPrompts
from dawgen.backbone.scoring import score_rows
from dawgen.generator.examples import Batch, Example, Shot
from dawgen.generator.fit import Tuner
from dawgen.machine.hardware import hardware, versions
from dawgen.settings.layers import build_settings
from dawgen.streams import Streams
from dawgen.tasks import load_card
from dawgen.tuning.gradients import both_gradients
from dawgen.tuning.rows import JoinedRows

REAL, SYNTHETIC, PROMPT, LABELS, PER_LABEL = 8, 12, 20, 3, 4
KINDS = ("tuning step", "label scores")
WORDS = [[1000], [2000], [3000]]
SHAPE: dict[str, Any] = {
    "vocab_size": 49_152,
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "tie_word_embeddings": True,
}


@dataclass(frozen=True)
class Work:
    """One arm: what is timed, how many tokens plain transformers reads for it, prompts counted."""

    do: Callable[[], object]
    tokens: int


def model(layers: int) -> LlamaForCausalLM:
    """Random weights, the same ones every time."""
    torch.manual_seed(13)
    made = LlamaForCausalLM(LlamaConfig(num_hidden_layers=layers, **SHAPE))
    return torch.nn.Module.to(made, torch.bfloat16).eval().requires_grad_(False)


def rows(count: int, stream: torch.Generator) -> list[list[int]]:
    """Rows of 35 to 75 tokens."""
    lengths = torch.randint(35, 76, (count,), generator=stream).tolist()
    return [torch.randint(5, 40_000, (n,), generator=stream).tolist() for n in lengths]


def padded(plain: LlamaForCausalLM, prompts: Tensor, ids: Sequence[Sequence[int]]) -> Tensor:
    """Last hidden states [B,P+T,H] by transformers' own code."""
    longest = max(map(len, ids))
    tokens = torch.tensor([[*row, *[0] * (longest - len(row))] for row in ids])
    mask = torch.tensor([[1] * (PROMPT + len(row)) + [0] * (longest - len(row)) for row in ids])
    vectors = torch.cat([prompts.to(torch.bfloat16), plain.get_input_embeddings()(tokens)], 1)
    states: Tensor = plain.model(
        inputs_embeds=vectors, attention_mask=mask, use_cache=False
    ).last_hidden_state
    return states


def tuning(plain: LlamaForCausalLM, ours: Backbone) -> tuple[Work, Work, Work, Work]:
    """A prompt-tuning step of both, and label scores without a gradient."""
    stream = torch.Generator().manual_seed(13)
    ids = rows(REAL + SYNTHETIC, stream)
    prompt = torch.randn(1, PROMPT, SHAPE["hidden_size"], generator=stream) * 0.1
    labels = torch.arange(len(ids)) % LABELS
    copy = torch.tensor([0] * REAL + [1] * SYNTHETIC)
    weight = torch.tensor([1 / REAL] * REAL + [1 / SYNTHETIC] * SYNTHETIC)
    joined = JoinedRows(ids, torch.eye(LABELS)[labels], copy, weight)
    answers = torch.tensor([word[0] for word in WORDS])

    def scores(some: Sequence[int], soft: Tensor) -> Tensor:
        part = [ids[row] for row in some]
        states = padded(plain, soft.expand(len(part), -1, -1), part)
        last = states[torch.arange(len(part)), torch.tensor([PROMPT + len(r) - 1 for r in part])]
        return last.float() @ plain.lm_head.weight[answers].float().T

    def theirs() -> None:
        for some in (range(REAL), range(REAL, len(ids))):
            soft = prompt.clone().requires_grad_()
            cross_entropy(scores(some, soft), labels[list(some)]).backward()

    def reads() -> None:
        with torch.no_grad():
            scores(range(len(ids)), prompt)

    def our_reads() -> None:
        score_rows(ours, SharedPrompts.one(prompt[0], len(ids)), ids, WORDS, 8192)

    tokens = sum(map(len, ids)) + PROMPT * len(ids)
    return (
        Work(theirs, tokens),
        Work(lambda: both_gradients(prompt, joined, WORDS, ours, 8192), tokens),
        Work(reads, tokens),
        Work(our_reads, tokens),
    )


def generator(plain: LlamaForCausalLM, ours: Backbone) -> dict[str, Work]:
    """A generator step of each method; "transformers" is plain's own loss, no figures beside."""
    stream = torch.Generator().manual_seed(14)
    ids = rows(LABELS * PER_LABEL, stream)
    card, settings = load_card("demo"), build_settings(preset="tiny")[0].generator
    shots = [Shot(n, n // PER_LABEL, (Example([1], row),)) for n, row in enumerate(ids)]
    batch = Batch(tuple(shots))
    prompts = torch.randn(LABELS, PROMPT, SHAPE["hidden_size"], generator=stream) * 0.1

    def theirs() -> None:
        soft = prompts.clone().requires_grad_()
        texts = [[1, *row] for row in ids]
        hidden = padded(plain, soft[batch.labels], texts)[:, PROMPT:-1]
        targets = torch.full(hidden.shape[:2], -100)
        for n, row in enumerate(ids):
            targets[n, : len(row)] = torch.tensor(row)
        logits = plain.lm_head(hidden).float()
        cross_entropy(logits.flatten(0, 1), targets.flatten()).backward()

    tokens = sum(map(len, ids)) + (PROMPT + 1) * len(ids)
    found = {"transformers, plain": Work(theirs, tokens)}
    for method in ("plain", "dawgen"):
        wanted = settings.model_copy(update={"method": method, "prompt_length": PROMPT})
        tuner = Tuner(card, ours, wanted, Streams(13))
        found[f"dawgen, {method}"] = Work(lambda tuner=tuner: tuner.step(batch), tokens)  # type: ignore
    return found


def product_rate() -> float:
    """FLOP/s of this machine's bf16 product of the largest kind that a layer has."""
    a, b = torch.randn(1536, 576).bfloat16(), torch.randn(1536, 576).bfloat16()
    start = process_time()
    for _ in range(60):
        torch.nn.functional.linear(a, b)
    return 60 * 2 * a.numel() * len(b) / (process_time() - start)


def measure(arms: dict[str, Work], repeats: int) -> dict[str, float]:
    """The least processor seconds of each arm, taken in turn."""
    seconds: dict[str, float] = {}
    for _ in range(repeats):
        for name, work in arms.items():
            start = process_time()
            work.do()
            taken = process_time() - start
            seconds[name] = min(taken, seconds.get(name, taken))
    return seconds


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--layers", type=int, default=30)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, help="write the figures to this file too")
    given = parser.parse_args()
    torch.set_num_threads(1)
    plain, tokenizer = model(given.layers), load_backbone("tiny").tokenizer
    ours = Backbone(model(given.layers), tokenizer, name="smollm2", fingerprint="random")
    names = [f"{side}, {work}" for work in KINDS for side in ("transformers", "dawgen")]
    arms = dict(zip(names, tuning(plain, ours), strict=True)) | generator(plain, ours)
    for work in arms.values():
        work.do()
    rate = product_rate()
    seconds = measure(arms, given.repeats)
    weights = sum(p.numel() for p in plain.model.layers.parameters())
    limits = {n: rate / (weights * (2 if "scores" in n else 4)) for n in arms}
    print(f"products: {rate / 1e9:.0f} GFLOP/s; limit of a step {limits[names[0]]:.0f} tokens/s")
    figures: dict[str, Any] = {}
    for name, work in arms.items():
        speed = work.tokens / seconds[name]
        kind = name.partition(", ")[2]
        peer = seconds.get(f"transformers, {kind}", seconds["transformers, plain"])
        figures[name] = {
            "seconds": round(seconds[name], 3),
            "tokens_per_second": round(speed),
            "of_limit": round(speed / limits[name], 2),
            "times_transformers": round(peer / seconds[name], 2),
        }
        print(f"{name}: {json.dumps(figures[name])}")
    if given.out:
        record = {"commit": commit(), "layers": given.layers, "product_gflops": rate / 1e9}
        record |= {"hardware": hardware(), "versions": versions(), "arms": figures}
        given.out.write_text(json.dumps(record, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
