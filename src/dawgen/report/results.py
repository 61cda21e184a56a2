"""How good a run is: in words, in figures, by label, and where it is confidently wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from dawgen.evaluation.balance import f1_of_counts, macro_f1_interval
from dawgen.evaluation.metrics import wilson_interval
from dawgen.report import candidates
from dawgen.report.bars import Bar, bar_chart, reliability_chart
from dawgen.report.read import Rows, RunFiles, is_number

OURS = "dawgen"
PLAIN = "prompt tuning on the real shots alone"
ZERO_SHOT = "zero-shot: no prompt, no training"
MAJORITY = "always the most frequent label"


_METRICS = {"accuracy": "accuracy", "macro_f1": "macro-F1"}


@dataclass(frozen=True, slots=True)
class Result:
    """One method's accuracy or macro-F1 on ``n`` test rows, with its 95 % interval."""

    name: str
    value: float
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
    return _OF_PROMPTS.get(name) or candidates.title(name, scores)


def metric_of(scores: dict[str, Any]) -> str:
    """Which figure the card goes by, as its key in scores.json; older files have accuracy only."""
    metric = str(scores.get("metric"))
    return metric if metric in _METRICS else "accuracy"


def metric_name(scores: dict[str, Any]) -> str:
    """The same in words."""
    return _METRICS[metric_of(scores)]


def reached(result: Result, rows: str, metric: str) -> str:
    """A result in a sentence.

    Args:
        rows: which ones they are.
        metric: the key of the figure.
    """
    if metric == "accuracy":
        return f"{result.value:.1%} of {result.n:,} {rows}"
    return f"a {_METRICS[metric]} of {result.value:.1%} on {result.n:,} {rows}"


def result_of(name: str, part: dict[str, Any], n: int, metric: str) -> Result:
    """One method's figures, which it has; accuracy without an interval gets Wilson's."""
    value = part[metric]
    low, high = part.get(f"{metric}_95") or (
        wilson_interval(round(value * n), n) if metric == "accuracy" else (value, value)
    )
    return Result(name, value, low, high, n)


def results(scores: dict[str, Any], metric: str | None = None) -> list[Result]:
    """The run's figures and what it is compared with, as far as scores.json has them.

    The shipped classifier comes first where it is none of the others.

    Args:
        metric: a key of scores.json; the card's own without.
    """
    metric = metric or metric_of(scores)
    found = []
    ships = shipped(scores)
    for name, part in (
        *([] if ships in _OF_PROMPTS.values() else [(ships, scores)]),
        (OURS, scores.get("prompt") or ({} if "choice" in scores else scores)),
        (PLAIN, scores.get("baseline") or {}),
        (ZERO_SHOT, scores.get("zero_shot") or {}),
    ):
        if is_number(part.get(metric)):
            found.append(result_of(name, part, int(part.get("n", scores.get("n", 0))), metric))
    golds = [sum(row.values()) for row in scores.get("confusion", {}).values()]
    if sum(golds):
        found.append(_majority(golds, metric))
    return found


def _majority(golds: Sequence[int], metric: str) -> Result:
    """Always the label that most rows have, of rows per label."""
    n, most = sum(golds), max(golds)
    if metric == "accuracy":
        return Result(MAJORITY, most / n, *wilson_interval(most, n), n)
    first = golds.index(most)
    confusion = [[count if at == first else 0 for at in range(len(golds))] for count in golds]
    value = float(f1_of_counts(most, n, most)) / len(golds)
    return Result(MAJORITY, value, *macro_f1_interval(confusion), n)


def results_chart(
    found: Sequence[Result], ships: str, seed: object, metric: str = "accuracy"
) -> Markup | None:
    """The headline figure, the shipped one in its own colour; None where nothing was scored.

    Args:
        metric: its name.
    """
    if not found:
        return None
    bars = [
        Bar(r.name, r.value, r.low, r.high, f"n = {r.n:,}", "s0" if r.name == ships else "s7")
        for r in found
    ]
    title = f"{metric[0].upper()}{metric[1:]}, with 95 % intervals; seed {seed}"
    return bar_chart(title, bars)


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
    seed = files.seed
    sentences = []
    if files.ledger:
        kept, attempted = files.ledger["kept"], files.ledger["attempted"]
        shots = (files.run.get("rows") or {}).get("train")
        start = f"From {shots:,} labelled examples dawgen" if shots else "dawgen"
        if files.source:
            sentences.append(
                f"Of the {attempted:,} rows of {files.source['name']} (SHA-256 "
                f"{files.source['sha256']}) {kept:,} were kept; no generator was tuned."
            )
        else:
            sentences.append(
                f"{start} wrote {attempted:,} candidate rows and kept {kept:,} of them (seed "
                f"{seed})."
            )
    found = {result.name: result for result in results(files.scores)}
    if ours := found.get(shipped(files.scores)):
        metric = metric_of(files.scores)
        figures = reached(ours, files.scores.get("scored_on", "test rows"), metric)
        does = f"answers {figures} correctly" if metric == "accuracy" else f"reaches {figures}"
        sentences.append(
            f"The {'prompt' if ours.name == OURS else 'classifier'} that it ships {does} "
            f"(95 % interval {ours.low:.1%} to {ours.high:.1%}, seed {seed}). "
            f"{_learnt_from(files.run)}Other shots or another seed move this by points."
        )
    return sentences


def labelled(run: dict[str, Any]) -> int:
    """How many labelled rows a run had, to learn from and to choose by."""
    rows = run["rows"]
    return int(rows["train"]) + int(rows.get("dev") or 0)


def _learnt_from(run: dict[str, Any]) -> str:
    """What the shipped classifier did with the labelled rows; empty for runs that do not say."""
    rows = run.get("rows") or {}
    if not (used := rows.get("used")):
        return ""
    if used >= labelled(run):
        return f"It learnt from all {used:,} labelled rows. "
    others = labelled(run) - used
    return f"It learnt from {used:,} labelled rows, and {others:,} others were for choosing. "


def key_figures(files: RunFiles) -> list[KeyFigure]:
    """The head's figures: accuracy, gain, rows, and what the run took.

    Stages that were there already took nothing this time.
    """
    found, run = {result.name: result for result in results(files.scores)}, files.run
    figures: list[tuple[str, str, str]] = []
    if ours := found.get(shipped(files.scores)):
        metric = metric_name(files.scores)
        figures.append((metric, f"{ours.value:.1%}", f"{ours.low:.1%} to {ours.high:.1%}"))
        for name, other in (("prompt tuning", PLAIN), ("the majority label", MAJORITY)):
            if other in found and found[other] is not ours:
                gap = (ours.value - found[other].value) * 100
                figures.append((f"against {name}", f"{gap:+.1f}", f"points of {metric}"))
    if ledger := files.ledger:
        what = "rows" if files.source else "tries"
        figures.append(("rows kept", f"{ledger['kept']:,}", f"of {ledger['attempted']:,} {what}"))
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
