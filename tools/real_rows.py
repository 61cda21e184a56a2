"""What one text alone tells of the label in real rows: figures that written rows are held against.

    python -m tools.real_rows --data DATA --tasks sick,snli

Reads ``DATA/TASK/train.jsonl`` and writes the package's ``synthesis/real-rows.json``.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from dawgen.storage.atomic import write_text
from dawgen.streams import Streams
from dawgen.synthesis import alone
from dawgen.tasks import load_card, load_rows

SEED = 13


def main() -> None:
    """Task by task."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--tasks", required=True, help="pair tasks, separated by commas")
    given = parser.parse_args()
    figures = {}
    for task in sorted(given.tasks.split(",")):
        card = load_card(task)
        rows = load_rows(card, str(given.data / task / "train.jsonl"))
        first = alone.text_alone(rows, card.labels, Streams(SEED), "text1")
        second = alone.text_alone(rows, card.labels, Streams(SEED), "text2")
        if first is None or second is None:
            raise SystemExit(f"{task} has too few rows of some label.")
        told = {"text1_alone": first["accuracy"], "text2_alone": second["accuracy"]}
        figures[task] = {"rows": first["rows"], **told}
        print(task, figures[task], flush=True)
    where = Path(alone.__file__).parent / alone.REAL
    write_text(where, json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
