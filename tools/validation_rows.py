"""Rows to choose settings by: each pool in two, one part to draw shots from, one to score on.

    python -m tools.validation_rows --data DATA --out VALIDATION --tasks snli,qqp

Reads ``DATA/TASK/train.jsonl`` and writes ``VALIDATION/TASK/{train,test}.jsonl``, the layout that
``dawgen bench --data`` reads. Test rows are not opened, so nothing that is chosen with these files
has looked at them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np


def split(rows: list[str], count: int, seed: int) -> tuple[list[str], list[str]]:
    """(pool, scored): ``count`` rows, a third at most, are scored on, drawn by ``seed``."""
    order = np.random.default_rng(seed).permutation(len(rows))
    count = min(count, len(rows) // 3)
    return [rows[i] for i in order[count:]], [rows[i] for i in order[:count]]


def main() -> None:
    """Write the two parts of every task."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    for option in ("data", "out"):
        parser.add_argument(f"--{option}", type=Path, required=True)
    parser.add_argument("--tasks", required=True, help="separated by commas")
    parser.add_argument("--rows", type=int, default=500, help="scored rows a task, at most")
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    for task in arguments.tasks.split(","):
        rows = (arguments.data / task / "train.jsonl").read_text("utf-8").splitlines()
        folder = arguments.out / task
        folder.mkdir(parents=True, exist_ok=True)
        parts = zip(("train", "test"), split(rows, arguments.rows, arguments.seed), strict=True)
        for name, part in parts:
            (folder / f"{name}.jsonl").write_text("\n".join(part) + "\n", "utf-8")
            print(f"{folder / name}.jsonl: {len(part):,} rows")


if __name__ == "__main__":
    main()
