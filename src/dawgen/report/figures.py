"""From a run's files to what the page shows: sentences, tables, charts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from dawgen.evaluation.metrics import wilson_interval
from dawgen.report.charts import Bar, Line, bar_chart, line_chart, reliability_chart
from dawgen.report.read import Rows, RunFiles

OURS = "dawgen"
PLAIN = "prompt tuning on the real shots alone"


@dataclass(frozen=True, slots=True)
class Result:
    """One method's accuracy on ``n`` test rows, with its 95 % interval."""

    name: str
    accuracy: float
    low: float
    high: float
    n: int


def results(scores: dict[str, Any]) -> list[Result]:
    """The run's accuracy and what it is compared with, as far as scores.json has them."""
    found = []
    for name, part in (
        (OURS, scores),
        (PLAIN, scores.get("baseline") or {}),
        ("zero-shot: no prompt, no training", scores.get("zero_shot") or {}),
    ):
        if _number(part.get("accuracy")):
            n = int(part.get("n", scores.get("n", 0)))
            low, high = part.get("accuracy_95") or wilson_interval(round(part["accuracy"] * n), n)
            found.append(Result(name, part["accuracy"], low, high, n))
    golds = [sum(row.values()) for row in scores.get("confusion", {}).values()]
    if n := sum(golds):
        low, high = wilson_interval(max(golds), n)
        found.append(Result("always the most frequent label", max(golds) / n, low, high, n))
    return found


def results_chart(found: Sequence[Result], seed: object) -> Markup | None:
    """The headline figure, None where nothing was scored."""
    if not found:
        return None
    bars = [Bar(r.name, r.accuracy, r.low, r.high, f"n = {r.n:,}") for r in found]
    return bar_chart(f"Accuracy, with 95 % intervals; seed {seed}", bars)


def generator_charts(log: Rows) -> list[Markup]:
    """Losses, weight entropy, label ratio and distance moved, by step."""
    steps = "generator step"
    charts = [
        line_chart(
            "Losses of the label prompts",
            [
                _line(log, "gen_loss", "(1) generation"),
                _line(log, "weighted_loss", "(2) weighted generation"),
            ],
            x_label=steps,
            y_label="loss",
        ),
        line_chart(
            "What the token weights learn from",
            [_line(log, "disc_loss", "(3) discrimination")],
            x_label=steps,
            y_label="loss",
        ),
        line_chart(
            "How well weighted sentences of a label keep together",
            [_line(log, "dist_loss", "(4) sentence distance")],
            x_label=steps,
            y_label="loss",
        ),
        line_chart(
            "Label ratio: how strongly the shots' tokens belong to their label",
            [_line(log, "ratio", "ratio in (3)")],
            x_label=steps,
            y_label="probability",
        ),
        line_chart(
            "Entropy of the token weights (1: spread evenly)",
            [_line(log, "entropy", "entropy")],
            x_label=steps,
            y_label="share of the most possible",
        ),
        line_chart(
            "How far the label prompts moved",
            [_line(log, "distance", "distance from the start")],
            x_label=steps,
            y_label="share of the start's norm",
        ),
    ]
    return [chart for chart in charts if chart]


def tuning_charts(log: Rows, baseline: Rows, shots: int | None = None) -> list[Markup]:
    """Development accuracy, losses, how the two gradients agree, and the prompt's size, by step.

    Args:
        shots: how many development shots there are.
    """
    steps = "tuning step"
    n = f" (n = {shots:,})" if shots else ""
    charts = [
        line_chart(
            f"Accuracy on the development shots{n}",
            [
                _line(log, "dev_accuracy", "dawgen"),
                _line(baseline, "dev_accuracy", "real shots alone"),
            ],
            x_label=steps,
            y_label="accuracy",
            y_range=(0.0, 1.0),
        ),
        line_chart(
            "Loss",
            [
                _line(log, "real_loss", "real rows"),
                _line(log, "synthetic_loss", "synthetic rows"),
                _line(baseline, "real_loss", "real shots alone"),
                _line(log, "dev_loss", "development shots"),
            ],
            x_label=steps,
            y_label="cross-entropy",
        ),
        line_chart(
            "Cosine of the real and the synthetic gradient",
            [_line(log, "cosine", "cosine")],
            x_label=steps,
            y_label="cosine",
        ),
        line_chart(
            "Share of steps so far with gradients in conflict",
            [_line(log, "conflict_share", "conflicts")],
            x_label=steps,
            y_label="share",
            y_range=(0.0, 1.0),
        ),
        line_chart(
            "Norm of the prompt",
            [
                _line(log, "prompt_norm", "dawgen"),
                _line(baseline, "prompt_norm", "real shots alone"),
            ],
            x_label=steps,
            y_label="L2",
        ),
        line_chart(
            "How far the prompt moved",
            [_line(log, "distance", "dawgen"), _line(baseline, "distance", "real shots alone")],
            x_label=steps,
            y_label="L2",
        ),
    ]
    return [chart for chart in charts if chart]


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
    """The wrong predictions that were surest."""
    found = [row for row in predictions if row["label"] not in (None, row["prediction"])]
    return sorted(found, key=lambda row: -row["confidence"])[:most]


def ledger_table(ledger: dict[str, Any]) -> list[dict[str, Any]]:
    """Per label: rows attempted, kept, and rejected by reason; of ledger.json."""
    return [
        {"label": label, **{name: account[name] for name in ("attempted", "kept", "reasons")}}
        for label, account in ledger.get("labels", {}).items()
    ]


def samples(synthetic: Rows, most: int = 6) -> dict[str, Rows]:
    """Per label, kept rows spread evenly from the highest to the lowest label ratio."""
    chosen = {}
    for label in _labels(synthetic):
        kept = [row for row in synthetic if row["label"] == label and row["kept"]]
        kept.sort(key=lambda row: -(row.get("label_ratio") or 0.0))
        count = min(most, len(kept))
        places = [round(i * (len(kept) - 1) / max(count - 1, 1)) for i in range(count)]
        chosen[label] = [kept[place] for place in places]
    return chosen


def words(files: RunFiles) -> list[str]:
    """The run in sentences; each only where the run has what it says."""
    seed = files.run.get("seed", files.scores.get("seed"))
    sentences = []
    if files.ledger:
        kept, attempted = files.ledger["kept"], files.ledger["attempted"]
        shots = (files.run.get("rows") or {}).get("train")
        start = f"From {shots:,} labelled examples dawgen" if shots else "dawgen"
        sentences.append(
            f"{start} wrote {attempted:,} candidate rows and kept {kept:,} of them (seed {seed})."
        )
    return sentences + _words_on_scores(files.scores, seed)


def _words_on_scores(scores: dict[str, Any], seed: object) -> list[str]:
    found = {result.name: result for result in results(scores)}
    ours, plain = found.get(OURS), found.get(PLAIN)
    if not ours:
        return []
    scored_on = scores.get("scored_on", "test rows")
    sentences = [
        f"The tuned prompt answers {ours.accuracy:.1%} of {ours.n:,} {scored_on} correctly "
        f"(95 % interval {ours.low:.1%} to {ours.high:.1%}, seed {seed})."
    ]
    if plain:
        gap = (ours.accuracy - plain.accuracy) * 100
        side = "more" if gap > 0 else "less"
        compared = f"{abs(gap):.1f} points {side} than" if abs(gap) >= 0.05 else "the same as"
        sentences.append(
            f"That is {compared} prompt tuning on the real shots alone, which reaches "
            f"{plain.accuracy:.1%} (n = {plain.n:,}, seed {seed})."
        )
    if scored_on == "development shots":
        sentences.append(
            "The checkpoint was chosen on these very rows, so the figures flatter: "
            "name test rows with --test for honest ones."
        )
    sentences.append("One seed says little with so few shots: compare several.")
    return sentences


def _labels(rows: Rows) -> list[str]:
    return list(dict.fromkeys(row["label"] for row in rows))


def _line(log: Rows, key: str, name: str) -> Line:
    return Line(name, [(row["step"], row[key]) for row in log if _number(row.get(key))])


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
