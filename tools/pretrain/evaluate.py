"""Evaluate a model folder: perplexity, zero-shot accuracy, label agreement of writing, samples.

    python -m tools.pretrain.evaluate --model src/dawgen/backbone/tiny --data DATA \\
        --corpora CORPORA --cards src/dawgen/tasks/cards --judge runs/pretrain/judge --out DIR
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import BartForConditionalGeneration

from tools.pretrain import scoring, text
from tools.pretrain.judge import LABELS, Judge, load_judge
from tools.pretrain.vocabulary import piece_id

TASKS = ("mnli", "qnli", "mrpc", "qqp", "rte", "snli", "sick")
WRITTEN = ("mnli", "snli")
PARTS = ("accuracy", "perplexity", "writing")
MARKS = {"wikipedia": ".", "captions": ".", "questions": "?"}


def distinct(texts: list[str], n: int = 2) -> float:
    """Share of the n-grams of all texts that are different ones."""
    grams = [
        tuple(words[i : i + n])
        for words in (line.lower().split() for line in texts)
        for i in range(len(words) - n + 1)
    ]
    return len(set(grams)) / max(len(grams), 1)


def normal(line: str) -> str:
    """A text without case and punctuation, for finding copies."""
    kept = (char if char.isalnum() else " " for char in line.lower())
    return " ".join("".join(kept).split())


def is_complete(line: str, pieces: list[int], end: int) -> bool:
    """Whether the model ended the text itself, and as a sentence."""
    return bool(pieces) and pieces[-1] == end and line.rstrip(" \"')").endswith((".", "?", "!"))


def accuracies(
    model: BartForConditionalGeneration,
    tokenizer: Tokenizer,
    cards: dict[str, text.Card],
    data: Path,
    limit: int | None,
) -> dict[str, float]:
    """Zero-shot accuracy on the test rows of every task."""
    found = {}
    for task in TASKS:
        pairs = text.read_pairs(data / task / "test.jsonl")[:limit]
        scores = scoring.label_scores(model, tokenizer, cards[task], pairs)
        found[task] = scoring.accuracy(scores, cards[task], pairs)
    return found


def perplexities(
    model: BartForConditionalGeneration, tokenizer: Tokenizer, corpora: Path, count: int
) -> dict[str, float]:
    """Perplexity of continuation on the held-out lines of each corpus."""
    found = {}
    for name in text.CORPORA:
        lines = text.read_corpus(text.corpus_path(corpora, name), held_out=True, limit=count)
        found[name] = scoring.continuation_perplexity(model, tokenizer, lines, MARKS[name])
    return found


def agreement(
    model: BartForConditionalGeneration,
    tokenizer: Tokenizer,
    card: text.Card,
    firsts: list[str],
    judge: Judge,
    *,
    temperature: float,
    top_k: int,
    seed: int,
) -> dict[str, Any]:
    """Texts written for every label of ``card`` after ``firsts``, and what the judge says of them.

    Returns:
        agreement over all and by label, the share of each verdict by label, shares of complete
        texts and of copies, unknown pieces, distinct-2 by label, and 20 samples a label.
    """
    end, unknown = piece_id(tokenizer, "[SEP]"), piece_id(tokenizer, "[UNK]")
    by_label, verdicts, samples, distinct2 = {}, {}, {}, {}
    complete = copies = unknowns = total = 0
    for number, label in enumerate(card.labels):
        prompt = card.label_prompts[label]
        texts, pieces = scoring.write(
            model,
            tokenizer,
            prompt,
            firsts,
            temperature=temperature,
            top_k=top_k,
            seed=seed + number,
        )
        rows = [text.Pair(a, b, label) for a, b in zip(firsts, texts, strict=True)]
        found = judge.probabilities(rows).argmax(-1)
        share = [float((found == i).float().mean()) for i in range(len(LABELS))]
        by_label[label] = share[LABELS.index(label)]
        verdicts[label] = dict(zip(LABELS, share, strict=True))
        distinct2[label] = distinct(texts)
        samples[label] = [[row.text1, row.text2] for row in rows[:20]]
        complete += sum(
            is_complete(line, ids, end) for line, ids in zip(texts, pieces, strict=True)
        )
        copies += sum(normal(row.text1) == normal(row.text2) for row in rows)
        unknowns += sum(ids.count(unknown) for ids in pieces)
        total += len(rows)
    return {
        "agreement": sum(by_label.values()) / len(by_label),
        "by_label": by_label,
        "verdicts": verdicts,
        "complete": complete / total,
        "copies": copies / total,
        "unknown_pieces": unknowns,
        "distinct_2": distinct2,
        "samples": samples,
    }


def own_agreement(
    model: BartForConditionalGeneration,
    tokenizer: Tokenizer,
    card: text.Card,
    samples: dict[str, list[list[str]]],
) -> float:
    """Share of samples that the backbone itself gives their label."""
    pairs = [text.Pair(a, b, label) for label, rows in samples.items() for a, b in rows]
    return scoring.accuracy(scoring.label_scores(model, tokenizer, card, pairs), card, pairs)


def draw_firsts(data: Path, task: str, count: int, seed: int) -> list[str]:
    """``count`` different first sentences of a task's test rows."""
    firsts = sorted({pair.text1 for pair in text.read_pairs(data / task / "test.jsonl")})
    order = np.random.default_rng(seed).permutation(len(firsts))[:count]
    return [firsts[int(i)] for i in order]


def evaluate(arguments: argparse.Namespace) -> dict[str, Any]:
    """The ``parts`` asked for of what the model card reports."""
    model = BartForConditionalGeneration.from_pretrained(
        str(arguments.model), dtype=torch.float32
    ).eval()
    tokenizer = Tokenizer.from_file(str(arguments.model / "tokenizer.json"))
    cards = text.read_cards(arguments.cards)
    report: dict[str, Any] = {}
    if "accuracy" in arguments.parts:
        report["rows"] = arguments.rows
        report["accuracy"] = accuracies(model, tokenizer, cards, arguments.data, arguments.rows)
    if "perplexity" in arguments.parts:
        report["perplexity"] = perplexities(model, tokenizer, arguments.corpora, arguments.lines)
    if "writing" in arguments.parts:
        report["writing"] = {}
        report["sampling"] = {"temperature": arguments.temperature, "top_k": arguments.top_k}
        judge = load_judge(arguments.judge)
        report["judge"] = json.loads((arguments.judge / "judge.json").read_text(encoding="utf-8"))
        for task in WRITTEN:
            report["writing"][task] = agreement(
                model,
                tokenizer,
                cards[task],
                draw_firsts(arguments.data, task, arguments.firsts, arguments.seed),
                judge,
                temperature=arguments.temperature,
                top_k=arguments.top_k,
                seed=arguments.seed,
            )
    return report


def summary(report: dict[str, Any]) -> str:
    """A few lines with the report's figures."""
    lines = [
        "accuracy " + " ".join(f"{k} {v:.1%}" for k, v in report.get("accuracy", {}).items()),
        "perplexity " + " ".join(f"{k} {v:.1f}" for k, v in report.get("perplexity", {}).items()),
    ]
    for task, found in report.get("writing", {}).items():
        labels = " ".join(f"{k} {v:.1%}" for k, v in found["by_label"].items())
        lines.append(
            f"writing {task}: agreement {found['agreement']:.1%} ({labels}) "
            f"complete {found['complete']:.1%} copies {found['copies']:.1%} "
            f"unknown {found['unknown_pieces']} distinct-2 "
            + " ".join(f"{v:.2f}" for v in found["distinct_2"].values())
        )
    return "\n".join(lines)


def main() -> None:
    """Evaluate, print, write ``evaluation.json``; parts measured before stay in it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    for option in ("model", "judge", "data", "corpora", "cards", "out"):
        parser.add_argument(f"--{option}", type=Path, required=True)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--rows", type=int, help="test rows a task; all where left out")
    parser.add_argument("--lines", type=int, default=300, help="held-out lines a corpus")
    parser.add_argument("--firsts", type=int, default=500)
    parser.add_argument("--temperature", type=float, default=0.7)
    parser.add_argument("--top-k", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    path = arguments.out / "evaluation.json"
    report = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    report |= evaluate(arguments)
    arguments.out.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=2), encoding="utf-8")
    print(summary(report))


if __name__ == "__main__":
    main()
