"""Do written rows carry their label? A judge that learns from thousands of labelled rows says.

    python -m tools.judged_rows --data DATA --runs RUN ... --out FILE

``DATA/TASK/train.jsonl`` is a pool of true rows and ``DATA/TASK/test.jsonl`` shows how often the
judge itself is right. The judge is logistic regression on a sentence encoder's vectors and, of
pairs, on how well their words match and on a cross-encoder's vectors. It has nothing of the
language model that wrote the rows, but the classifier that chose them reads with the same encoder.
``RUN`` is a run's folder; its card names the task.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import commit
from dawgen.machine.hardware import hardware
from dawgen.selection.heads import (
    STRENGTHS,
    LinearHead,
    Probabilities,
    Training,
    label_numbers,
    mean_loss,
)
from dawgen.selection.parts import Kind, Models
from dawgen.selection.pool import exponents, product
from dawgen.settings.layers import build_settings
from dawgen.storage.folder import write_json
from dawgen.synthesis import load_synthetic
from dawgen.tasks import Row, TaskCard, load_card, load_rows

HELD_OUT = 5
"""Each fifth pool row is held out, to choose C and exponents by."""


class Judge:
    """A product of heads that were fitted on true rows."""

    def __init__(self, card: TaskCard, pool: Sequence[Row], models: Models) -> None:
        kinds: list[Kind] = ["alignment", "embeddings"] if card.is_pair else ["embeddings"]
        kinds += ["cross"] if models.reads_across else []
        held, fitted = pool[::HELD_OUT], [r for n, r in enumerate(pool) if n % HELD_OUT]
        gold = label_numbers(card, held)
        self._parts: list[tuple[Training, LinearHead]] = []
        experts = []
        for kind in kinds:
            training = Training.of(models.recipe(kind), card, fitted)
            heads = [training.head(strength) for strength in STRENGTHS]
            found = [head.probabilities(training.features.of(held)) for head in heads]
            best = int(np.argmin([mean_loss(each, gold, card.metric) for each in found]))
            self._parts.append((training, heads[best]))
            experts.append(found[best])
        self._powers = exponents(experts, gold, card.metric).tolist()

    def __call__(self, rows: Sequence[Row]) -> Probabilities:
        """p(label) [N,C]."""
        return product(
            [head.probabilities(training.features.of(rows)) for training, head in self._parts],
            self._powers,
        )


def agreement(card: TaskCard, rows: Sequence[Row], found: Probabilities) -> dict[str, Any]:
    """How often the judge gives rows their own label, by label too."""
    gold = label_numbers(card, rows)
    same = found.argmax(axis=1) == gold
    by_label = {
        label: round(float(same[gold == n].mean()), 4)
        for n, label in enumerate(card.labels)
        if (gold == n).any()
    }
    return {"rows": len(rows), "right": round(float(same.mean()), 4), "by_label": by_label}


def true_rows(data: Path, card: TaskCard, part: str, most: int) -> list[Row]:
    """At most so many rows of a file, evenly from all of it."""
    path = str(data / card.name / f"{part}.jsonl")
    rows = load_rows(card, path, split=part, skip_empty=True)
    places = np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(int)
    return [rows[place] for place in places]


def main() -> None:
    """One judge a task, then each of its runs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--runs", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--pool", type=int, default=2000, help="true rows to learn from, at most")
    parser.add_argument("--test", type=int, default=300, help="true rows to judge, at most")
    given = parser.parse_args()
    found = json.loads(given.out.read_text("utf-8")) if given.out.is_file() else {}
    judges: dict[str, tuple[Judge, float]] = {}
    for run in given.runs:
        card, name = load_card(str(run / "task.yaml")), str(run)
        if name in found:
            continue
        if card.name not in judges:
            judges.clear()  # one task's vectors are in memory at a time
            models = Models(card, build_settings()[0])
            judge = Judge(card, true_rows(given.data, card, "train", given.pool), models)
            test = true_rows(given.data, card, "test", given.test)
            judges[card.name] = judge, agreement(card, test, judge(test))["right"]
        judge, right = judges[card.name]
        rows = load_synthetic(run / "synthetic", card)
        facts = agreement(card, rows, judge(rows))
        found[name] = {
            "task": card.name,
            "judge_right": right,
            "pool_rows": given.pool,
            **facts,
            "share": round(facts["right"] / right, 4),
            "commit": commit(),
            "hardware": hardware(),
        }
        write_json(given.out, found)
        share = found[name]["share"]
        print(f"{name}: {facts['right']:.1%} right by a judge of {right:.1%}: {share:.2f}")


if __name__ == "__main__":
    main()
