"""Teach MPNet to read two texts as one: the changes in ``src/dawgen/selection/cross_encoders``.

    python -m tools.cross_encoder --data DATA --out mpnet.safetensors
    python -m tools.cross_encoder --data DATA --tasks mnli,qnli --rows 6000,4000 \
        --out FOLDER/cross_encoder.safetensors

``DATA`` has a folder per task with ``train.jsonl`` and ``test.jsonl``. The encoder reads text1 and
text2 as one input, and a linear head per kind of task labels the mean of its states; LoRA on the
linear layers of the upper nine layers learns with it, in one epoch of batches of 16. Rows of which
a text occurs in any task's test rows are left out. The package's changes are of all three tasks;
figures on one of these are of changes made without it, read with ``selection.encoder=FOLDER``, a
folder that has the encoder's files too.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import safetensors.numpy
import torch
from torch import nn

from dawgen.backbone.fetch import get_backbone
from dawgen.backbone.registry import known_backbone

RANK, SCALE = 16, 2.0
RATE, HEAD_RATE = 4e-4, 1e-3
BATCH, LONGEST, SORTED_TOGETHER = 16, 80, 50
LOWEST = 3
"""The first layer that changes; those below it need no backward pass."""
_ENTAILMENT = ["entailment", "neutral", "contradiction"]
KINDS = {
    "snli": ("nli", _ENTAILMENT),
    "mnli": ("nli", _ENTAILMENT),
    "qnli": ("qnli", ["entailment", "not_entailment"]),
}
"""Of tasks of one kind, the same head labels the rows."""


class Pair(NamedTuple):
    """A labelled pair; ``label`` is a place in its kind's labels."""

    text1: str
    text2: str
    kind: str
    label: int


def read_pairs(
    data: Path, tasks: Sequence[str], counts: Sequence[int], rng: np.random.Generator
) -> list[Pair]:
    """So many pairs of each task, drawn at random."""
    tested = set()
    for file in data.glob("*/test.jsonl"):
        for row in map(json.loads, file.read_text("utf-8").splitlines()):
            tested |= {row.get("text1") or row.get("text"), row.get("text2")}
    found: list[Pair] = []
    for task, count in zip(tasks, counts, strict=True):
        kind, labels = KINDS[task]
        rows = map(json.loads, (data / task / "train.jsonl").read_text("utf-8").splitlines())
        own = [
            (row["text1"], row["text2"], kind, labels.index(row["label"]))
            for row in rows
            if not {row["text1"], row["text2"]} & tested
        ]
        rng.shuffle(own)
        found += [Pair(*each) for each in own[:count]]
    return found


def batches(
    pairs: Sequence[Pair], ids: Sequence[Sequence[int]], rng: np.random.Generator
) -> list[list[int]]:
    """Places of pairs of one kind and of like length, in random order."""
    found: list[list[int]] = []
    for kind in dict(KINDS.values()):
        places = [place for place, pair in enumerate(pairs) if pair.kind == kind]
        rng.shuffle(places)
        together = BATCH * SORTED_TOGETHER
        for start in range(0, len(places), together):
            chunk = sorted(places[start : start + together], key=lambda place: len(ids[place]))
            some = [chunk[n : n + BATCH] for n in range(0, len(chunk), BATCH)]
            found += [each for each in some if len(each) > BATCH // 2]
    rng.shuffle(found)
    return found


def teach(
    place: Path, pairs: Sequence[Pair], rng: np.random.Generator
) -> Iterator[tuple[str, float, float, int, Any]]:
    """One epoch: kind, loss and accuracy of each step, the steps in all, and the model so far."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(place)
    model: Any = AutoModel.from_pretrained(place, dtype=torch.float32).eval().requires_grad_(False)
    ids = tokenizer(
        [pair.text1 for pair in pairs],
        [pair.text2 for pair in pairs],
        truncation=True,
        max_length=LONGEST,
        split_special_tokens=True,
    )["input_ids"]
    steps = batches(pairs, ids, rng)
    layers = [
        name
        for name, layer in model.named_modules()
        if isinstance(layer, nn.Linear)
        and name.startswith("encoder.layer.")
        and int(name.split(".")[2]) >= LOWEST
    ]
    config = LoraConfig(r=RANK, lora_alpha=round(SCALE * RANK), target_modules=layers)
    adapted: Any = get_peft_model(model, config)
    width = model.config.hidden_size
    heads = {kind: nn.Linear(width, len(labels)) for kind, labels in dict(KINDS.values()).items()}
    changed = [each for each in adapted.parameters() if each.requires_grad]
    of_heads = [each for head in heads.values() for each in head.parameters()]
    groups = [{"params": changed, "lr": RATE}, {"params": of_heads, "lr": HEAD_RATE}]
    optimizer = torch.optim.AdamW(groups, weight_decay=0.01)
    rate = torch.optim.lr_scheduler.LambdaLR(optimizer, partial(_rate, steps=len(steps)))
    for batch in steps:
        kind = pairs[batch[0]].kind
        inputs = tokenizer.pad({"input_ids": [ids[n] for n in batch]}, return_tensors="pt")
        gold = torch.tensor([pairs[n].label for n in batch])
        states = adapted(**inputs).last_hidden_state
        kept = inputs["attention_mask"][..., None].float()
        logits = heads[kind]((states * kept).sum(1) / kept.sum(1))
        loss = nn.functional.cross_entropy(logits, gold)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(changed, 1.0)
        optimizer.step()
        rate.step()
        right = (logits.argmax(1) == gold).float().mean()
        yield kind, loss.item(), right.item(), len(steps), adapted


def _rate(step: int, steps: int) -> float:
    """Up over the first steps, then down to 0."""
    return min(1.0, (step + 1) / (0.06 * steps)) * (1 - step / steps)


def write_adapter(file: Path, adapted: Any) -> None:
    """As ``dawgen.selection.adapter.read_adapter`` reads it."""
    from peft import get_peft_model_state_dict

    numbers = {}
    for name, each in get_peft_model_state_dict(adapted).items():
        layer, which, _ = name.removeprefix("base_model.model.").rsplit(".", 2)
        part = "down" if which == "lora_A" else "up"
        numbers[f"{part}.{layer}"] = each.detach().half().numpy()
    safetensors.numpy.save_file(numbers, file)


def main() -> None:
    """Tune, and write the changes every 200 steps and at the end."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--encoder", default="mpnet")
    parser.add_argument("--tasks", default="snli,mnli,qnli", help="separated by commas")
    parser.add_argument("--rows", default="6000,6000,4000", help="of each task, at most")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    known = known_backbone(arguments.encoder)
    place = get_backbone(known) if known else Path(arguments.encoder)
    torch.manual_seed(arguments.seed)
    rng = np.random.default_rng(arguments.seed)
    counts = [int(count) for count in arguments.rows.split(",")]
    pairs = read_pairs(arguments.data, arguments.tasks.split(","), counts, rng)
    began = perf_counter()
    seen: dict[str, list[tuple[float, float]]] = {kind: [] for kind in dict(KINDS.values())}
    for step, (kind, loss, right, steps, adapted) in enumerate(teach(place, pairs, rng), 1):
        seen[kind].append((loss, right))
        if step % 20 == 0 or step == steps:
            lately = {each: np.mean(it[-30:], axis=0).round(3) for each, it in seen.items() if it}
            figures = ", ".join(f"{each} {mean[0]} {mean[1]:.1%}" for each, mean in lately.items())
            print(f"{step}/{steps} {perf_counter() - began:.0f} s: {figures}", flush=True)
        if step % 200 == 0 or step == steps:
            write_adapter(arguments.out, adapted)


if __name__ == "__main__":
    main()
