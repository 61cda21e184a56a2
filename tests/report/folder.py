"""A hand-made run folder whose figures are known, hostile texts among them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

HOSTILE = "<script>alert('x')</script> & <img src=x onerror=alert(1)>"


def synthetic_row(
    label: str, ratio: float, reason: str | None = None, **over: Any
) -> dict[str, Any]:
    return {
        "text1": "A dog runs.",
        "text2": f"An animal moves {ratio}.",
        "label": label,
        "kept": reason is None,
        "reason": reason,
        "label_ratio": ratio,
        "log_likelihood": -1.5,
        "first_sentence": "captions",
        "shard": 0,
        "seed": 13,
    } | over


ROWS = [
    synthetic_row("yes", 0.9),
    synthetic_row("yes", 0.5),
    synthetic_row("yes", 0.7),
    synthetic_row("yes", 0.1, "duplicate"),
    synthetic_row("no", 0.8, text2=HOSTILE),
    synthetic_row("no", 0.2, "empty"),
    synthetic_row("no", 0.3, "empty"),
]
LEDGER = {
    "attempted": 9,
    "kept": 4,
    "rejected": 5,
    "reasons": {"empty": 4, "duplicate": 1},
    "labels": {
        "yes": {"attempted": 4, "kept": 3, "rejected": 1, "reasons": {"duplicate": 1}},
        "no": {"attempted": 5, "kept": 1, "rejected": 4, "reasons": {"empty": 4}},
    },
}
EXAMPLES = [{"reason": "empty", "label": "no", "text1": HOSTILE, "text2": ""}]
PREDICTIONS = [
    {
        "premise": "a",
        "text2": "b",
        "label": "yes",
        "prediction": "yes",
        "p_yes": 0.95,
        "p_no": 0.05,
    },
    {"premise": "c", "text2": "d", "label": "no", "prediction": "yes", "p_yes": 0.91, "p_no": 0.09},
    {
        "premise": HOSTILE,
        "text2": "e",
        "label": "yes",
        "prediction": "no",
        "p_yes": 0.4,
        "p_no": 0.6,
    },
    {"premise": "g", "text2": "h", "label": "no", "prediction": "no", "p_yes": 0.35, "p_no": 0.65},
]
SCORES = {
    "accuracy": 0.5,
    "n": 4,
    "labels": {
        "yes": {"precision": 0.5, "recall": 0.5, "f1": 0.5, "n": 2},
        "no": {"precision": 0.5, "recall": 0.5, "f1": 0.5, "n": 2},
    },
    "accuracy_95": [0.15, 0.85],
    "confusion": {"yes": {"yes": 1, "no": 1}, "no": {"yes": 1, "no": 1}},
    "scored_on": "test rows",
    "ece": 0.28,
    "baseline": {"accuracy": 0.25, "accuracy_95": [0.05, 0.7], "n": 4},
    "zero_shot": {"accuracy": 0.75, "accuracy_95": [0.3, 0.95], "n": 4},
    "seed": 13,
    "task": "pairs",
}
RUN = {
    "dawgen": "0.1.0",
    "task": "pairs",
    "seed": 13,
    "preset": "tiny",
    "command": ["dawgen", "run", "pairs", "--note", HOSTILE],
    "versions": {"torch": "2.13.0"},
    "hardware": {"cpu": "2 cores"},
    "stages": {"synthesize": {"fingerprint": "ab", "seconds": 3.25, "cpu_seconds": 6.0}},
    "rows": {"train": 4, "dev": 4, "test": 4},
    "overlap": 2,
    "finished": "2026-01-02T03:04:05Z",
}


def point(x: float, y: float, kind: str, label: str, text2: str) -> dict[str, Any]:
    """A point of the map."""
    return {"x": x, "y": y, "kind": kind, "label": label, "text1": "A dog.", "text2": text2}


POINTS = [
    point(0.0, 0.0, "synthetic", "yes", "a point that is synthetic"),
    point(1.0, 1.0, "shot", "yes", "a point that is a shot"),
    point(0.0, 1.0, "test", "no", HOSTILE),
    point(1.0, 0.0, "development", "no", "a point of development"),
]


def card(text1: str) -> str:
    """A card that reads text1 from the column of this name."""
    return (
        f"name: pairs\ncolumns: {{text1: {text1}, text2: text2, label: label}}\n"
        "labels: ['yes', 'no']\nlabel_words: {'yes': good, 'no': bad}\n"
        "template: '{text1} {text2}'\n"
    )


def write_run(folder: Path) -> Path:
    """A run folder as the pipeline leaves it, with few rows."""
    for name in ("synthetic", "prompt", "baseline", "generator", "map"):
        (folder / name).mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(ROWS[:4]), folder / "synthetic" / "shard-00000.parquet")
    pq.write_table(pa.Table.from_pylist(ROWS[4:]), folder / "synthetic" / "shard-00001.parquet")
    (folder / "synthetic" / "ledger.json").write_text(json.dumps(LEDGER))
    quality = {"rejected_examples": EXAMPLES}
    (folder / "synthetic" / "quality.json").write_text(json.dumps(quality))
    pq.write_table(pa.Table.from_pylist(PREDICTIONS), folder / "predictions.parquet")
    (folder / "scores.json").write_text(json.dumps(SCORES))
    (folder / "run.json").write_text(json.dumps(RUN))
    (folder / "task.yaml").write_text(card("premise"))
    (folder / "config.yaml").write_text(f"seed: 13 # {HOSTILE}\n")
    steps = [
        {"step": s, "real_loss": 1 / s, "synthetic_loss": 2 / s, "cosine": 0.1, "prompt_norm": 3.0}
        for s in range(1, 6)
    ]
    lines = "\n".join(json.dumps(row) for row in steps)
    (folder / "prompt" / "log.jsonl").write_text(lines + "\n")
    (folder / "baseline" / "log.jsonl").write_text(lines + "\n")
    (folder / "prompt" / "arm.json").write_text('{"best_step": 3, "dev_accuracy": 0.75}')
    generator = {
        "step": 1,
        "gen_loss": 4.0,
        "disc_loss": -0.5,
        "dist_loss": None,
        "entropy": 0.5,
    }
    (folder / "generator" / "log.jsonl").write_text(json.dumps(generator) + "\n")
    write_generator(folder / "generator", "dawgen", 3.0)
    write_generator(folder / ".kept" / "generator-0123", "fewgen", 0.75)
    pq.write_table(pa.Table.from_pylist(POINTS), folder / "map" / "points.parquet")
    return folder


def write_generator(folder: Path, method: str, weight: float) -> None:
    """What a tuned generator says of itself and of the shots' tokens."""
    folder.mkdir(parents=True, exist_ok=True)
    mark = {"fingerprint": "ab", "inputs": {"generator": {"method": method}}}
    (folder / "fingerprint.json").write_text(json.dumps(mark))
    tokens = [
        {"text": "Nobody", "weight": weight, "label_ratio": 0.75},
        {"text": " <b>sleeps</b>", "weight": 1.5, "label_ratio": 0.25},
        {"text": "", "weight": 0.0, "label_ratio": 0.5},
    ]
    texts = [{"row": 2, "label": "no", "source": "A dog runs.", "tokens": tokens}]
    (folder / "token-weights.json").write_text(json.dumps(texts))
