"""A run in a few lines: as text for the interpreter, as HTML for notebooks."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from markupsafe import Markup

from dawgen.report.read import RunFiles, read_run
from dawgen.report.results import metric_name, metric_of, results, shipped
from dawgen.report.verdicts import verdicts
from dawgen.terminal.progress import shown

_MOST_VERDICTS = 3
_CELL = "text-align:left;padding:2px 12px 2px 0"
_NUMBER = "text-align:right;padding:2px 12px 2px 0"


def headline(scores: dict[str, Any]) -> str:
    """``85.0 % right on 300 test rows, ships logistic regression on TF-IDF``."""
    metric = metric_of(scores)
    percent = f"{100 * scores[metric]:.1f} %"
    figure = f"{percent} right" if metric == "accuracy" else f"{metric_name(scores)} {percent}"
    return f"{figure} on {scores['n']:,} {scores['scored_on']}, ships {shipped(scores)}"


def run_html(folder: Path) -> str:
    """Accuracy, what it is compared with and what follows, for a notebook's cell.

    All texts are escaped: labels and tasks are other people's words.

    Raises:
        UserError: there is no run folder, or a file in it is damaged.
    """
    files = read_run(folder)
    scores = files.scores
    title = Markup("<b>{}</b> on {}: {}").format(
        shown(str(scores["task"])), shown(str(scores["backbone"])), headline(scores)
    )
    said = Markup("").join(
        Markup("<li>{}</li>").format(shown(verdict.text))
        for verdict in verdicts(files, _MOST_VERDICTS)
    )
    place = Markup("Report: <code>{}</code>").format(str(folder / "report.html"))
    parts = [title, _table(files), Markup("<ul>{}</ul>").format(said) if said else "", place]
    return str(Markup("<div>{}</div>").format(Markup("").join(parts)))


def _table(files: RunFiles) -> Markup:
    ships = shipped(files.scores)
    rows = Markup("").join(
        _row((f"{found.name}, shipped" if found.name == ships else found.name, *_figures(found)))
        for found in results(files.scores)
    )
    head = _row(("classifier", f"{metric_name(files.scores)}, %", "95 % interval"), "th")
    return Markup("<table><thead>{}</thead><tbody>{}</tbody></table>").format(head, rows)


def _figures(found: Any) -> tuple[str, str]:
    value, low, high = (f"{100 * x:.1f}" for x in (found.value, found.low, found.high))
    return value, f"{low} to {high}"


def _row(cells: Iterable[str], tag: str = "td") -> Markup:
    """A row of a table, the first cell to the left and the others to the right."""
    parts = Markup("").join(
        Markup('<{tag} style="{style}">{cell}</{tag}>').format(
            tag=tag, style=_NUMBER if place else _CELL, cell=cell
        )
        for place, cell in enumerate(cells)
    )
    return Markup("<tr>{}</tr>").format(parts)
