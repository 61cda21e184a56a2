"""Ways to combine few shots with more rows, compared on pool rows: true ones, or a file's.

    python -m tools.combining --data DATA --tasks snli,qqp --out CELLS -s backbone.path=smollm2

Reads ``DATA/TASK/train.jsonl`` and ``DATA/TASK/16-SEED/{train,dev}.jsonl``; test rows are not
opened. A cell is a task, a seed and a way; finished ones are skipped.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

from benchmarks.measure import commit
from dawgen.backbone import load_backbone
from dawgen.evaluation import predict, score
from dawgen.machine.hardware import hardware
from dawgen.methods.prompted import PromptJob, tune
from dawgen.settings import Settings
from dawgen.settings.layers import build_settings
from dawgen.tasks import Row, TaskCard, load_card, load_rows
from dawgen.tuning import Arm
from tools.drivers import true_rows, unseen

SCORED = 300
"""Pool rows that a prompt is scored on; they are not among the rows to learn from."""


def cell(
    card: TaskCard,
    way: str,
    shots: tuple[Sequence[Row], Sequence[Row]],
    more: Sequence[Row],
    scored: Sequence[Row],
    settings: Settings,
) -> dict[str, Any]:
    """One prompt tuned in one way. A way is a value of ``tuning.combine``, or ``surgery:0.3`` with
    the weight ε of the added rows."""
    combine, _, epsilon = way.partition(":")
    tuning = settings.tuning
    arm = Arm("0", settings.seed, combine, float(epsilon or tuning.epsilon), tuning.learning_rate)  # type: ignore[arg-type]
    job = PromptJob(arm, *shots, tuning, () if combine == "real" else more)
    backbone = load_backbone(settings.backbone)
    (tuned,) = tune(card, [job], backbone)
    labels = [str(row.label) for row in scored]
    result = score(card, labels, predict(backbone, card, tuned.prompt, scored))
    curve = [
        {key: round(step[key], 4) for key in ("step", "dev_accuracy", "dev_loss")}
        for step in tuned.history
        if "dev_accuracy" in step
    ]
    losses = {
        key: [round(step[key], 3) for step in tuned.history[1:] if step.get(key) is not None][::10]
        for key in ("real_loss", "synthetic_loss", "cosine")
    }
    return {
        "accuracy": result["accuracy"],
        "best_step": tuned.best_step,
        "dev_accuracy": tuned.dev_accuracy,
        "dev_curve": curve,
        "every_tenth_step": losses,
        "rows": 0 if combine == "real" else len(more),
    }


def main() -> None:
    """Cell by cell."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--tasks", required=True)
    parser.add_argument("--seeds", default="13,21")
    parser.add_argument("--ways", default="real,surgery,mixed")
    parser.add_argument("--rows", help="a file of rows to learn from, instead of true ones")
    parser.add_argument("--total", type=int, default=960, help="true rows, over all labels")
    parser.add_argument("--name", default="true", help="what the rows are called in file names")
    parser.add_argument("-s", "--set", action="append", default=[])
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    for task in given.tasks.split(","):
        card = load_card(task)
        for seed in given.seeds.split(","):
            settings, _ = build_settings(overrides=[*given.set, f"seed={seed}"])
            folder = given.data / task
            shots = [
                load_rows(card, str(folder / f"16-{seed}" / f"{part}.jsonl"))
                for part in ("train", "dev")
            ]
            pool = unseen(load_rows(card, str(folder / "train.jsonl")), *shots)
            scored, pool = pool[:SCORED], unseen(pool[SCORED:], pool[:SCORED])
            each = given.total // len(card.labels)
            more = true_rows(pool, card.labels, each, int(seed))
            if given.rows:
                more = load_rows(card, given.rows)
            for way in given.ways.split(","):
                name = "" if way == "real" else f"{given.name}-"
                path = given.out / f"{task}-{seed}-{name}{way.replace(':', '-')}.json"
                if path.is_file():
                    continue
                start, cpu = perf_counter(), process_time()
                found = cell(card, way, (shots[0], shots[1]), more, scored, settings)
                found |= {"task": task, "seed": int(seed), "way": way, "n": len(scored)}
                found |= {"seconds": perf_counter() - start, "cpu_seconds": process_time() - cpu}
                found |= {"settings": given.set, "commit": commit(), "hardware": hardware()}
                path.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
                print(f"{path.name:40s} {100 * found['accuracy']:5.1f} %", flush=True)


if __name__ == "__main__":
    main()
