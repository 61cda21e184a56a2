"""Written rows as they come, for people to read: some of every task, drawn by seed.

    python -m tools.rows_page --runs RUN ... --judged FILE --out docs/written-rows.md

``RUN`` is a run's folder and ``FILE`` what ``tools.judged_rows`` has found of the same runs.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from dawgen.streams import Streams
from dawgen.synthesis import SyntheticRow, load_synthetic
from dawgen.tasks import TaskCard, load_card
from tools.expect_page import TITLES

SHOWN = 30
"""Rows a task."""
_ESCAPED = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "|": "&#124;", "`": "&#96;", "*": "&#42;"}
_ESCAPED |= {"_": "&#95;", "[": "&#91;", "]": "&#93;", "\\": "&#92;", "$": "&#36;", "~": "&#126;"}


def drawn(rows: Sequence[SyntheticRow], task: str) -> list[SyntheticRow]:
    """The first of all rows in an order that depends on the task alone."""
    order = Streams(0).numpy("shown-rows", task).permutation(len(rows))
    return [rows[i] for i in order[:SHOWN]]


def section(
    card: TaskCard, rows: Sequence[SyntheticRow], judged: dict[str, Any] | None
) -> Iterator[str]:
    """Markdown of one task; ``judged`` is nothing where no judge has read its rows."""
    yield f"## {TITLES[card.name]}\n"
    verdict = ""
    if judged:
        share = ", ".join(f"{name} {100 * v:.0f}" for name, v in judged["by_label"].items())
        verdict = (
            f" The judge gives {100 * judged['right']:.1f} % their label ({share}), and is right "
            f"on {100 * judged['judge_right']:.1f} % of test rows."
        )
    yield f"{len(rows)} rows.{verdict}\n"
    texts = ["text1", "text2"] if card.is_pair else ["text"]
    yield f"| label | {' | '.join(texts)} |"
    yield f"| --- |{' --- |' * len(texts)}"
    for row in drawn(rows, card.name):
        cells = [str(row.label), row.text1, *([row.text2 or ""] if card.is_pair else [])]
        yield f"| {' | '.join(map(plain, cells))} |"
    yield ""


def plain(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    return "".join(_ESCAPED.get(mark, mark) for mark in " ".join(text.split()))


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=Path, nargs="+", required=True)
    parser.add_argument("--judged", type=Path, required=True)
    parser.add_argument("--about", required=True, help="where the rows are from, a sentence")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    judged = json.loads(given.judged.read_text("utf-8"))
    found = {}
    for run in given.runs:
        card = load_card(str(run / "task.yaml"))
        rows = load_synthetic(run / "synthetic", card)
        found[card.name] = list(section(card, rows, judged.get(str(run))))
    lines = [line for task in TITLES for line in found.get(task, [])]
    head = (
        "# Written rows\n\n"
        f"The first {SHOWN} rows of each task in an order drawn by seed, good and bad. "
        f"{given.about} The judge is logistic regression on MPNet's vectors of 2,000 true rows "
        "and, of pairs, on how well their words match; it is no more right than it says "
        "(`python -m tools.judged_rows`). Of pairs it is a poor one: of SICK's rows a language "
        "model tuned on true rows gives 75.7 % their label ([log](log.md)). First texts of pairs "
        "are from the [corpora](licences.md) that come with dawgen.\n"
    )
    given.out.write_text("\n".join([head, *lines]), "utf-8")


if __name__ == "__main__":
    main()
