"""Self-training rows: texts the model writes, kept where its own judgement is sure of the label.

    python -m tools.pretrain.selftrain --model DIR [--also DIR ...] --data DATA --corpora CORPORA \\
        --cards src/dawgen/tasks/cards --out runs/pretrain/written --firsts 2000 --seed 1

``--also`` names other checkpoints of the backbone; the mean of all their judgements decides. Uses
MNLI and QNLI training rows and unlabelled lines only, and no judge that saw other labels. Writes
``<card>.<source>.write.jsonl`` with the columns text1, text2, label; several calls with several
seeds add up.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import BartForConditionalGeneration

from tools.pretrain import scoring, text
from tools.pretrain.evaluate import is_complete, normal
from tools.pretrain.vocabulary import piece_id

# (card whose prompts are written for, where the first sentences come from, share of --firsts)
PLANS = (("mnli", "mnli", 1.0), ("snli", "captions", 1.0), ("mnli", "wikipedia", 0.3))


def first_sentences(
    source: str, data: Path, corpora: Path, count: int, rng: np.random.Generator
) -> list[str]:
    """``count`` sentences of MNLI's training rows or of a corpus' training part."""
    if source == "mnli":
        lines = sorted({pair.text1 for pair in text.read_training_pairs(data, "mnli")})
    else:
        path = text.corpus_path(corpora, source)
        lines = [text.with_end(line) for line in text.read_corpus(path, limit=200_000)]
    lines = [line for line in lines if 4 <= len(line.split()) <= 30]
    return [lines[int(i)] for i in rng.permutation(len(lines))[:count]]


def keep_sure(
    models: Sequence[BartForConditionalGeneration],
    tokenizer: Tokenizer,
    card: text.Card,
    rows: list[text.Pair],
    share: float,
) -> tuple[list[text.Pair], float]:
    """The ``share`` of rows of each label that the models are surest of; and their agreement."""
    found = [scoring.label_scores(model, tokenizer, card, rows) for model in models]
    scores = torch.stack(found).mean(0)
    own = torch.tensor([card.labels.index(row.label) for row in rows])
    chosen = scores.gather(1, own[:, None])[:, 0]
    right = scores.argmax(-1) == own
    kept: list[text.Pair] = []
    for number in range(len(card.labels)):
        mine = (own == number).nonzero()[:, 0]
        ranked = mine[chosen[mine].argsort(descending=True)]
        best = ranked[: int(len(ranked) * share)]
        kept += [rows[i] for i in best.tolist() if right[i]]
    return kept, float(right.float().mean())


def main() -> None:
    """Write, filter, save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    for option in ("model", "data", "corpora", "cards", "out"):
        parser.add_argument(f"--{option}", type=Path, required=True)
    parser.add_argument("--also", type=Path, nargs="*", default=[], help="further judges")
    parser.add_argument("--firsts", type=int, default=2000)
    parser.add_argument("--share", type=float, default=0.4, help="share kept of every label")
    parser.add_argument("--temperature", type=float, default=0.8)
    parser.add_argument("--top-k", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    models = [
        BartForConditionalGeneration.from_pretrained(str(path), dtype=torch.float32).eval()
        for path in (arguments.model, *arguments.also)
    ]
    tokenizer = Tokenizer.from_file(str(arguments.model / "tokenizer.json"))
    cards = text.read_cards(arguments.cards)
    end = piece_id(tokenizer, "[SEP]")
    arguments.out.mkdir(parents=True, exist_ok=True)
    for place, (name, source, part) in enumerate(PLANS):
        card = cards[name]
        rng = np.random.default_rng([arguments.seed, place])
        count = int(arguments.firsts * part)
        firsts = first_sentences(source, arguments.data, arguments.corpora, count, rng)
        rows: list[text.Pair] = []
        for label in card.labels:
            texts, pieces = scoring.write(
                models[0],
                tokenizer,
                card.label_prompts[label],
                firsts,
                temperature=arguments.temperature,
                top_k=arguments.top_k,
                seed=arguments.seed,
            )
            rows += [
                text.Pair(first, second, label)
                for first, second, ids in zip(firsts, texts, pieces, strict=True)
                if is_complete(second, ids, end)
                and normal(first) != normal(second)
                and len(second.split()) >= 3
            ]
        kept, agreement = keep_sure(models, tokenizer, card, rows, arguments.share)
        path = arguments.out / f"{name}.{source}-{arguments.seed}.write.jsonl"
        lines = (json.dumps({"text1": r.text1, "text2": r.text2, "label": r.label}) for r in kept)
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        print(f"{path.name}: kept {len(kept)} of {len(rows)}; agrees with itself {agreement:.1%}")


if __name__ == "__main__":
    main()
