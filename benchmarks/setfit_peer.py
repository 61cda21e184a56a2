"""SetFit on the same shots and the same sentence encoder, as a peer of ``tuned-embeddings``.

    python benchmarks/setfit_peer.py DATA ENCODER --tasks cr sst2 --seeds 13 --out setfit.json

Runs in an environment of its own, with ``setfit`` and the transformers that it needs; nothing of
dawgen is imported. ``ENCODER`` is a folder (``dawgen backbones path mpnet``). Learns from the 16
training and 16 development shots per label together, as heads of dawgen do, and scores up to 300
test rows, evenly from the file, those that ``benchmarks.candidates`` scores.
"""

from __future__ import annotations

import argparse
import json
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any


def read(path: Path) -> list[dict[str, Any]]:
    """Rows that have a text."""
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return [row for row in rows if row["text"].strip()]


def spread(rows: list[dict[str, Any]], most: int) -> list[dict[str, Any]]:
    """So many rows, evenly from all of the file."""
    count = min(most, len(rows))
    return [rows[int(n * (len(rows) - 1) / max(1, count - 1))] for n in range(count)]


def measure(data: Path, encoder: str, task: str, seed: int, iterations: int) -> dict[str, Any]:
    """Accuracy on test rows, and the seconds of training."""
    from datasets import Dataset
    from setfit import SetFitModel, Trainer, TrainingArguments

    folder = data / task / f"16-{seed}"
    shots = [*read(folder / "train.jsonl"), *read(folder / "dev.jsonl")]
    test = spread(read(data / task / "test.jsonl"), 300)
    labels = sorted({row["label"] for row in shots})
    model = SetFitModel.from_pretrained(encoder, device="cpu")
    table = Dataset.from_dict(
        {
            "text": [row["text"] for row in shots],
            "label": [labels.index(row["label"]) for row in shots],
        }
    )
    arguments = TrainingArguments(
        num_iterations=iterations, num_epochs=1, seed=seed, report_to=[], save_strategy="no"
    )
    began = time.perf_counter()
    trainer = Trainer(model=model, args=arguments, train_dataset=table)
    trainer.train()
    seconds = time.perf_counter() - began
    found = model.predict([row["text"] for row in test])
    right = [labels[int(n)] == row["label"] for n, row in zip(found, test, strict=True)]
    return {"accuracy": round(sum(right) / len(right), 4), "seconds": round(seconds, 1)}


def main() -> None:
    """One file, a cell per task and seed; those that are there are kept."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", type=Path)
    parser.add_argument("encoder")
    parser.add_argument("--tasks", nargs="+", required=True)
    parser.add_argument("--seeds", nargs="+", type=int, default=[13])
    parser.add_argument("--iterations", type=int, default=20, help="pairs a text, twice")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    found = json.loads(given.out.read_text("utf-8")) if given.out.is_file() else {}
    packages = ("setfit", "sentence-transformers", "transformers", "torch")
    found["about"] = found.get("about", {}) | {name: version(name) for name in packages}
    for task in given.tasks:
        for seed in given.seeds:
            name = f"{task}-{seed}-{given.iterations}"
            if name not in found:
                found[name] = measure(given.data, given.encoder, task, seed, given.iterations)
                given.out.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
            print(name, found[name], flush=True)


if __name__ == "__main__":
    main()
