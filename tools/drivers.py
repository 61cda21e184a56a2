"""What drives the gain from synthetic rows: one thing changed at a time, scored on pool rows.

    dawgen run sick --train TRAIN --dev DEV -s synthesis.rows_per_label=5000 --out RUN
    python -m tools.drivers --task sick --train TRAIN --dev DEV --rows POOL --run RUN --out FILE

All arms train as one stack on the same shots: without synthetic rows; with sets of several sizes,
the first of the run's or those of the highest label ratio; with several ε; at several rates; and
with labels that nobody disputes: the pool's own rows in the place of the synthetic ones, which is
what a perfect generator would give. Rows to score are pool rows (``tools/validation_rows.py``)
that are neither among the shots nor among those; test rows are not opened.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import commit
from dawgen.backbone import Backbone, load_backbone
from dawgen.evaluation import predict, score
from dawgen.machine.hardware import hardware, versions
from dawgen.methods.prompted import PromptJob, tune
from dawgen.methods.true_rows import drawn
from dawgen.settings import Settings
from dawgen.settings.layers import build_settings
from dawgen.streams import Streams
from dawgen.synthesis import SyntheticRow, load_synthetic
from dawgen.tasks import Row, TaskCard, load_card, load_rows
from dawgen.tuning import Arm

SIZES = (20, 80, 320, 1280, 5000)
"""Synthetic rows per label."""
EPSILONS = (0.1, 0.3, 3.0)
RATES = (0.001, 0.01)
SIZE = 320
"""Of the set in all arms that differ in something else; the preset's."""

Named = dict[str, tuple[Arm, Sequence[Row]]]


def first(rows: Sequence[SyntheticRow], count: int) -> list[SyntheticRow]:
    """The first ``count`` rows of each label, in the order they were written."""
    return [row for label in _labels(rows) for row in _of(rows, label)[:count]]


def surest(rows: Sequence[SyntheticRow], count: int) -> list[SyntheticRow]:
    """The ``count`` rows of each label that belong to it most, by reader or label ratio."""
    found = []
    for label in _labels(rows):
        mine = sorted(_of(rows, label), key=lambda row: -(row.label_confidence or 0.0))
        found += mine[:count]
    return found


def true_rows(pool: Sequence[Row], labels: Sequence[str], count: int, seed: int) -> list[Row]:
    """``count`` pool rows of each label, drawn by ``seed``."""
    return drawn(pool, (), labels, count, Streams(seed).numpy("drivers", "pool"))


def _labels(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(str(row.label) for row in rows))


def _of(rows: Sequence[SyntheticRow], label: str) -> list[SyntheticRow]:
    return [row for row in rows if row.label == label]


def arms(settings: Settings, rows: Sequence[SyntheticRow], true: Sequence[Row]) -> Named:
    """Every arm by its name, with its synthetic rows."""
    tuning, seed = settings.tuning, settings.seed
    most = min(len(_of(rows, label)) for label in _labels(rows))

    def arm(name: str, epsilon: float = tuning.epsilon, rate: float = tuning.learning_rate) -> Arm:
        return Arm(name, seed, tuning.combine, epsilon, rate)

    found: Named = {"real rows alone": (Arm("real", seed, "real", 1.0, tuning.learning_rate), [])}
    for size in (size for size in SIZES if size < most):
        found[f"first {size} a label"] = (arm("first"), first(rows, size))
    found[f"all {most} a label"] = (arm("all"), rows)
    found[f"surest {SIZE} of {most} a label"] = (arm("surest"), surest(rows, SIZE))
    base = first(rows, SIZE)
    for epsilon in EPSILONS:
        found[f"first {SIZE}, ε = {epsilon:g}"] = (arm("epsilon", epsilon), base)
    for rate in RATES:
        found[f"first {SIZE}, rate {rate:g}"] = (arm("rate", rate=rate), base)
        real = Arm("real", seed, "real", 1.0, rate)
        found[f"real rows alone, rate {rate:g}"] = (real, [])
    found[f"{SIZE} pool rows per label for synthetic ones"] = (arm("true"), true)
    return found


def run_arms(
    card: TaskCard,
    named: Named,
    train: Sequence[Row],
    dev: Sequence[Row],
    scored: Sequence[Row],
    backbone: Backbone,
    settings: Settings,
) -> list[dict[str, Any]]:
    """Tune all arms in one stack and score each: one record an arm, with its learning curve."""
    jobs = [
        PromptJob(arm, train, dev, settings.tuning, synthetic) for arm, synthetic in named.values()
    ]
    labels = [str(row.label) for row in scored]
    records = []
    for (name, (_, synthetic)), tuned in zip(
        named.items(), tune(card, jobs, backbone), strict=True
    ):
        found = predict(backbone, card, tuned.prompt, scored)
        curve = [
            {key: step[key] for key in ("step", "dev_accuracy", "dev_loss")}
            for step in tuned.history
            if "dev_accuracy" in step
        ]
        records.append(
            {
                "arm": name,
                "accuracy": score(card, labels, found)["accuracy"],
                "synthetic_rows": len(synthetic),
                "best_step": tuned.best_step,
                "dev_accuracy": tuned.dev_accuracy,
                "dev_curve": curve,
            }
        )
        print(f"{name:45s} {100 * records[-1]['accuracy']:5.1f} %", flush=True)
    return records


def unseen(rows: Sequence[Row], *others: Sequence[Row]) -> list[Row]:
    """Rows whose texts are not among the others'."""
    seen = {(row.text1, row.text2) for part in others for row in part}
    return [row for row in rows if (row.text1, row.text2) not in seen]


def arguments(doc: str | None) -> argparse.ArgumentParser:
    """What an experiment on a run's synthetic rows is told."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0] if doc else None)
    parser.add_argument("--task", required=True)
    for option in ("train", "dev", "out"):
        parser.add_argument(f"--{option}", type=Path, required=True)
    parser.add_argument("--rows", type=Path, required=True, help="folder of the task's pool parts")
    parser.add_argument("--run", type=Path, required=True, help="a run with synthetic rows")
    parser.add_argument("--seed", type=int, default=13)
    parser.add_argument("-s", "--set", action="append", default=[], help="a setting, key=value")
    return parser


def rows_of(
    given: argparse.Namespace,
) -> tuple[TaskCard, list[Row], list[Row], list[Row], list[Row]]:
    """Card, training and development shots, pool, and rows to score; no row is in two of them."""
    card = load_card(given.task)
    train, dev = (load_rows(card, str(path)) for path in (given.train, given.dev))
    pool, scored = (
        load_rows(card, str(given.rows / f"{part}.jsonl")) for part in ("train", "test")
    )
    scored = unseen(scored, train, dev)
    return card, train, dev, unseen(pool, train, dev, scored), scored


def main() -> None:
    """Load, tune, score, write."""
    parser = arguments(__doc__)
    given = parser.parse_args()
    settings, _ = build_settings(
        overrides=[*given.set, f"seed={given.seed}", "tuning.baseline=false"]
    )
    card, train, dev, pool, scored = rows_of(given)
    true = true_rows(pool, card.labels, SIZE, given.seed)
    rows = load_synthetic(given.run / "synthetic", card)
    named = arms(settings, rows, true)
    records = run_arms(card, named, train, dev, scored, load_backbone(settings.backbone), settings)
    whole = {
        "task": card.name,
        "seed": given.seed,
        "n": len(scored),
        "commit": commit(),
        "hardware": hardware(),
        "versions": versions(),
        "mean_label_confidence": float(np.mean([row.label_confidence or 0.0 for row in rows])),
        "arms": records,
    }
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(whole, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
