"""Bars have room for their names."""

from __future__ import annotations

from dawgen.report.bars import Bar, bar_chart


def test_a_long_name_is_cut_before_its_figure_and_whole_in_the_tip() -> None:
    short, long = "dawgen", "logistic regression on embeddings and states and unlabelled texts"
    chart = str(bar_chart("Accuracy", [Bar(n, 0.6, 0.5, 0.7, "n = 600") for n in (short, long)]))
    assert f">{short}</text>" in chart
    assert f">{long}</text>" not in chart
    assert f">{long[:38].rstrip()}…</text>" in chart
    assert f"<title>{long}</title>" in chart
