"""The curves of a run: the generator's losses, and the tuning of each arm, by step."""

from __future__ import annotations

from markupsafe import Markup

from dawgen.report.charts import Line, line_chart
from dawgen.report.read import Rows, is_number


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
            "Is (3) heard? Share of the token weights' gradient through the look-ahead",
            [_line(log, "lookahead_share", "look-ahead")],
            x_label=steps,
            y_label="share of the gradient norms",
            y_range=(0.0, 1.0),
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


def _line(log: Rows, key: str, name: str) -> Line:
    return Line(name, [(row["step"], row[key]) for row in log if is_number(row.get(key))])
