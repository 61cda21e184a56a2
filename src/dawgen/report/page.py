"""Writing ``report.html``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from dawgen.harmless import visible
from dawgen.report import figures
from dawgen.report.read import RunFiles, read_run
from dawgen.runs import write_text


def write_report(folder: Path) -> Path:
    """Write ``folder/report.html`` from the run folder's own files.

    The page is one file that loads nothing: styles and charts are inside it, there are no
    scripts, and every text of the run is escaped.

    Raises:
        UserError: no such folder, or a file of it is damaged.
    """
    page = render(read_run(folder))
    path = folder / "report.html"
    write_text(path, visible(page))
    return path


def render(files: RunFiles) -> str:
    """The page's HTML."""
    environment = Environment(
        loader=PackageLoader("dawgen.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = lambda value: f"{value:.1%}"
    environment.filters["count"] = lambda value: f"{value:,}"
    environment.filters["figure"] = _figure
    return environment.get_template("report.html.j2").render(_context(files))


def _figure(value: object) -> str:
    """A number for a table cell; a dash where there is none."""
    if isinstance(value, float):
        return f"{value:.3f}"
    return "–" if value is None else str(value)


def _context(files: RunFiles) -> dict[str, Any]:
    scores = files.scores
    seed = files.run.get("seed", scores.get("seed", "unknown"))
    found = figures.results(scores)
    ledger = figures.ledger_table(files.ledger)
    shots = (files.run.get("rows") or {}).get("dev")
    return {
        "name": files.name,
        "task": files.run.get("task", scores.get("task", "unknown")),
        "seed": seed,
        "run": files.run,
        "scores": scores,
        "words": figures.words(files),
        "results": found,
        "results_chart": figures.results_chart(found, seed),
        "confusion": _confusion(scores),
        "reliability": figures.reliability_figure(files.predictions, seed),
        "wrong": figures.wrong(files.predictions),
        "ledger": ledger,
        "reasons": sorted({reason for row in ledger for reason in row["reasons"]}),
        "samples": figures.samples(files.synthetic),
        "rejected": files.rejected,
        "generator_charts": figures.generator_charts(files.generator_log),
        "tuning_charts": figures.tuning_charts(files.tuning_log, files.baseline_log, shots),
        "arm": files.arm,
        "shots": shots,
        "settings": files.settings,
    }


def _confusion(scores: dict[str, Any]) -> list[tuple[str, list[tuple[int, float]], int]]:
    """Per true label: its name, (count, share of the row) per predicted label, its n."""
    return [
        (label, [(count, count / (n or 1)) for count in row.values()], n)
        for label, row in scores.get("confusion", {}).items()
        for n in [sum(row.values())]
    ]
