"""Teach the embedded backbone's encoder the vectors of a larger one: the changes in
``src/dawgen/selection/sentence_encoders``.

    python -m tools.sentence_encoder --data DATA --corpora CORPORA --work WORK \
        --out tiny.safetensors
    python -m tools.sentence_encoder --data DATA --corpora CORPORA --work WORK --no-opinions \
        --out tiny-pairs.safetensors

``CORPORA`` has ``wikipedia.txt.xz``, ``questions.txt.xz`` and ``captions.txt.xz`` with a text per
line, ``DATA`` a folder per task with ``train.jsonl`` and ``test.jsonl``, of which the texts of MNLI
are read and no labels. Texts that occur in any task's test rows are left out. LoRA on the linear
layers of all six layers learns to give vectors whose cosines within a batch are those of the
teacher's, and from which a linear map, which is not kept, gives the teacher's own. Of texts with
opinions the teacher is the same encoder tuned on thirty opinions (``tools.opinions``). The
teacher's vectors are kept in ``WORK``, and read only once.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import lzma
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from dawgen.backbone.fetch import get_backbone
from dawgen.backbone.registry import KNOWN
from dawgen.selection.encoder import SentenceEncoder
from dawgen.selection.packaged import packaged_encoder
from dawgen.selection.tuned import TunedEncoder
from dawgen.settings.selection import PACKAGED
from tools.cross_encoder import write_adapter
from tools.opinions import tuned_on_opinions, with_opinions

Vectors = npt.NDArray[np.float32]
COUNTS = {"wikipedia": 8000, "questions": 4000, "captions": 2000, "mnli": 6000}
"""Texts of each source."""
OPINIONS = {"wikipedia": (2, 3000), "mnli": (1, 3000)}
"""Words of an opinion that a text has at least, and how many such texts at most."""
RANK, SCALE = 32, 2.0
RATE, MAP_RATE = 1e-3, 1e-3
BATCH, SORTED_TOGETHER = 32, 50
HEAT = 0.05
"""Cosines of a batch are divided by it before the softmax of either model."""
_LONGEST = 60
"""Words of a text."""
_AT_ONCE = 500
_LINES = 200_000
"""Of a corpus; all of them are looked at for opinions."""


class Lesson(NamedTuple):
    """Texts, and the teacher's vectors [N,T] of them."""

    texts: list[str]
    vectors: Vectors


def read_texts(data: Path, corpora: Path, rng: np.random.Generator) -> list[str]:
    """Texts of all sources, in random order."""
    tested, found = _tested(data), list[str]()
    for source, count in COUNTS.items():
        own = _own(_source(source, data, corpora, _LINES), tested)
        found += [own[place] for place in rng.permutation(len(own))[:count]]
    return [found[place] for place in rng.permutation(len(found))]


def read_opinions(data: Path, corpora: Path, rng: np.random.Generator) -> list[str]:
    """Texts with words of an opinion, in random order."""
    tested, found = _tested(data), list[str]()
    for source, (least, count) in OPINIONS.items():
        own = with_opinions(_own(_source(source, data, corpora, None), tested), least)
        found += [own[place] for place in rng.permutation(len(own))[:count]]
    return [found[place] for place in rng.permutation(len(found))]


def _tested(data: Path) -> set[str | None]:
    """Texts of all tasks' test rows."""
    tested: set[str | None] = set()
    for file in data.glob("*/test.jsonl"):
        for row in map(json.loads, file.read_text("utf-8").splitlines()):
            tested |= {row.get("text1") or row.get("text"), row.get("text2")}
    return tested


def _own(texts: Sequence[str], tested: set[str | None]) -> list[str]:
    return [text for text in texts if text not in tested and len(text.split()) <= _LONGEST]


def _source(source: str, data: Path, corpora: Path, most: int | None) -> list[str]:
    return _mnli(data) if source == "mnli" else _lines(corpora / f"{source}.txt.xz", most)


def _mnli(data: Path) -> list[str]:
    rows = map(json.loads, (data / "mnli" / "train.jsonl").read_text("utf-8").splitlines())
    return list(dict.fromkeys(text for row in rows for text in (row["text1"], row["text2"])))


def _lines(file: Path, most: int | None) -> list[str]:
    with lzma.open(file, "rt", encoding="utf-8") as lines:
        return list(dict.fromkeys(line.strip() for line in islice(lines, most)))


def taught_vectors(
    teacher: str, texts: Sequence[str], work: Path, *, tuned: bool = False
) -> Vectors:
    """The teacher's [N,H], some hundred texts at a time, which are kept for the same texts.

    Args:
        tuned: by the teacher tuned on opinions.
    """
    work.mkdir(parents=True, exist_ok=True)
    of_texts = hashlib.sha256("\n".join(texts).encode()).hexdigest()[:12]
    name = f"{Path(teacher).name}{'-tuned' if tuned else ''}-{of_texts}"
    encoder: SentenceEncoder | TunedEncoder | None = None
    parts = []
    for start in range(0, len(texts), _AT_ONCE):
        file = work / f"{name}-{start}.npy"
        if not file.exists():
            encoder = encoder or _teacher(teacher, tuned)
            np.save(file, encoder(texts[start : start + _AT_ONCE]))
            print(f"teacher: {start + _AT_ONCE} of {len(texts)} texts", flush=True)
        parts.append(np.load(file))
    return np.concatenate(parts)


def _teacher(name: str, tuned: bool) -> SentenceEncoder | TunedEncoder:
    encoder = SentenceEncoder(name, "cpu")
    return tuned_on_opinions(encoder) if tuned else encoder


def difference(ours: Tensor, theirs: Tensor, mapped: Tensor) -> Tensor:
    """What the student is to make small: how far its map [b,T] is from the teacher's vectors, and
    the divergence of its cosines within the batch from the teacher's.

    Args:
        ours: the student's [b,H], of unit length, as are the teacher's [b,T].
    """
    apart = 1.0 - nn.functional.cosine_similarity(mapped, theirs).mean()
    itself = torch.eye(len(ours), dtype=torch.bool)
    student, teacher = (
        (each @ each.T / HEAT).masked_fill(itself, -1e4).log_softmax(dim=1)
        for each in (ours, theirs)
    )
    return apart + nn.functional.kl_div(student, teacher, reduction="batchmean", log_target=True)


def batches(texts: Sequence[str], rng: np.random.Generator) -> list[list[int]]:
    """Places of texts of like length, in random order."""
    places, together = rng.permutation(len(texts)), BATCH * SORTED_TOGETHER
    found: list[list[int]] = []
    for start in range(0, len(places), together):
        chunk = sorted(places[start : start + together].tolist(), key=lambda n: len(texts[n]))
        found += [chunk[n : n + BATCH] for n in range(0, len(chunk), BATCH)]
    return [found[place] for place in rng.permutation(len(found)) if len(found[place]) > 1]


def teach(
    student: SentenceEncoder, lessons: Sequence[Lesson], epochs: int, rng: np.random.Generator
) -> Iterator[tuple[float, int, Any]]:
    """The loss of each step, the steps in all, and the changed model so far; a batch is of one
    lesson, and each lesson has a map of its own."""
    adapted = with_changes(student.model)
    width = student.model.config.hidden_size
    maps = nn.ModuleList(nn.Linear(width, each.vectors.shape[1], bias=False) for each in lessons)
    changed = [each for each in adapted.parameters() if each.requires_grad]
    groups = [{"params": changed, "lr": RATE}, {"params": maps.parameters(), "lr": MAP_RATE}]
    optimizer = torch.optim.AdamW(groups, weight_decay=0.01)
    steps = [step for _ in range(epochs) for step in _epoch(lessons, rng)]
    rate = torch.optim.lr_scheduler.LambdaLR(optimizer, partial(falling, steps=len(steps)))
    for which, batch in steps:
        texts, vectors = lessons[which]
        ours = student.vectors([texts[n] for n in batch])
        loss = difference(ours, torch.from_numpy(vectors[batch]), maps[which](ours))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(changed, 1.0)
        optimizer.step()
        rate.step()
        yield loss.item(), len(steps), adapted


def _epoch(lessons: Sequence[Lesson], rng: np.random.Generator) -> list[tuple[int, list[int]]]:
    """Every lesson's batches, in random order."""
    found = [
        (which, batch) for which, each in enumerate(lessons) for batch in batches(each.texts, rng)
    ]
    return [found[place] for place in rng.permutation(len(found))]


def with_changes(model: Any) -> Any:
    """PEFT's model around an encoder, with LoRA on the linear layers of all its layers."""
    from peft import LoraConfig, get_peft_model

    layers = [
        name
        for name, layer in model.named_modules()
        if isinstance(layer, nn.Linear) and name.startswith("encoder.layer.")
    ]
    config = LoraConfig(r=RANK, lora_alpha=round(SCALE * RANK), target_modules=layers)
    return get_peft_model(model, config)


def falling(step: int, steps: int) -> float:
    """Up over the first steps, then down to 0."""
    return min(1.0, (step + 1) / (0.03 * steps)) * (1 - step / steps)


def main() -> None:
    """Tune, and write the changes every 200 steps and at the end."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--corpora", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--teacher", default="dawgen/mpnet")
    parser.add_argument("--student", default=PACKAGED)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-opinions", action="store_true", help="Without that lesson.")
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    rng = np.random.default_rng(arguments.seed)
    sources = arguments.data, arguments.corpora, rng
    read = partial(taught_vectors, arguments.teacher, work=arguments.work)
    texts = read_texts(*sources)
    lessons = [Lesson(texts, read(texts))]
    if not arguments.no_opinions:
        opinions = read_opinions(*sources)
        lessons.append(Lesson(opinions, read(opinions, tuned=True)))
    student = SentenceEncoder(arguments.student, "cpu")
    if arguments.student == PACKAGED:  # as it was before
        student.model = packaged_encoder(get_backbone(KNOWN["tiny"]), None)
        student.model.eval().requires_grad_(False)
    began, seen = perf_counter(), []
    found = teach(student, lessons, arguments.epochs, rng)
    for step, (loss, steps, adapted) in enumerate(found, 1):
        seen.append(loss)
        if step % 20 == 0 or step == steps:
            lately = np.mean(seen[-40:])
            print(f"{step}/{steps} {perf_counter() - began:.0f} s: {lately:.4f}", flush=True)
        if step % 200 == 0 or step == steps:
            write_adapter(arguments.out, adapted)


if __name__ == "__main__":
    main()
