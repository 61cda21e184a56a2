"""How good a run is: in words, in figures, by label, and where it is confidently wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from dawgen.evaluation.metrics import wilson_interval
from dawgen.report import candidates
from dawgen.report.bars import Bar, bar_chart, reliability_chart
from dawgen.report.read import Rows, RunFiles, is_number

OURS = "dawgen"
PLAIN = "prompt tuning on the real shots alone"
ZERO_SHOT = "zero-shot: no prompt, no training"
MAJORITY = "always the most frequent label"


@dataclass(frozen=True, slots=True)
class Result:
    """One method's accuracy on ``n`` test rows, with its 95 % interval."""

    name: str
    accuracy: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True)
class KeyFigure:
    """A figure of the page's head: what it is, its value, and what is to be said beside it."""

    name: str
    value: str
    note: str


_OF_PROMPTS = {"prompt": OURS, "baseline": PLAIN, "zero-shot": ZERO_SHOT}


def shipped(scores: dict[str, Any]) -> str:
    """The name among :func:`results` of what the run ships."""
    name = candidates.shipped(scores)
    return _OF_PROMPTS.get(name) or candidates.title(name)


def results(scores: dict[str, Any]) -> list[Result]:
    """The run's accuracy and what it is compared with, as far as scores.json has them.

    The shipped classifier comes first where it is none of the others.
    """
    found = []
    ships = shipped(scores)
    for name, part in (
        *([] if ships in _OF_PROMPTS.values() else [(ships, scores)]),
        (OURS, scores.get("prompt") or scores),
        (PLAIN, scores.get("baseline") or {}),
        (ZERO_SHOT, scores.get("zero_shot") or {}),
    ):
        if is_number(part.get("accuracy")):
            n = int(part.get("n", scores.get("n", 0)))
            low, high = part.get("accuracy_95") or wilson_interval(round(part["accuracy"] * n), n)
            found.append(Result(name, part["accuracy"], low, high, n))
    golds = [sum(row.values()) for row in scores.get("confusion", {}).values()]
    if n := sum(golds):
        low, high = wilson_interval(max(golds), n)
        found.append(Result(MAJORITY, max(golds) / n, low, high, n))
    return found


def results_chart(found: Sequence[Result], ships: str, seed: object) -> Markup | None:
    """The headline figure, the shipped one in its own colour; None where nothing was scored."""
    if not found:
        return None
    bars = [
        Bar(r.name, r.accuracy, r.low, r.high, f"n = {r.n:,}", "s0" if r.name == ships else "s7")
        for r in found
    ]
    return bar_chart(f"Accuracy, with 95 % intervals; seed {seed}", bars)


def confusion(scores: dict[str, Any]) -> list[tuple[str, list[tuple[int, float]], int]]:
    """Per true label: its name, (count, share of the row) per predicted label, its n."""
    return [
        (label, [(count, count / (n or 1)) for count in row.values()], n)
        for label, row in scores.get("confusion", {}).items()
        for n in [sum(row.values())]
    ]


def reliability(predictions: Rows, bins: int = 10) -> list[tuple[float, float, int]]:
    """(mean confidence, accuracy, n) of every filled bin of equal width."""
    filled: dict[int, list[tuple[float, bool]]] = {}
    for row in predictions:
        if row["label"] is not None:
            index = min(int(row["confidence"] * bins), bins - 1)
            right = row["label"] == row["prediction"]
            filled.setdefault(index, []).append((row["confidence"], right))
    return [
        (sum(c for c, _ in group) / len(group), sum(r for _, r in group) / len(group), len(group))
        for _, group in sorted(filled.items())
    ]


def reliability_figure(predictions: Rows, seed: object) -> Markup | None:
    """Accuracy against confidence, None without scored predictions."""
    bins = reliability(predictions)
    n = sum(count for *_, count in bins)
    title = f"Is a confident answer right? n = {n:,}, seed {seed}"
    return reliability_chart(title, bins) if bins else None


def wrong(predictions: Rows, most: int = 6) -> Rows:
    """The most confident mistakes."""
    found = [row for row in predictions if row["label"] not in (None, row["prediction"])]
    return sorted(found, key=lambda row: -row["confidence"])[:most]


def words(files: RunFiles) -> list[str]:
    """What was made and how good it is; :mod:`dawgen.report.verdicts` has what follows."""
    seed = files.run.get("seed", files.scores.get("seed"))
    sentences = []
    if files.ledger:
        kept, attempted = files.ledger["kept"], files.ledger["attempted"]
        shots = (files.run.get("rows") or {}).get("train")
        start = f"From {shots:,} labelled examples dawgen" if shots else "dawgen"
        sentences.append(
            f"{start} wrote {attempted:,} candidate rows and kept {kept:,} of them (seed {seed})."
        )
    found = {result.name: result for result in results(files.scores)}
    if ours := found.get(shipped(files.scores)):
        sentences.append(
            f"The {'prompt' if ours.name == OURS else 'classifier'} that it ships answers "
            f"{ours.accuracy:.1%} of {ours.n:,} {files.scores.get('scored_on', 'test rows')} "
            f"correctly (95 % interval {ours.low:.1%} to {ours.high:.1%}, seed {seed}). "
            "Other shots or another seed move this by points."
        )
    return sentences


def key_figures(files: RunFiles) -> list[KeyFigure]:
    """The head's figures: accuracy, gain, rows, and what the run took.

    Stages that were there already took nothing this time.
    """
    found, run = {result.name: result for result in results(files.scores)}, files.run
    figures: list[tuple[str, str, str]] = []
    if ours := found.get(shipped(files.scores)):
        figures.append(("accuracy", f"{ours.accuracy:.1%}", f"{ours.low:.1%} to {ours.high:.1%}"))
        for name, other in (("prompt tuning", PLAIN), ("the majority label", MAJORITY)):
            if other in found and found[other] is not ours:
                gap = (ours.accuracy - found[other].accuracy) * 100
                figures.append((f"against {name}", f"{gap:+.1f}", "points of accuracy"))
    if ledger := files.ledger:
        figures.append(("rows kept", f"{ledger['kept']:,}", f"of {ledger['attempted']:,} tries"))
    if stages := run.get("stages") or {}:
        seconds = sum(stage.get("seconds") or 0.0 for stage in stages.values())
        there = sum(bool(stage.get("skipped")) for stage in stages.values())
        note = f"{there} of {len(stages)} stages were there already" if there else "all stages"
        figures.append(("time", duration(seconds), note))
    if is_number(run.get("peak_memory_mib")):
        figures.append(("memory", f"{run['peak_memory_mib'] / 1024:.1f} GiB", "at most"))
    energy: Any = (run.get("energy") or {}).get("kwh")
    if is_number(energy):
        figures.append(("energy", f"{1000 * energy:.1f} Wh", "codecarbon"))
    return [KeyFigure(*figure) for figure in figures]


def duration(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 90 else f"{seconds / 3600:.1f} h"
