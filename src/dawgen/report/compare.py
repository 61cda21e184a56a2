"""Several runs on one page: scores, paired differences, settings that differ, curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from markupsafe import Markup

from dawgen.errors import UserError
from dawgen.evaluation.statistics import paired_bootstrap
from dawgen.report.bars import Bar, bar_chart
from dawgen.report.charts import line_chart
from dawgen.report.environment import render_page
from dawgen.report.read import Rows, RunFiles, read_run
from dawgen.report.results import MAJORITY, Result, duration, results, shipped
from dawgen.report.tokens import ShotText, shot_texts
from dawgen.report.training import log_line
from dawgen.storage.folder import write_text
from dawgen.storage.reading import as_dawgen_writes

_MARK = b"dawgen runs</p>"
"""What every page of this kind has in it."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A run against the first one on the same test rows, in points of accuracy."""

    points: float
    low: float
    high: float
    p: float
    """Of McNemar's exact test, two-sided."""


@dataclass(frozen=True, slots=True)
class Compared:
    """A run's line of the table."""

    name: str
    task: str
    seed: object
    result: Result | None
    kept: int | None
    seconds: str | None
    difference: Difference | None


def write_comparison(folders: Sequence[Path], path: Path) -> Path:
    """Write a page that sets runs beside each other, the first being what others are held to.

    Raises:
        UserError: a folder is no run folder, or a file of another kind is at ``path``.
    """
    for folder in folders:
        if not (folder / "run.json").is_file():
            raise UserError(f"{folder} is no run folder: it has no run.json.")
    with as_dawgen_writes(f"One of the runs {', '.join(map(str, folders))}"):
        runs = _named([read_run(folder) for folder in folders], folders)
        if path.exists() and _MARK not in path.read_bytes():
            raise UserError(
                f"{path} exists and is no page of dawgen's; name another file with --out."
            )
        write_text(path, render_page("compare.html.j2", _context(runs)))
    return path


Named = list[tuple[str, RunFiles]]


def _named(runs: Sequence[RunFiles], folders: Sequence[Path]) -> Named:
    """Each run by its folder's name, or by its path where two have one name."""
    names = [run.name for run in runs]
    return [
        (name if names.count(name) == 1 else str(folder), run)
        for name, run, folder in zip(names, runs, folders, strict=True)
    ]


def _context(runs: Named) -> dict[str, Any]:
    lines = [_line(name, run, runs[0][1]) for name, run in runs]
    return {
        "names": [name for name, _ in runs],
        "lines": lines,
        "words": _words(lines),
        "chart": _chart(lines, runs),
        "settings": different_settings(runs),
        "charts": _curves(runs),
        "shot_texts": side_by_side(runs),
    }


def _line(name: str, run: RunFiles, first: RunFiles) -> Compared:
    stages = (run.run.get("stages") or {}).values()
    seconds = sum(stage.get("seconds") or 0.0 for stage in stages)
    return Compared(
        name,
        str(run.task),
        run.seed,
        next((r for r in results(run.scores, "accuracy") if r.name == shipped(run.scores)), None),
        run.ledger.get("kept"),
        duration(seconds) if stages else None,
        None if run is first else difference(run.predictions, first.predictions),
    )


def difference(ours: Rows, theirs: Rows) -> Difference | None:
    """The paired difference of two runs' predictions; None where the rows are not the same."""
    from scipy.stats import binomtest

    rows = [[(r["text1"], r["text2"], r["label"]) for r in part] for part in (ours, theirs)]
    if not ours or rows[0] != rows[1] or any(row["label"] is None for row in ours):
        return None
    right = [np.array([r["label"] == r["prediction"] for r in part]) for part in (ours, theirs)]
    gaps = right[0].astype(float) - right[1].astype(float)
    better, worse = int((gaps > 0).sum()), int((gaps < 0).sum())
    p = float(binomtest(better, better + worse).pvalue) if better + worse else 1.0
    interval = paired_bootstrap([gaps])
    return Difference(100 * float(gaps.mean()), 100 * interval.low, 100 * interval.high, p)


def _words(lines: Sequence[Compared]) -> list[str]:
    first = lines[0]
    sentences = []
    for line in lines:
        if line.result is None:
            sentences.append(f"{line.name} has not been scored.")
        elif line.difference is None:
            same = line is first or first.result is None
            note = "" if same else f"; its test rows are not those of {first.name}"
            sentences.append(f"{line.name} is right on {line.result.value:.1%}{note}.")
        else:
            gap = line.difference
            clear = "more than" if gap.p < 0.05 else "no more than"
            sentences.append(
                f"{line.name} is right on {line.result.value:.1%}, {gap.points:+.1f} points "
                f"against {first.name}: {clear} chance would do (p = {gap.p:.2g})."
            )
    return sentences


def _chart(lines: Sequence[Compared], runs: Named) -> Markup | None:
    bars = [
        Bar(line.name, r.value, r.low, r.high, f"n = {r.n:,}, seed {line.seed}")
        for line in lines
        if (r := line.result) is not None
    ]
    for _, run in runs[:1]:
        found = [r for r in results(run.scores, "accuracy") if r.name == MAJORITY]
        bars += [Bar(MAJORITY, r.value, r.low, r.high, f"n = {r.n:,}") for r in found]
    return bar_chart("Accuracy, with 95 % intervals", bars) if bars else None


def different_settings(runs: Named) -> list[tuple[str, list[str]]]:
    """Every setting that the runs do not share: its name, and its value in each run."""
    trees = [_flat(yaml.safe_load(run.settings) or {}) for _, run in runs]
    keys = dict.fromkeys(key for tree in trees for key in tree)
    found = [(key, [tree.get(key, "–") for tree in trees]) for key in keys]
    return [(key, values) for key, values in found if len(set(values)) > 1]


def _flat(tree: dict[str, Any], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for key, value in tree.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            flat |= _flat(value, f"{name}.")
        else:
            flat[name] = "none" if value is None else str(value)
    return flat


def _curves(runs: Named) -> list[Markup]:
    """The same curve of every run on one chart."""
    wanted = (
        ("Accuracy on the development shots", "tuning", "dev_accuracy", "accuracy"),
        ("Cosine of the real and the synthetic gradient", "tuning", "cosine", "cosine"),
        ("Share of steps with gradients in conflict", "tuning", "conflict_share", "share"),
        ("How far the prompt moved", "tuning", "distance", "L2"),
        ("Label ratio of the shots' tokens", "generator", "ratio", "probability"),
        ("Loss of the label prompts, (1)", "generator", "gen_loss", "loss"),
    )
    charts = [
        line_chart(
            title,
            [log_line(getattr(run, f"{kind}_log"), key, name) for name, run in runs],
            x_label=f"{kind} step",
            y_label=y_label,
        )
        for title, kind, key, y_label in wanted
    ]
    return [chart for chart in charts if chart]


def side_by_side(runs: Named) -> list[ShotText]:
    """The few-shot texts that all the runs have, each with every run's token weights."""
    weighted = [(name, run) for name, run in runs if run.weights]
    if len(weighted) < 2:
        return []
    texts = [{_key(text): text.versions[0][1] for text in shot_texts(run)} for _, run in weighted]
    found = []
    for text in shot_texts(weighted[0][1]):
        if all(_key(text) in known for known in texts):
            versions = [
                (name, known[_key(text)]) for (name, _), known in zip(weighted, texts, strict=True)
            ]
            found.append(ShotText(text.label, text.row, text.source, versions))
    return found


def _key(text: ShotText) -> tuple[str, str, str]:
    return text.label, text.source, "".join(token.text for token in text.versions[0][1])
