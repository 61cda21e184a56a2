"""How right synthetic labels are by a judge trained on gold labels, and whether the ratio knows.

    python -m tools.judge --task sick --train TRAIN --dev DEV --rows POOL --run RUN --out FILE

The judge is the run's backbone with all weights tuned on pool rows (``prompt-fine-tuning`` with a
budget that no user of dawgen has). It labels the run's synthetic rows. From them as they are, from
those whose label the judge shares, from all with the judge's label in place of theirs, and from
true pool rows instead, prompts are tuned in one stack on the same shots and scored on pool rows
that neither shots nor judge saw.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from benchmarks.measure import commit
from dawgen.backbone import load_backbone
from dawgen.evaluation import score
from dawgen.machine.hardware import hardware, versions
from dawgen.methods import METHODS, Task
from dawgen.settings import Settings
from dawgen.settings.layers import build_settings
from dawgen.streams import Streams
from dawgen.synthesis import SyntheticRow, load_synthetic
from dawgen.tasks import Row, Shots, TaskCard
from dawgen.tuning import Arm
from tools.drivers import SIZE, Named, arguments, first, rows_of, run_arms, true_rows

DEV = 200
"""Pool rows by which the judge's best step is chosen."""


def judge(
    card: TaskCard, pool: Sequence[Row], rows: Sequence[Row], folder: Path, settings: Settings
) -> np.ndarray[Any, np.dtype[np.float32]]:
    """p(label) [N,C] of the rows by the backbone tuned on the pool."""
    task = Task(card, rows, folder)
    shots = Shots(list(pool[DEV:]), list(pool[:DEV]))
    method = METHODS["prompt-fine-tuning"]
    backbone = load_backbone(settings.backbone)
    return method(task, shots, backbone, settings, Streams(settings.seed)).probabilities


def arms(
    settings: Settings,
    rows: Sequence[SyntheticRow],
    by_judge: Sequence[str],
    share: Sequence[bool],
    true: Sequence[Row],
) -> Named:
    """Rows as they are, those that the judge shares, all with the judge's labels, true ones."""
    tuning = settings.tuning

    def arm(name: str) -> Arm:
        return Arm(name, settings.seed, tuning.combine, tuning.epsilon, tuning.learning_rate)

    real = Arm("real", settings.seed, "real", 1.0, tuning.learning_rate)
    shared = first([row for row, same in zip(rows, share, strict=True) if same], SIZE)
    pairs = zip(rows, by_judge, strict=True)
    relabelled = first([replace(row, label=label) for row, label in pairs], SIZE)
    return {
        "real rows alone": (real, []),
        f"first {SIZE} a label": (arm("as they are"), first(rows, SIZE)),
        f"first {SIZE} a label that the judge shares": (arm("shared"), shared),
        f"first {SIZE} a label of the judge": (arm("relabelled"), relabelled),
        f"{SIZE} pool rows per label for synthetic ones": (arm("true"), true),
    }


def agreement(
    rows: Sequence[SyntheticRow], found: np.ndarray[Any, Any], labels: Sequence[str]
) -> dict[str, Any]:
    """How often the judge shares the rows' labels, by label and by how strongly a row belongs to
    its label: by the reader that chose it, else by the label ratio."""
    own = np.array([labels.index(str(row.label)) for row in rows])
    same = found.argmax(1) == own
    confidence = np.array([row.label_confidence or 0.0 for row in rows])
    high = confidence >= np.median(confidence)
    belief = found[np.arange(len(rows)), own]
    return {
        "shared": float(same.mean()),
        "shared_by_label": {name: float(same[own == i].mean()) for i, name in enumerate(labels)},
        "confidence_quartiles": np.quantile(confidence, [0.25, 0.5, 0.75]).tolist(),
        "shared_where_confidence_is_high": float(same[high].mean()),
        "shared_where_confidence_is_low": float(same[~high].mean()) if (~high).any() else None,
        "spearman_confidence_and_judge": float(spearmanr(confidence, belief).statistic),
    }


def main() -> None:
    """Train the judge, compare, tune, write."""
    parser = arguments(__doc__)
    parser.add_argument("--steps", type=int, default=500, help="of the judge, 16 rows each")
    given = parser.parse_args()
    more = [*given.set, f"seed={given.seed}", f"methods.fine_tuning.steps={given.steps}"]
    more += ["methods.fine_tuning.batch_size=16", "methods.fine_tuning.eval_every=50"]
    settings, _ = build_settings(overrides=more)
    card, train, dev, pool, scored = rows_of(given)
    rows = load_synthetic(given.run / "synthetic", card)
    found = judge(card, pool, [*rows, *scored], given.out.parent, settings)
    mine, theirs = found[: len(rows)], found[len(rows) :]
    by_judge = [card.labels[i] for i in mine.argmax(1)]
    share = [str(row.label) == label for row, label in zip(rows, by_judge, strict=True)]
    backbone = load_backbone(settings.backbone)
    true = true_rows(pool, card.labels, SIZE, given.seed)
    named = arms(settings, rows, by_judge, share, true)
    whole = {
        "task": card.name,
        "seed": given.seed,
        "commit": commit(),
        "hardware": hardware(),
        "versions": versions(),
        "judge": {
            "pool_rows": len(pool) - DEV,
            "steps": given.steps,
            "accuracy": score(card, [str(row.label) for row in scored], theirs)["accuracy"],
            "n": len(scored),
        },
        "synthetic_rows": len(rows),
        **agreement(rows, mine, card.labels),
        "arms": run_arms(card, named, train, dev, scored, backbone, settings),
    }
    print(json.dumps({k: v for k, v in whole.items() if k not in ("arms", "versions")}, indent=1))
    given.out.write_text(json.dumps(whole, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
