"""The curves of a run: the generator's losses, and the tuning of each arm, by step."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from dawgen.report.charts import Line, Span, line_chart
from dawgen.report.read import Rows, is_number

_SHARES = (0.0, 1.0)
_ALONE = "real shots alone"


def log_line(log: Rows, key: str, name: str) -> Line:
    """A figure of a log by step."""
    return Line(name, [(row["step"], row[key]) for row in log if is_number(row.get(key))])


def generator_charts(log: Rows) -> list[Markup]:
    """Losses, weight entropy, label ratio and distance moved, by step."""

    def chart(title: str, y_label: str, y_range: Span | None = None, **names: str) -> Markup | None:
        lines = [log_line(log, key, name) for key, name in names.items()]
        return line_chart(title, lines, x_label="generator step", y_label=y_label, y_range=y_range)

    return _filled(
        chart(
            "Losses of the label prompts",
            "loss",
            gen_loss="(1) generation",
            weighted_loss="(2) weighted generation",
        ),
        chart("What the token weights learn from", "loss", disc_loss="(3) discrimination"),
        chart(
            "How well weighted sentences of a label keep together",
            "loss",
            dist_loss="(4) sentence distance",
        ),
        chart(
            "Is (3) heard? Share of the token weights' gradient through the look-ahead",
            "share of the gradient norms",
            _SHARES,
            lookahead_share="look-ahead",
        ),
        chart(
            "Label ratio: how strongly the shots' tokens belong to their label",
            "probability",
            ratio="ratio in (3)",
        ),
        chart(
            "Entropy of the token weights (1: spread evenly)",
            "share of the most possible",
            entropy="entropy",
        ),
        chart(
            "How far the label prompts moved",
            "share of the start's norm",
            distance="distance from the start",
        ),
    )


def tuning_charts(log: Rows, baseline: Rows, shots: int | None = None) -> list[Markup]:
    """Development accuracy and losses by step.

    Args:
        shots: how many development shots there are.
    """
    n = f" (n = {shots:,})" if shots else ""
    losses = [
        log_line(log, "real_loss", "real rows"),
        log_line(log, "synthetic_loss", "written rows"),
        log_line(baseline, "real_loss", _ALONE),
        log_line(log, "dev_loss", "development shots"),
    ]
    return _filled(
        _by_step(
            f"Accuracy on the development shots{n}",
            "accuracy",
            _both(log, baseline, "dev_accuracy"),
            _SHARES,
        ),
        _by_step("Loss", "cross-entropy", losses),
    )


def tuning_details(log: Rows, baseline: Rows) -> list[Markup]:
    """How the two gradients agree, and the prompt's size, by step."""
    return _filled(
        _by_step(
            "Cosine of the real and the synthetic gradient",
            "cosine",
            [log_line(log, "cosine", "cosine")],
        ),
        _by_step(
            "Share of steps so far with gradients in conflict",
            "share",
            [log_line(log, "conflict_share", "conflicts")],
            _SHARES,
        ),
        _by_step("Norm of the prompt", "L2", _both(log, baseline, "prompt_norm")),
        _by_step("How far the prompt moved", "L2", _both(log, baseline, "distance")),
    )


def _both(log: Rows, baseline: Rows, key: str) -> list[Line]:
    return [log_line(log, key, "dawgen"), log_line(baseline, key, _ALONE)]


def _by_step(
    title: str, y_label: str, lines: Sequence[Line], y_range: Span | None = None
) -> Markup | None:
    return line_chart(title, lines, x_label="tuning step", y_label=y_label, y_range=y_range)


def _filled(*charts: Markup | None) -> list[Markup]:
    return [chart for chart in charts if chart]
