"""Which rule of choosing a classifier gives the best one? Candidates on real shots and test rows.

    python -m benchmarks.candidates DATA --out CELLS

``DATA`` has a folder per task with ``test.jsonl`` and ``16-SEED/train.jsonl`` and ``dev.jsonl``.
The candidate ``embeddings+unlabelled`` reads ``train.jsonl`` of the task without its labels.
The table comes last, in Markdown. A cell that is there already is not measured again; other
candidates are added to it. ``--summary results/candidates/NAME.json`` writes the accuracies of all
cells, which docs/results.md and the README show (``python -m tools.make_docs``); other tasks that
the file has stay. A product of heads that a cell has already is computed from their probabilities.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import commit
from dawgen.machine.hardware import hardware
from dawgen.selection.candidates import (
    HEADS,
    Candidate,
    Made,
    average,
    averaged,
    candidates,
    kinds_of,
    lead_of,
    prior_of,
)
from dawgen.selection.choose import DOUBT, best, choose, paired
from dawgen.selection.heads import Numbers, label_numbers, log_losses
from dawgen.selection.parts import Models
from dawgen.selection.pool import exponents, product
from dawgen.selection.select import ALL, teaches
from dawgen.selection.store import Choice
from dawgen.settings.layers import build_settings
from dawgen.storage.folder import write_json
from dawgen.tasks import Row, Shots, TaskCard, load_card, load_rows
from dawgen.tasks.unlabelled import load_unlabelled
from dawgen.terminal.progress import say

NAMES = ("tfidf", "embeddings", "states", "embeddings+states", "zero-shot")
"""Candidates that tune nothing."""
POOL = 500
"""Texts without labels, at most."""


def spread(rows: Sequence[Row], most: int) -> list[Row]:
    """So many rows, evenly from all of the file."""
    places = np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(int)
    return [rows[i] for i in places]


def measure(card: TaskCard, data: Path, seed: int, names: Sequence[str], most: int) -> Any:
    """Held-out probabilities of each candidate, and which test rows it gets right."""
    settings, _ = build_settings(overrides=[f"seed={seed}", *_OVERRIDES])
    if card.name not in _MODELS:
        _MODELS.clear()  # one task's models are in memory at a time
        _MODELS[card.name] = Models(card, settings)
    models = _MODELS[card.name]
    if models.settings.seed != seed:  # by which an encoder is tuned
        before, models = models, Models(card, settings)
        vars(models).update({k: v for k, v in vars(before).items() if k in _LOADED})
        _MODELS[card.name] = models
    folder = data / card.name / f"16-{seed}"
    shots = Shots(*(load_rows(card, str(folder / f"{part}.jsonl")) for part in ("train", "dev")))
    models.take_shots(shots)
    test = spread(load_rows(card, str(data / card.name / "test.jsonl"), split="test"), most)
    gold = label_numbers(card, [*shots.train, *shots.dev])
    cell: dict[str, Any] = {"gold": gold.tolist(), "test": label_numbers(card, test).tolist()}
    made = Made()
    if teaches(names):
        known = [*shots.train, *shots.dev, *test]
        pool = load_unlabelled(card, data / card.name / "train.jsonl", known)
        made = Made(unlabelled=spread(pool.rows, POOL))
    for candidate in candidates(names, shots, made, models, seed):
        shipped = candidate.ship()
        cell[candidate.name] = {
            "held_out": candidate.held_out.round(4).tolist(),
            "test": shipped.probabilities(test).round(4).tolist(),
            "seconds": round(candidate.seconds, 1),
        }
    return cell


def multiplied(cell: dict[str, Any], name: str) -> dict[str, Any] | None:
    """The product of heads that a cell has, each as a candidate of its own; else None.

    Of probabilities as the cell has them, rounded to four digits, without reading the rows again.
    """
    alone = {kinds[0]: head for head, kinds in HEADS.items() if len(kinds) == 1}
    if name not in HEADS or len(HEADS[name]) == 1:
        return None
    of_pairs = {"is_pair": "alignment" in cell, "crosses": "cross-encoder" in cell}
    kinds = kinds_of(name, **of_pairs)
    if not {alone[kind] for kind in kinds} <= cell.keys():
        return None
    heads = [cell[alone[kind]] for kind in kinds]
    held_out, test = (
        [np.array(each[p], np.float32) for each in heads] for p in ("held_out", "test")
    )
    powers = exponents(held_out, np.array(cell["gold"]), "accuracy", prior_of(kinds)).tolist()
    return {
        "held_out": product(held_out, powers).round(4).tolist(),
        "test": product(test, powers).round(4).tolist(),
        "seconds": 0.0,
    }


# --- the table --------------------------------------------------------------------------

Choose = Callable[[Sequence[Candidate], Numbers], Candidate]


def _hits(each: Candidate, gold: Numbers) -> float:
    return float((each.held_out.argmax(axis=1) == gold).mean())


def _loss(each: Candidate, gold: Numbers) -> float:
    return float(log_losses(each.held_out, gold).mean())


def _plain(choose_one: Choose) -> Choose:
    """A rule that knows no average."""
    return lambda found, gold: choose_one([each for each in found if not each.rival], gold)


def _accurate(found: Sequence[Candidate], gold: Numbers) -> Candidate:
    return max(found, key=lambda each: _hits(each, gold))


def _accurate_then_loss(found: Sequence[Candidate], gold: Numbers) -> Candidate:
    return max(found, key=lambda each: (_hits(each, gold), -_loss(each, gold)))


def _lowest_loss(found: Sequence[Candidate], gold: Numbers) -> Candidate:
    return min(found, key=lambda each: _loss(each, gold))


def _cheapest(found: Sequence[Candidate], gold: Numbers) -> Candidate:
    top = _accurate_then_loss(found, gold)
    return next(c for c in found if c is top or paired(top, c, gold).p >= DOUBT)


RULES: dict[str, Choose] = {
    "highest accuracy, then the cheapest": _plain(_accurate),
    "highest accuracy, then the lowest loss": _plain(_accurate_then_loss),
    f"the cheapest that the sign test does not tell apart (p ≥ {DOUBT})": _plain(_cheapest),
    "lowest loss": _plain(_lowest_loss),
    "lowest loss, the average among them": _lowest_loss,
    "always the average": lambda found, gold: found[-1],
    f"the lowest loss among those not told apart from the most accurate (p ≥ {DOUBT})": _plain(
        best
    ),
    "always embeddings+states": lambda found, gold: next(
        (each for each in found if each.leads), found[0]
    ),
    f"dawgen: what leads, unless another one is better (p < {DOUBT})": _plain(choose),
    f"the same, the average where the sign test gives p < {DOUBT}": choose,
}


def table(cells: Sequence[Path]) -> Iterator[str]:
    """Held-out and test accuracy of every candidate by task, then what each rule would ship."""
    figures: dict[str, dict[str, list[tuple[float, float]]]] = {}
    ruled: dict[str, list[float]] = {}
    for path in cells:
        task, cell = path.stem.rpartition("-")[0], json.loads(path.read_text("utf-8"))
        found, test = read_cell(cell)
        gold = np.array(cell["gold"])
        for each in found:
            pairs = figures.setdefault(task, {}).setdefault(each.name, [])
            pairs.append((_hits(each, gold), test[each.name]))
        for rule, choose_one in RULES.items():
            ruled.setdefault(rule, []).append(test[choose_one(found, gold).name])
        ruled.setdefault("the best of all on the test rows", []).append(max(test.values()))
    names = list(dict.fromkeys(name for row in figures.values() for name in row))
    yield f"| task | {' | '.join(names)} |"
    yield f"| --- |{' ---: |' * len(names)}"
    for task, row in figures.items():
        means = [np.mean(row[name], axis=0) * 100 if name in row else None for name in names]
        yield f"| {task} | {' | '.join(_cell(mean) for mean in means)} |"
    yield from ("", f"| rule | test accuracy, mean of {len(cells)} cells |", "| --- | ---: |")
    for rule, values in ruled.items():
        yield f"| {rule} | {100 * np.mean(values):.1f} |"


def _cell(mean: Any) -> str:
    return "" if mean is None else f"{mean[0]:.1f} / {mean[1]:.1f}"


def _no_parts() -> Choice:
    """Candidates that are read back label no further rows."""
    return Choice("", [])


def read_cell(cell: dict[str, Any]) -> tuple[list[Candidate], dict[str, float]]:
    """The candidates of a cell, the average last, and their test accuracies."""
    gold, truth = np.array(cell["gold"]), np.array(cell["test"])
    names = [name for name in ALL if name in cell]
    of_pairs = {"is_pair": "alignment" in cell, "crosses": "cross-encoder" in cell}
    chances = {name: np.array(cell[name]["test"]) for name in names}
    found = [
        Candidate(
            name,
            np.array(cell[name]["held_out"], np.float32),
            _no_parts,
            0,
            0.0,
            leads=lead_of(kinds_of(name, **of_pairs) if name in HEADS else ()),
        )
        for name in names
    ]
    mixed = average(found, gold)
    chances["average"] = np.mean([chances[each.name] for each in averaged(found, gold)], axis=0)
    accuracy = {k: float((v.argmax(axis=1) == truth).mean()) for k, v in chances.items()}
    return [*found, mixed], accuracy


def summary(cells: Sequence[Path]) -> dict[str, Any]:
    """Held-out and test accuracy of every candidate by task and seed, which of them a run ships,
    and where they are from."""
    found: dict[str, Any] = {}
    for path in cells:
        task, _, seed = path.stem.rpartition("-")
        cell = json.loads(path.read_text("utf-8"))
        gold, truth = np.array(cell["gold"]), np.array(cell["test"])
        accuracies = {
            name: {
                "held_out": round(float((np.argmax(each["held_out"], 1) == gold).mean()), 4),
                "test": round(float((np.argmax(each["test"], 1) == truth).mean()), 4),
            }
            for name, each in cell.items()
            if isinstance(each, dict)
        }
        *able, _ = read_cell(cell)[0]  # without their average
        ships = choose(able, gold).name
        found.setdefault(task, {})[seed] = accuracies | {
            "ships": {"name": ships, **accuracies[ships]},
            "shots": len(gold),
            "test_rows": len(truth),
        }
    about = {"commit": commit(), "settings": _OVERRIDES, "hardware": hardware()}
    return {"about": about, "tasks": found}


_OVERRIDES: list[str] = []
_MODELS: dict[str, Models] = {}
_LOADED = ("backbone", "encoder")
"""What models of the next seed need not load again."""


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--tasks", nargs="*")
    parser.add_argument("--seeds", nargs="*", type=int, default=[13, 21, 42])
    parser.add_argument("--candidates", nargs="*", default=list(NAMES))
    parser.add_argument("--rows", type=int, default=300, help="test rows, at most")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "-s", "--set", nargs="*", action="extend", default=[], help="settings, as of dawgen run"
    )
    parser.add_argument("--summary", type=Path, help="write the cells' accuracies here")
    asked = parser.parse_args()
    _OVERRIDES.extend(asked.set)
    tasks = asked.tasks or sorted(path.name for path in asked.data.iterdir())
    for task in tasks:
        card = load_card(task)
        for seed in asked.seeds:
            path = asked.out / f"{task}-{seed}.json"
            cell = json.loads(path.read_text("utf-8")) if path.exists() else {}
            for name in asked.candidates:
                if name not in cell and (made := multiplied(cell, name)):
                    cell[name] = made
                    write_json(path, cell)
            missing = [name for name in asked.candidates if name not in cell]
            if missing:
                say(f"{task} {seed}: {', '.join(missing)}")
                path.parent.mkdir(parents=True, exist_ok=True)
                cell |= measure(card, asked.data, seed, missing, asked.rows)
                write_json(path, cell)
    cells = sorted(asked.out.glob("*.json"))
    if asked.summary:
        made = summary(cells)
        if asked.summary.exists():
            before = json.loads(asked.summary.read_text("utf-8"))["tasks"]
            made["tasks"] = {**before, **made["tasks"]}
        write_json(asked.summary, made)
    print("\n".join(table(cells)))


if __name__ == "__main__":
    main()
