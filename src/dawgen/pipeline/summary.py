"""The last screen of a run: what came out, how it compares, written rows, what to do next."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.cells import cell_len

from dawgen.report import candidates
from dawgen.report.read import RunFiles, read_run
from dawgen.report.results import (
    MAJORITY,
    OURS,
    PLAIN,
    ZERO_SHOT,
    duration,
    labelled,
    metric_name,
    metric_of,
    results,
    shipped,
)
from dawgen.report.rows import samples
from dawgen.report.verdicts import has_packaged_encoder, verdicts
from dawgen.terminal.harmless import in_shell
from dawgen.terminal.progress import shown
from dawgen.terminal.screen import Line, height, shortened

MOST_LINES = 30
MOST_VERDICTS = 3
ROWS_PER_LABEL = 3
_FEWEST_ROWS = 6
"""Written rows that a verdict leaves room for: one per label, at most so many."""
_LABEL_COLUMNS = 20
_INTERVALS_FROM = 70
"""Narrower terminals get the accuracies without their intervals."""
_OURS = {
    "real": "prompt tuned on the shots alone",
    "synthetic": "prompt tuned on the written rows alone",
}
_NONE = "no rows were written"
_WHOLE = "  More:    the same without --quick also writes labelled rows and tunes a prompt"
_NAMES = {
    OURS: "prompt tuned on shots and written rows",
    PLAIN: "prompt tuned on the shots alone",
    ZERO_SHOT: "zero-shot, no tuning",
    MAJORITY: "always the most frequent label",
}


def summary(folder: Path, columns: int) -> list[Line]:
    """The lines, which take at most ``MOST_LINES`` rows of a terminal so many columns wide.

    Fewer verdicts and written rows are shown on narrow terminals and where there are many labels.
    Paths and commands are never cut; only where these alone are longer, the lines are too.

    Raises:
        UserError: a file of the run folder is damaged.
    """
    files = read_run(folder)
    above = [*_outcome(files), Line(), *_comparison(files, columns)]
    if not files.ledger:
        return _quick(folder, files, above, columns)
    heading = Line(f"Written rows, in {in_shell(folder / 'synthetic')}", "bold")
    below = _next_steps(folder, larger=has_packaged_encoder(files))
    room = MOST_LINES - height([*above, Line(), heading, Line(), *below], columns)
    found = _verdicts(files)
    while found and room - height(found, columns) < min(len(files.ledger["labels"]), _FEWEST_ROWS):
        found.pop()
    rows = _written_rows(files, columns, room - height(found, columns))
    return [*above, *found, Line(), *([heading, *rows, Line()] if rows else []), *below]


def _quick(folder: Path, files: RunFiles, above: list[Line], columns: int) -> list[Line]:
    """Of a run without written rows: all candidates take their place."""
    larger = has_packaged_encoder(files)
    below = [*_next_steps(folder, larger=larger), Line(_WHOLE)]
    found = _verdicts(files)
    room = MOST_LINES - height([*above, *found, Line(), Line(), Line(), *below], columns)
    return [*above, *found, Line(), *_candidates(files, columns, room), Line(), *below]


def _candidates(files: RunFiles, columns: int, most: int) -> list[Line]:
    """The best on held-out rows first, as many as there is room for."""
    metric, ships = metric_of(files.scores), str(files.scores["choice"])
    table = candidates.table(files.scores, metric, {})[: max(most, 1)]
    width = min(max(len(each["title"]) for each in table), max(20, columns - 24))
    lines = [Line(f"{'Candidates':{width + 2}}  {'held out':>8}  {'test':>8}", "bold")]
    for each in table:
        mark = "*" if each["name"] == ships else " "
        test = "" if each["test"] is None else _percent(each["test"])
        name = shortened(each["title"], width)
        lines.append(Line(f"{mark} {name:{width}}  {_percent(each['held_out']):>8}  {test:>8}"))
    return lines


def _outcome(files: RunFiles) -> list[Line]:
    scores, ledger = files.scores, files.ledger
    shots = (files.run.get("rows") or {}).get("train")
    source = f"From {labelled(files.run):,} labelled rows: " if shots else ""
    written = f"of {shown(str(files.source['name']))}" if files.source else "written"
    rows = f"{ledger['kept']:,} rows kept of {ledger['attempted']:,} {written}" if ledger else _NONE
    seconds = sum(stage.get("seconds") or 0.0 for stage in files.run.get("stages", {}).values())
    name = f"{shown(str(scores['task']))} on {shown(str(scores['backbone']))}"
    return [
        Line(f"{name}: {_figure(scores)}{_interval(scores)}", "bold"),
        Line(f"{source}{rows}; seed {scores['seed']}, {duration(seconds)}."),
    ]


def _figure(scores: dict[str, Any]) -> str:
    metric = metric_of(scores)
    if metric == "accuracy":
        return f"{_percent(scores[metric])} right"
    return f"{metric_name(scores)} {_percent(scores[metric])}"


def _interval(scores: dict[str, Any]) -> str:
    interval = scores.get(f"{metric_of(scores)}_95")
    if not interval:
        return ""
    low, high = interval
    return f" (95 % interval {100 * low:.1f} to {_percent(high)})"


# --- how it compares -------------------------------------------------------------------


def _comparison(files: RunFiles, columns: int) -> list[Line]:
    scores, combine = files.scores, str(files.arm.get("combine"))
    methods = {result.name: result for result in results(scores)}
    names = _NAMES | ({OURS: _OURS[combine]} if combine in _OURS else {})
    ships = shipped(scores) if "choice" in scores else None
    width = max(38, *map(len, methods))
    metric = metric_name(scores)
    heading = f"{metric[0].upper()}{metric[1:]} on {scores['n']:,} {scores['scored_on']}"
    lines = [Line(heading, "bold")]
    for name, method in methods.items():
        mark, percent = "*" if name == ships else " ", _percent(method.value)
        line = f"{mark} {names.get(name, name):{width}}  {percent:>7}"
        if columns >= _INTERVALS_FROM:
            line += f"   {100 * method.low:.1f} to {_percent(method.high)}"
        lines.append(Line(line))
    return lines


def _verdicts(files: RunFiles) -> list[Line]:
    """The first of what follows from the figures; commands are in the report."""
    return [Line(f"- {shown(verdict.text)}") for verdict in verdicts(files, MOST_VERDICTS)]


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


# --- written rows ----------------------------------------------------------------------


def _written_rows(files: RunFiles, columns: int, room: int) -> list[Line]:
    """Per label a few rows, from the highest to the lowest label ratio, in so many lines."""
    labels = list(files.ledger["labels"])
    if room < 1:
        return []
    most = min(ROWS_PER_LABEL, max(room // len(labels), 1))
    shown_labels = labels if len(labels) <= room else labels[: room - 1]
    rows = samples(files.synthetic, most)
    label_columns = min(max(cell_len(shown(label)) for label in shown_labels or [""]), columns // 4)
    label_columns = min(label_columns, _LABEL_COLUMNS)
    lines = []
    for label in shown_labels:
        texts = [_text(row, columns - label_columns - 4) for row in rows.get(label, [])]
        heads = [shortened(label, label_columns), *[""] * most]
        for head, text in zip(heads, texts or ["(none was kept)"], strict=False):
            lines.append(Line(f"  {head}{' ' * (label_columns - cell_len(head))}  {text}"))
    if hidden := len(labels) - len(shown_labels):
        lines.append(Line(shortened(f"  and rows of {hidden} labels more", columns)))
    return lines


def _text(row: dict[str, Any], columns: int) -> str:
    """The text or the pair of texts on one line; a short text leaves its room to the other."""
    text1, text2 = str(row["text1"]), row.get("text2")
    if text2 is None:
        return shortened(text1, columns)
    room = columns - 3
    second = shortened(str(text2), max(room // 2, room - cell_len(shown(text1))))
    return f"{shortened(text1, room - cell_len(second))} | {second}"


# --- what to do next -------------------------------------------------------------------


def _next_steps(folder: Path, *, larger: bool) -> list[Line]:
    """Paths and commands, as they are typed; never shortened.

    Args:
        larger: there is a larger sentence encoder than the run had.
    """
    better = "  Better:  dawgen backbones get mpnet, a larger sentence encoder; then run again"
    return [
        Line("Next", "bold"),
        Line(f"  Report:  {in_shell(folder / 'report.html')}"),
        Line(f"  Use it:  dawgen predict {in_shell(folder)} ROWS.csv"),
        Line(f"  Export:  dawgen export {in_shell(folder)}"),
        *([Line(better)] if larger else []),
    ]
