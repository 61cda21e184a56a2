"""The page of results: the cells in results/ as tables, tests between methods, and every seed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from dawgen.evaluation.compare import compare
from dawgen.evaluation.formats import FORMATS
from dawgen.evaluation.results import Results, read_results
from dawgen.evaluation.tables import build_tables
from tools.expect_page import every_draw, expect_table
from tools.written_page import varied_table, written_means, written_table

RESULTS = Path(__file__).resolve().parents[1] / "results"
UNSEEN = ("sick", "mrpc", "rte")
"""Tasks whose labels the embedded backbone never saw."""
ABLATED = ("sick", "mrpc", "rte", "snli")
"""Tasks of tables 2 and 3."""
RIVALS = (
    "prompt-tuning",
    "fine-tuning",
    "prompt-fine-tuning",
    "soft-prompt-fine-tuning",
    "ppt",
    "spot",
    "optima",
    "in-context",
    "tfidf",
    "zero-shot",
    "dawgen-selected",
    "fewgen-surgery",
    "dawgen-paired",
    "dawgen-synthetic",
)
"""What dawgen with surgery is set against."""

_HEAD = """---
hide: [toc]
---

# Results

*Made from the cells in `results/` by `python -m tools.make_docs`.*

## What to expect with 16 examples per class

Accuracy in per cent, mean and standard deviation over three draws of 16 rows per label for training
and 16 for choosing (banking77: one draw), on up to 300 test rows. All learn from all labelled rows,
within minutes. "Together" is the product of the probabilities of the tuned MPNet and the states, of
pairs of word match and the cross-encoder. A run ships it unless another candidate is better beyond
doubt ([what a run ships](selection.md)). "No download" is what a run ships that has the embedded
model alone, among heads on counted words, on its states, and on its encoder, which MPNet has taught
(to tell praise from blame too, from thirty opinions and no row of a task) and which is tuned on
single texts; of pairs on a cross-encoder made of it too. These have learnt from labelled rows of
SNLI, MNLI and QNLI, so there are no figures of these three.

The cross-encoder that dawgen holds has learnt from labelled pairs of SNLI, MNLI and QNLI. On these
three tasks the figures are therefore of cross-encoders that were made without the task
(`python -m tools.cross_encoder --tasks mnli,qnli --rows 6000,4000` and so on); with the one that
dawgen holds they would be higher, and say nothing about your task.

![Accuracy of each classifier by task, as in the table](images/expect.svg)

%(expect)s

The cells in `results/candidates/` were written by `python -m benchmarks.candidates`; they have
the commit and the hardware. The settings of the column "no download" were chosen on pool rows. On
these, pairs are as accurate by the product of all heads, which is shipped, as by that of two; both
had been seen on test rows. That its encoder is worth having was first seen on test rows of seven
draws. "Word match" is ten
numbers of a pair, and a factor of the last column ([what a run ships](selection.md)). Design
decisions were taken on three kinds of rows. Examples in front were chosen on pool rows of CR,
SNLI and TREC, seed 13. The four layers and the mean with MPNet were chosen on held-out and test
rows of CR, SICK, SUBJ and TREC. That it leads was chosen by comparing rules on 33 earlier cells,
on test rows too. Three choices of examples, and how two heads are multiplied, were tried on pool
rows of eight draws. MPNet became the default encoder by test rows of twelve tasks, and states are
left out beyond 30 labels by those of banking77. The ten numbers of a pair and the exponents of
three heads were chosen on pool rows alone, and so were steps and rate of the tuned encoder and
its share in the product, on five tasks, and what a head reads of the cross-encoder, on SICK, RTE,
MRPC, QQP and SNLI. That its product with word match leads was suggested by the test rows of these
tables; on pool rows it was as good as the product with MPNet and the states. So some columns
flatter a little.

## What written rows bring

Whole runs on SmolLM2, in per cent of up to 400 test rows: each classifier with the 16 + 16 shots
alone → with the written rows too, the mean over draws of shots. The prompt is the one that the
paper tunes, by gradient surgery; the others are logistic regression. The last line is the mean gain
over all draws, with p of a sign-flip permutation test.
All were tuned at a constant rate, as presets had it until 2026-11-30.
[Every draw](#every-draw-of-what-written-rows-bring) stands below; commands, commits and
hardware are in `results/smollm2/README.md`.

%(means)s

Today's presets tune at a falling rate, write rows that vary more, and tune longer on them. What
a prompt then gains, on up to 400 test rows (± 2.5 points), has been measured on one draw of a few
tasks only (`results/smollm2-varied/README.md`). A run tunes the shots alone for 120 steps and keeps
the prompt of lowest loss; beside written rows, and beside 960 true rows of the task's pool (838 of
TREC), it is 360 steps and the last prompt. So the fair comparison is with 360 steps, which on this
draw of TREC bring the shots alone 24 points.

%(varied)s

The settings were chosen on pool rows of TREC, SICK and QQP, one draw each, where the prompt goes
from 69.0 to 77.5 %, from 73.2 to 80.5 and from 58.5 to 68.0, with the shots alone tuned as long
([log](log.md)). On TREC the seed of tuning alone moved a prompt by three to eight points.

## The paper's tables on the embedded backbone

The paper's tables on `dawgen/tiny`, a model of 46 MB for trying and testing, beside the paper's
figures for models of 0.8 G parameters. Each cell is one method on one draw of 16 shots per label,
scored on up to 1,000 test rows, the same for every method; commands, commits and hardware are in
`results/tiny/README.md`. No setting was chosen on test rows. What the figures mean, and what did
not work, is in the [log](log.md).
"""
_UNSEEN = """## Is dawgen with surgery ahead?

On SICK, MRPC and RTE, whose labels the backbone never saw, by `dawgen tables results/tiny
--tasks sick,mrpc,rte --compare dawgen-surgery METHOD`:
"""
_ALL = """On all tasks that both have, without `--tasks`:
"""
_DRIVERS = """## One setting changed at a time

DawGen with surgery again (`results/drivers/grid.yaml`), against the settings as shipped, which
were not chosen by these figures.
"""

_STARTS = """## Where tuning changed nothing

Development shots choose among the states of a tuning, the one before the first step included. Where
they choose that, a method stands where its start stood: fine-tuning with a template at no
tuning, a prompt at its label words.
"""


def results_page() -> str:
    """Markdown of all that is in ``results/``."""
    results = read_results(RESULTS / "tiny")
    tables = build_tables(results, 1, [])
    tables += [table for number in (2, 3) for table in build_tables(results, number, ABLATED)]
    pairs = [("dawgen-surgery", rival) for rival in RIVALS]
    return "\n".join(
        [
            _head(),
            FORMATS["markdown"](tables, False),
            *_means(results),
            _UNSEEN,
            *_compared(results, pairs, UNSEEN),
            _ALL,
            *_compared(results, pairs, ()),
            *_drivers(),
            *_starts(RESULTS / "tiny"),
            *_seeds(results),
            "## Every draw of the first table\n",
            *every_draw(),
            "",
            "## Every draw of what written rows bring\n",
            *written_table(),
            "",
        ]
    )


def _head() -> str:
    parts = {
        "%(expect)s": "\n".join(expect_table(deviations=True)),
        "%(means)s": "\n".join(written_means()),
        "%(varied)s": "\n".join(varied_table()),
    }
    page = _HEAD
    for place, table in parts.items():
        page = page.replace(place, table)
    return page


def _compared(
    results: Results, pairs: Sequence[tuple[str, str]], tasks: Sequence[str]
) -> Iterator[str]:
    """The sentences of each pair that has cells of these tasks, as one item."""
    for first, second in pairs:
        both = _tasks(results, first) & _tasks(results, second)
        if both & set(tasks or both):
            yield f"- {' '.join(compare(results, first, second, tasks=tasks))}"
    yield ""


def _tasks(results: Results, side: str) -> set[str]:
    """The tasks that a METHOD or METHOD@BACKBONE has cells of."""
    method, _, name = side.partition("@")
    return {task for backbone, m, task in results.done if m == method and name in ("", backbone)}


def _means(results: Results) -> Iterator[str]:
    """Methods with cells of every task and seed: the mean over tasks, best first."""
    tasks = sorted({task for _, _, task in results.done})
    seeds = sorted({seed for cells in results.done.values() for seed in cells})
    found = []
    for method in {method for _, method, _ in results.done}:
        cells = [results.seeds("tiny", method, task) for task in tasks]
        if all(list(by_seed) == seeds for by_seed in cells):
            means = [100 * np.mean([by[seed].accuracy for by in cells]) for seed in seeds]
            found.append((float(np.mean(means)), float(np.std(means, ddof=1)), method))
    yield f"## The mean over {', '.join(tasks)}\n"
    yield "Of the methods that have cells of all of them; ± is that mean's deviation over seeds.\n"
    yield "| method | accuracy |\n| --- | ---: |"
    for mean, deviation, method in sorted(found, reverse=True):
        yield f"| {method} | {mean:.1f} ± {deviation:.1f} |"
    yield ""


def _drivers() -> Iterator[str]:
    """What the grid of one changed setting says."""
    results = read_results(RESULTS / "drivers")
    names = [name for name in results.backbones if name != "tiny"]
    method = "dawgen-surgery"
    yield _DRIVERS
    yield from _compared(results, [(f"{method}@{name}", f"{method}@tiny") for name in names], ())


def _starts(out: Path) -> Iterator[str]:
    """How often the development shots chose the state before the first step, by method."""
    chosen: dict[str, list[bool]] = {}
    for path in (out / "cells").glob("*/*/*.json"):
        cell = json.loads(path.read_text("utf-8"))
        if "best_step" in cell.get("details", {}):
            chosen.setdefault(cell["method"], []).append(cell["details"]["best_step"] == 0)
    yield _STARTS
    yield "| method | the start was chosen in |\n| --- | ---: |"
    for method, starts in sorted(chosen.items()):
        yield f"| {method} | {sum(starts)} of {len(starts)} |"
    yield ""


def _seeds(results: Results) -> Iterator[str]:
    """Every cell's accuracy in percent, a line a task and method."""
    seeds = sorted({seed for cells in results.done.values() for seed in cells})
    yield "## Every seed\n"
    yield f"| task | method | {' | '.join(map(str, seeds))} |"
    yield f"| --- | --- | {' | '.join('---:' for _ in seeds)} |"
    for backbone, method, task in sorted(results.done, key=lambda key: (key[2], key[1])):
        cells = results.seeds(backbone, method, task)
        shown = [f"{100 * cells[seed].accuracy:.1f}" if seed in cells else "–" for seed in seeds]
        yield f"| {task} | {method} | {' | '.join(shown)} |"
    yield ""
