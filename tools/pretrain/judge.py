"""A judge of written texts: a classifier of its own, trained on gold MNLI and SNLI rows.

It stays outside the package: it has seen SNLI labels, which the backbone never does, and only
measures. Start: the original encoder with a fresh linear head on the first position.

    python -m tools.pretrain.judge --original ORIGINAL --data DATA --out runs/pretrain/judge
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from transformers import AutoModelForSequenceClassification, AutoTokenizer
from transformers.modeling_utils import PreTrainedModel
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from tools.pretrain import text

LABELS = ("entailment", "neutral", "contradiction")
LONGEST = 128


class Judge:
    """Label probabilities for sentence pairs."""

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
        self.model, self.tokenizer = model, tokenizer

    def logits(self, pairs: list[text.Pair]) -> torch.Tensor:
        """Scores [N,3] of a batch of pairs."""
        encoded = self.tokenizer(
            [pair.text1 for pair in pairs],
            [pair.text2 for pair in pairs],
            padding=True,
            truncation=True,
            max_length=LONGEST,
            return_tensors="pt",
        )
        found: torch.Tensor = self.model(**encoded).logits
        return found

    @torch.inference_mode()
    def probabilities(self, pairs: list[text.Pair], batch: int = 64) -> torch.Tensor:
        """Label probabilities [N,3] in the order of :data:`LABELS`."""
        self.model.eval()
        order = sorted(range(len(pairs)), key=lambda i: len(pairs[i].text1 + pairs[i].text2))
        out = torch.zeros(len(pairs), len(LABELS))
        for at in range(0, len(order), batch):
            group = order[at : at + batch]
            out[group] = torch.softmax(self.logits([pairs[i] for i in group]), -1)
        return out

    def accuracy(self, pairs: list[text.Pair]) -> float:
        """Share of gold labels found."""
        gold = torch.tensor([LABELS.index(pair.label) for pair in pairs])
        return float((self.probabilities(pairs).argmax(-1) == gold).float().mean())


def train_judge(
    judge: Judge, rows: list[text.Pair], *, minutes: float, epochs: float, rate: float, seed: int
) -> int:
    """Fine-tune for ``epochs`` or CPU ``minutes``, whichever ends first; return the steps taken."""
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    trained = [p for p in judge.model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=rate, weight_decay=0.01)
    size, pool = 32, 32 * 16
    steps = int(epochs * len(rows) / size)
    started, step = time.process_time(), 0
    judge.model.train()
    while step < steps:
        drawn = rng.permutation(len(rows))
        for at in range(0, len(drawn), pool):
            part = sorted(
                drawn[at : at + pool].tolist(), key=lambda i: len(rows[i].text1 + rows[i].text2)
            )
            for start in rng.permutation(np.arange(0, len(part), size)).tolist():
                spent = (time.process_time() - started) / 60 / minutes
                progress = max(step / steps, spent)
                if progress >= 1:
                    return step
                batch = [rows[i] for i in part[start : start + size]]
                gold = torch.tensor([LABELS.index(pair.label) for pair in batch])
                loss = F.cross_entropy(judge.logits(batch), gold)
                loss.backward()  # type: ignore[no-untyped-call]
                torch.nn.utils.clip_grad_norm_(judge.model.parameters(), 1.0)
                for group in optimiser.param_groups:
                    group["lr"] = rate * min(1.0, (step + 1) / 50) * (1 - progress)
                optimiser.step()
                optimiser.zero_grad()
                step += 1
    return step


def freeze_bottom(model: PreTrainedModel, layers: int) -> None:
    """Leave the embeddings and the first ``layers`` encoder layers as they are: a third faster."""
    frozen = ["embeddings.", *(f"encoder.layer.{number}." for number in range(layers))]
    for name, parameter in model.named_parameters():
        if any(part in name for part in frozen):
            parameter.requires_grad_(False)


def load_judge(folder: Path) -> Judge:
    """The judge written by :func:`main`."""
    model = AutoModelForSequenceClassification.from_pretrained(str(folder))
    return Judge(model, AutoTokenizer.from_pretrained(str(folder)))


def main() -> None:
    """Train the judge and write it with its accuracy on gold test rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    for option in ("original", "data", "out"):
        parser.add_argument(f"--{option}", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=12, help="CPU minutes")
    parser.add_argument("--frozen", type=int, default=2, help="layers left as they are")
    parser.add_argument("--epochs", type=float, default=2)
    parser.add_argument("--rate", type=float, default=1e-4)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    model = AutoModelForSequenceClassification.from_pretrained(
        str(arguments.original), num_labels=len(LABELS)
    )
    freeze_bottom(model, arguments.frozen)
    judge = Judge(model, AutoTokenizer.from_pretrained(str(arguments.original)))
    rows = [
        pair
        for task in ("mnli", "snli")
        for pair in text.read_pairs(arguments.data / task / "train.jsonl")
    ]
    steps = train_judge(
        judge,
        rows,
        minutes=arguments.minutes,
        epochs=arguments.epochs,
        rate=arguments.rate,
        seed=arguments.seed,
    )
    report = {
        task: judge.accuracy(text.read_pairs(arguments.data / task / "test.jsonl")[:1500])
        for task in ("mnli", "snli")
    }
    report["steps"] = steps
    judge.model.save_pretrained(str(arguments.out))
    judge.tokenizer.save_pretrained(str(arguments.out))
    (arguments.out / "judge.json").write_text(json.dumps(report), encoding="utf-8")
    print(report)


if __name__ == "__main__":
    main()
