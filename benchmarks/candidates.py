"""Which rule of choosing a classifier gives the best one? Candidates on real shots and test rows.

    python -m benchmarks.candidates DATA --out results/candidates       measures, cell by cell
    python -m benchmarks.candidates DATA --out results/candidates --table

``DATA`` has a folder per task with ``test.jsonl`` and ``16-SEED/train.jsonl`` and ``dev.jsonl``.
A cell that is there already is not measured again; other candidates are added to it.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dawgen.selection.candidates import Made, candidates
from dawgen.selection.heads import label_numbers
from dawgen.selection.parts import Models
from dawgen.settings.layers import build_settings
from dawgen.storage.folder import write_json
from dawgen.tasks import Row, Shots, TaskCard, load_card, load_rows
from dawgen.terminal.progress import say

NAMES = ("tfidf", "embeddings", "states", "zero-shot")
"""Candidates that tune nothing."""
PAIRS = ("mnli", "mrpc", "qnli", "qqp", "rte", "sick", "snli")


def card_of(task: str, data: Path) -> TaskCard:
    """The shipped card, or one made from the labels of the task's shots."""
    if task in PAIRS:
        return load_card(task)
    lines = (data / task / "16-13" / "train.jsonl").read_text("utf-8").splitlines()
    labels = sorted({json.loads(line)["label"] for line in lines})
    return TaskCard(
        name=task,
        columns={"text1": "text", "label": "label"},
        labels=labels,
        template="text: {text1} label:",
        causal_template="Text: {text1}\nLabel:",
        label_words={label: label.replace("_", " ").lower() for label in labels},
    )


def spread(rows: Sequence[Row], most: int) -> list[Row]:
    """So many rows, evenly from all of the file."""
    places = np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(int)
    return [rows[i] for i in places]


def measure(card: TaskCard, data: Path, seed: int, names: Sequence[str], most: int) -> Any:
    """Held-out probabilities of each candidate, and which test rows it gets right."""
    settings, _ = build_settings(overrides=[f"seed={seed}", *_OVERRIDES])
    models = _MODELS.setdefault(card.name, Models(card, settings))
    folder = data / card.name / f"16-{seed}"
    shots = Shots(*(load_rows(card, str(folder / f"{part}.jsonl")) for part in ("train", "dev")))
    test = spread(load_rows(card, str(data / card.name / "test.jsonl"), split="test"), most)
    gold = label_numbers(card, [*shots.train, *shots.dev])
    cell: dict[str, Any] = {"gold": gold.tolist(), "test": label_numbers(card, test).tolist()}
    for candidate in candidates(names, shots, Made(), models, seed):
        (part,) = candidate.ship()
        cell[candidate.name] = {
            "held_out": candidate.held_out.round(4).tolist(),
            "test": part.probabilities(test).round(4).tolist(),
            "seconds": round(candidate.seconds, 1),
        }
    return cell


_OVERRIDES: list[str] = []
_MODELS: dict[str, Models] = {}


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--tasks", nargs="*")
    parser.add_argument("--seeds", nargs="*", type=int, default=[13, 21, 42])
    parser.add_argument("--candidates", nargs="*", default=list(NAMES))
    parser.add_argument("--rows", type=int, default=300, help="test rows, at most")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("-s", "--set", nargs="*", default=[], help="settings, as of dawgen run")
    asked = parser.parse_args()
    _OVERRIDES.extend(asked.set)
    tasks = asked.tasks or sorted(path.name for path in asked.data.iterdir())
    for task in tasks:
        card = card_of(task, asked.data)
        for seed in asked.seeds:
            path = asked.out / f"{task}-{seed}.json"
            cell = json.loads(path.read_text("utf-8")) if path.exists() else {}
            missing = [name for name in asked.candidates if name not in cell]
            if missing:
                say(f"{task} {seed}: {', '.join(missing)}")
                path.parent.mkdir(parents=True, exist_ok=True)
                cell |= measure(card, asked.data, seed, missing, asked.rows)
                write_json(path, cell)


if __name__ == "__main__":
    main()
