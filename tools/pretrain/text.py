"""Reading sentences and labelled rows, and cards, for pre-training."""

from __future__ import annotations

import json
import lzma
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

HELD_OUT_SHARE = 200  # one line in this many is never trained on
CORPORA = ("wikipedia", "captions", "questions")


@dataclass(frozen=True, slots=True)
class Pair:
    """A labelled pair of sentences."""

    text1: str
    text2: str
    label: str


@dataclass(frozen=True, slots=True)
class Card:
    """What pre-training needs of a task card."""

    name: str
    template: str
    labels: tuple[str, ...]
    label_words: dict[str, str]
    label_prompts: dict[str, str]

    def fill(self, text1: str, text2: str = "") -> str:
        """The card's template with the two texts in it."""
        return self.template.format(text1=text1, text2=text2)


def read_card(path: Path) -> Card:
    """Read the card at ``path`` (YAML)."""
    raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    return Card(
        raw["name"],
        raw["template"],
        tuple(raw["labels"]),
        dict(raw["label_words"]),
        dict(raw["label_prompts"]),
    )


TASKS = ("demo", "mnli", "mrpc", "qnli", "qqp", "rte", "sick", "snli", "sst2")
"""The tasks for whose words the vocabulary was cut; later cards do without."""


def read_cards(folder: Path) -> dict[str, Card]:
    """Every card of ``folder`` by name."""
    paths = (folder / f"{name}.yaml" for name in TASKS)
    cards = [read_card(path) for path in paths if path.is_file()]
    return {card.name: card for card in cards}


def is_held_out(line: str) -> bool:
    """Whether a corpus line belongs to the slice kept for measuring perplexity."""
    return zlib.crc32(line.encode()) % HELD_OUT_SHARE == 0


def iter_lines(path: Path) -> Iterator[str]:
    """The stripped, non-empty lines of a plain or xz-compressed text file."""
    opener = lzma.open if path.suffix == ".xz" else open
    with opener(path, "rt", encoding="utf-8") as file:
        for raw in file:
            line = str(raw).strip()
            if line:
                yield line


def read_corpus(path: Path, *, held_out: bool = False, limit: int | None = None) -> list[str]:
    """Up to ``limit`` lines of one corpus: the training part, or the held-out slice."""
    lines: list[str] = []
    for line in iter_lines(path):
        if is_held_out(line) == held_out:
            lines.append(line)
            if limit is not None and len(lines) >= limit:
                break
    return lines


def corpus_path(folder: Path, name: str) -> Path:
    """The file of corpus ``name``: ``name.txt.xz`` or ``name.txt``."""
    for suffix in (".txt.xz", ".txt"):
        path = folder / f"{name}{suffix}"
        if path.exists():
            return path
    raise FileNotFoundError(f"no corpus {name}.txt.xz or {name}.txt in {folder}")


def read_pairs(path: Path) -> list[Pair]:
    """Rows of a ``.jsonl`` file with the columns text1, text2 and label."""
    pairs: list[Pair] = []
    with path.open(encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            pairs.append(Pair(row["text1"].strip(), row["text2"].strip(), row["label"]))
    return pairs


def read_training_pairs(data: Path, task: str) -> list[Pair]:
    """The labelled pool of a task that may be trained on (MNLI and QNLI, nothing else)."""
    if task not in ("mnli", "qnli"):
        raise ValueError(f"the labels of {task} are never trained on")
    return read_pairs(data / task / "train.jsonl")


def with_end(text: str, mark: str = ".") -> str:
    """``text`` with a final full stop, question or exclamation mark, so that ends are learned."""
    text = text.strip()
    stripped = text.rstrip(" \"')]”’")
    if stripped.endswith((".", "?", "!")):
        return text
    return text.rstrip(" ,;:-") + mark
