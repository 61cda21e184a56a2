r"""Teach the embedded backbone's encoder to read two texts as one, as MPNet's cross-encoder does.

    python -m tools.small_cross_encoder --data DATA --corpora CORPORA --work WORK \
        --out tiny.safetensors

``DATA`` and ``CORPORA`` are as for ``tools.sentence_encoder``. The pairs are labelled ones of SNLI,
MNLI and QNLI, as ``tools.cross_encoder`` draws them, and unlabelled ones of the corpora: a text and
one of the five that MPNet finds nearest to it. LoRA on the linear layers of all six layers learns
the vectors of MPNet's cross-encoder, by the loss of ``tools.sentence_encoder``, and of labelled
pairs the label too, through a linear head per kind. What the teacher said is kept in ``WORK``.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import nn

from dawgen.selection.cross_encoder import adapter_file, shared_cross_encoder
from dawgen.selection.encoder import SentenceEncoder
from dawgen.settings.selection import PACKAGED
from tools.cross_encoder import KINDS, Pair, read_pairs, write_adapter
from tools.sentence_encoder import (
    Vectors,
    difference,
    falling,
    read_texts,
    taught_vectors,
    with_changes,
)

TEACHER = "dawgen/mpnet"
LABELLED = {"snli": 6000, "mnli": 6000, "qnli": 4000}
NEAR, NEAREST, _LONGEST = 8000, 5, 70
"""Unlabelled pairs, of how many nearest texts the second is one, and words of both at most."""
RATE, HEAD_RATE = 1e-3, 1e-3
BATCH, SORTED_TOGETHER = 32, 50
_TOKENS, _AT_ONCE = 96, 500
_UNLABELLED = "near"


def neighbours(texts: Sequence[str], vectors: Vectors, rng: np.random.Generator) -> list[Pair]:
    """Half of the texts, each with one of those nearest to it; the label says nothing.

    Args:
        vectors: the texts' [N,H], of unit length.
    """
    every, found = torch.from_numpy(vectors), []
    for start in range(0, len(texts), 2000):
        closest = (every[start : start + 2000] @ every.T).topk(NEAREST + 1).indices.numpy()
        for place, row in enumerate(closest, start):
            if rng.random() < 0.5:
                others = [other for other in row if other != place][:NEAREST]
                found.append(Pair(texts[place], texts[rng.choice(others)], _UNLABELLED, 0))
    short = [pair for pair in found if len(f"{pair.text1} {pair.text2}".split()) < _LONGEST]
    return short[:NEAR]


def taught_pairs(pairs: Sequence[Pair], work: Path) -> Vectors:
    """The teacher's [N,H] of pairs, the first text before the second; kept for the same pairs."""
    texts = [(pair.text1, pair.text2) for pair in pairs]
    seal = hashlib.sha256(repr(texts).encode()).hexdigest()[:12]
    teacher: SentenceEncoder | None = None
    parts = []
    for start in range(0, len(texts), _AT_ONCE):
        file = work / f"pairs-{seal}-{start}.npy"
        if not file.exists():
            teacher = teacher or SentenceEncoder(TEACHER, "cpu")
            changes = adapter_file(TEACHER)
            assert changes is not None, "the package holds it"
            with teacher.changed(*shared_cross_encoder(teacher, changes).adapters):
                np.save(file, teacher.read_pairs(texts[start : start + _AT_ONCE]))
            print(f"teacher: {start + _AT_ONCE} of {len(texts)} pairs", flush=True)
        parts.append(np.load(file))
    return np.concatenate(parts)


def batches(
    pairs: Sequence[Pair], sizes: Sequence[int], epochs: int, rng: np.random.Generator
) -> list[list[int]]:
    """Places of pairs of one kind and of like length, epoch by epoch in random order."""
    found: list[list[int]] = []
    for _ in range(epochs):
        for kind in (*dict(KINDS.values()), _UNLABELLED):
            own = [place for place, pair in enumerate(pairs) if pair.kind == kind]
            places, together = rng.permutation(own), BATCH * SORTED_TOGETHER
            for start in range(0, len(places), together):
                chunk = places[start : start + together].tolist()
                chunk.sort(key=lambda place: sizes[place])
                some = [chunk[n : n + BATCH] for n in range(0, len(chunk), BATCH)]
                found += [each for each in some if len(each) > BATCH // 2]
    each = len(found) // epochs
    return [found[n * each + place] for n in range(epochs) for place in rng.permutation(each)]


def teach(
    student: SentenceEncoder,
    pairs: Sequence[Pair],
    vectors: Vectors,
    epochs: int,
    rng: np.random.Generator,
) -> Iterator[tuple[str, float, float, int, Any]]:
    """Kind, difference from the teacher and accuracy of each step, the steps in all, and the model
    so far."""
    adapted = with_changes(student.model)
    width = student.model.config.hidden_size
    to_teacher = nn.Linear(width, vectors.shape[1], bias=False)
    heads = nn.ModuleDict(
        {kind: nn.Linear(width, len(labels)) for kind, labels in dict(KINDS.values()).items()}
    )
    changed = [each for each in adapted.parameters() if each.requires_grad]
    others = [*to_teacher.parameters(), *heads.parameters()]
    groups = [{"params": changed, "lr": RATE}, {"params": others, "lr": HEAD_RATE}]
    optimizer = torch.optim.AdamW(groups, weight_decay=0.01)
    first, second = [pair.text1 for pair in pairs], [pair.text2 for pair in pairs]
    read = student.tokenizer(first, second, truncation=True, max_length=_TOKENS)["input_ids"]
    steps = batches(pairs, [len(ids) for ids in read], epochs, rng)
    rate = torch.optim.lr_scheduler.LambdaLR(optimizer, partial(falling, steps=len(steps)))
    theirs = torch.from_numpy(vectors)
    for batch in steps:
        kind = pairs[batch[0]].kind
        ours = student.vectors([first[n] for n in batch], [second[n] for n in batch])
        loss = apart = difference(ours, theirs[batch], to_teacher(ours))
        right = float("nan")
        if kind in heads:
            gold = torch.tensor([pairs[n].label for n in batch])
            logits = heads[kind](ours * width**0.5)
            loss = apart + nn.functional.cross_entropy(logits, gold)
            right = (logits.argmax(1) == gold).float().mean().item()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(changed, 1.0)
        optimizer.step()
        rate.step()
        yield kind, apart.item(), right, len(steps), adapted


def main() -> None:
    """Tune, and write the changes every 200 steps and at the end."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--corpora", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    texts = read_texts(given.data, given.corpora, np.random.default_rng(given.seed))
    rng = np.random.default_rng(given.seed + 1)
    near = neighbours(texts, taught_vectors(TEACHER, texts, given.work), rng)
    draw = np.random.default_rng(given.seed)
    pairs = read_pairs(given.data, [*LABELLED], [*LABELLED.values()], draw) + near
    vectors = taught_pairs(pairs, given.work)
    torch.manual_seed(given.seed)
    student = SentenceEncoder(PACKAGED, "cpu", is_pair=True)
    began = perf_counter()
    seen: dict[str, list[tuple[float, float]]] = {}
    found = teach(student, pairs, vectors, given.epochs, rng)
    for step, (kind, apart, right, steps, adapted) in enumerate(found, 1):
        seen.setdefault(kind, []).append((apart, right))
        if step % 20 == 0 or step == steps:
            lately = {each: np.mean(it[-30:], axis=0) for each, it in seen.items()}
            figures = ", ".join(f"{each} {it[0]:.3f} {it[1]:.1%}" for each, it in lately.items())
            print(f"{step}/{steps} {perf_counter() - began:.0f} s: {figures}", flush=True)
        if step % 200 == 0 or step == steps:
            write_adapter(given.out, adapted)


if __name__ == "__main__":
    main()
