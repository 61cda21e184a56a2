"""Make the few-shot task that is shipped with dawgen from a folder of SNLI rows.

    python tools/make_demo_data.py --from DIR

DIR holds ``16-13/train.jsonl`` and ``16-13/dev.jsonl`` (sixteen shots per label, the draw of
seed 13 of Gao et al. 2021) and ``test.jsonl``; each line is {"text1", "text2", "label"}.
The two few-shot files are taken as they are; 600 test rows are drawn with a fixed seed, after
rows that are among the shots were taken out.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path

import numpy as np

from dawgen.evaluation import overlap
from dawgen.tasks import Row, load_card, load_rows

TEST_ROWS = 600
SEED = 13
TARGET = Path(__file__).resolve().parents[1] / "src" / "dawgen" / "tasks" / "demo"


def draw_test(shots: list[Row], test: list[Row]) -> list[Row]:
    """``TEST_ROWS`` of the test rows, none of them a shot, in the order they had."""
    shared = set(overlap(shots, test).rows)
    free = [row for i, row in enumerate(test, start=1) if i not in shared]
    chosen = np.random.default_rng(SEED).choice(len(free), TEST_ROWS, replace=False)
    return [free[i] for i in sorted(chosen)]


def write(rows: list[Row], path: Path) -> None:
    """One JSON object a line."""
    lines = [
        json.dumps({"text1": r.text1, "text2": r.text2, "label": r.label}, ensure_ascii=False)
        for r in rows
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--from", dest="source", type=Path, required=True, metavar="DIR")
    source = parser.parse_args().source
    card = load_card("snli")
    train = load_rows(card, source / "16-13" / "train.jsonl")
    dev = load_rows(card, source / "16-13" / "dev.jsonl")
    test = draw_test([*train, *dev], load_rows(card, source / "test.jsonl"))
    TARGET.mkdir(exist_ok=True)
    for name, rows in (("train", train), ("dev", dev), ("test", test)):
        write(rows, TARGET / f"{name}.jsonl")
        counts = Counter(str(row.label) for row in rows)
        print(f"{name}: {len(rows)} rows, {dict(sorted(counts.items()))}")


if __name__ == "__main__":
    main()
