"""What to expect with 16 examples per class: the cells of ``results/candidates/`` as a table."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

CELLS = Path(__file__).resolve().parents[1] / "results" / "candidates"


class Column(NamedTuple):
    """A classifier: its title, the file of cells that has it, and its name there, the last of
    these that a cell has."""

    title: str
    file: str
    names: tuple[str, ...]

    def accuracy(self, cell: dict[str, Any]) -> float | None:
        """Of test rows, in per cent."""
        found = [cell[name]["test"] for name in self.names if name in cell]
        return 100 * found[-1] if found else None


_TOGETHER = ("embeddings+states", "tuned-embeddings+states", "cross-encoder+alignment")
COLUMNS = (
    Column("counted words", "smollm2-mpnet", ("tfidf",)),
    Column("no download", "tiny", ("ships",)),
    Column("MiniLM", "minilm", ("embeddings",)),
    Column("MPNet", "smollm2-mpnet", ("embeddings",)),
    Column("MPNet, tuned", "smollm2-mpnet", ("tuned-embeddings",)),
    Column("word match", "smollm2-mpnet", ("alignment",)),
    Column("cross-encoder", "smollm2-mpnet", ("cross-encoder",)),
    Column("SmolLM2's states", "smollm2-mpnet", ("states",)),
    Column("together", "smollm2-mpnet", _TOGETHER),
)
TITLES = {
    "agnews": "AG News, topics",
    "trec": "TREC, kinds of questions",
    "banking77": "banking77, intents",
    "sst2": "SST-2, sentiment of films",
    "cr": "CR, sentiment of products",
    "subj": "SUBJ, subjective or not",
    "sick": "SICK, pairs of captions",
    "snli": "SNLI, pairs of captions",
    "mnli": "MNLI, pairs of sentences",
    "qqp": "QQP, pairs of questions",
    "mrpc": "MRPC, pairs of news sentences",
    "qnli": "QNLI, question and sentence",
    "rte": "RTE, text and hypothesis",
}
SINGLE = ("agnews", "trec", "sst2", "cr", "subj")


@cache
def _tasks(file: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((CELLS / f"{file}.json").read_text("utf-8"))["tasks"]
    return found


def accuracies(column: Column, task: str) -> list[float]:
    """In per cent, a draw each; empty where there is no cell."""
    found = map(column.accuracy, _tasks(column.file).get(task, {}).values())
    return [each for each in found if each is not None]


def expect_table(deviations: bool) -> Iterator[str]:
    """Markdown: a line per task, and the means over tasks that all columns have.

    Args:
        deviations: show the deviation over draws.
    """
    yield f"| task | {' | '.join(column.title for column in COLUMNS)} |"
    yield f"| --- |{' ---: |' * len(COLUMNS)}"
    for task, title in TITLES.items():
        yield _line(title, [_shown(accuracies(c, task), deviations) for c in COLUMNS])
    pairs = [task for task in TITLES if task not in (*SINGLE, "banking77")]
    for title, tasks in (("five tasks of one text", SINGLE), ("seven tasks of pairs", pairs)):
        means = [_mean(column, tasks) for column in COLUMNS]
        shown = ["" if mean is None else f"**{mean:.1f}**" for mean in means]
        yield _line(f"**mean of the {title}**", shown)


def _mean(column: Column, tasks: Sequence[str]) -> float | None:
    """Over tasks, of the means over draws; nothing where a task has no cell."""
    found = [accuracies(column, task) for task in tasks]
    return float(np.mean([np.mean(each) for each in found])) if all(found) else None


def _shown(values: Sequence[float], deviations: bool) -> str:
    if not values:
        return ""
    if len(values) == 1 or not deviations:
        return f"{np.mean(values):.1f}"
    return f"{np.mean(values):.1f} ± {np.std(values, ddof=1):.1f}"


def _line(title: str, cells: Sequence[str]) -> str:
    return f"| {title} | {' | '.join(cells)} |"


def every_draw() -> Iterator[str]:
    """Markdown: each cell's accuracy."""
    yield f"| task | draw | {' | '.join(column.title for column in COLUMNS)} |"
    yield f"| --- | --- |{' ---: |' * len(COLUMNS)}"
    for task in TITLES:
        for seed in sorted(_tasks("smollm2-mpnet").get(task, {}), key=int):
            found = [c.accuracy(_tasks(c.file).get(task, {}).get(seed, {})) for c in COLUMNS]
            shown = ["" if each is None else f"{each:.1f}" for each in found]
            yield _line(f"{task} | {seed}", shown)
