"""A table as Markdown, CSV, LaTeX or for the terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from dawgen.evaluation.tables import CANDIDATES, FURTHER, Figure, Table
from dawgen.terminal.harmless import separated_line

_MISSING, _FAILED, _SINGLE = "–", "!", "†"
_LATEX = {
    "\\": r"\textbackslash{}",
    **{mark: f"\\{mark}" for mark in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": "$<$",
    ">": "$>$",
    "±": r"$\pm$",
    "†": r"$^\dagger$",
    "→": r"$\rightarrow$",
    "–": "--",
}
_NO_TERMINAL_WIDTH = 220
_CSV_NAMES: dict[int, str] = {FURTHER: "further", CANDIDATES: "candidates"}


def as_text(figure: Figure | None, ours: bool) -> str:
    """An entry as it is read: ``71.0 ± 2.3``; the paper's with the digits it prints."""
    if figure is None:
        return _MISSING
    if figure.mean is None:
        return _FAILED
    if not ours:
        return f"{figure.mean:.2f}"
    parts = [f"{figure.mean:.1f}"]
    if figure.std is not None:
        parts.append(f"± {figure.std:.1f}")
    elif len(figure.seeds) == 1:
        parts.append(_SINGLE)
    return " ".join([*parts, _FAILED] if figure.failed else parts)


def columns(table: Table) -> list[str]:
    """The keys of a line's figures, in their order."""
    return [*table.tasks, "average"]


def heading(table: Table) -> list[str]:
    """The column heads."""
    return ["method", "by", *columns(table)]


def title(table: Table) -> str:
    """What stands above a table."""
    return f"Table {table.number}: {table.caption}" if table.number > 0 else table.caption


def body(table: Table, seeds: bool) -> list[list[str]]:
    """The rows as text; with ``seeds`` each of our rows is followed by its seeds."""
    rows = []
    for line in table.lines:
        by = line.backbone if line.ours else f"paper, {line.backbone}"
        figures = [line.figures[column] for column in columns(table)]
        rows.append([line.title, by, *(as_text(figure, line.ours) for figure in figures)])
        known = [figure for figure in figures if figure is not None]
        every = {seed for figure in known for seed in [*figure.seeds, *figure.failed]}
        for seed in sorted(every) if seeds else ():
            rows.append(["", f"seed {seed}", *(_of_seed(figure, seed) for figure in figures)])
    return rows


def _of_seed(figure: Figure | None, seed: int) -> str:
    if figure is not None and seed in figure.seeds:
        return f"{figure.seeds[seed]:.1f}"
    return _FAILED if figure is not None and seed in figure.failed else _MISSING


def markdown(tables: Sequence[Table], seeds: bool) -> str:
    """Pipe tables with a heading each, and the notes below."""
    parts = []
    for table in tables:
        head = heading(table)
        align = ["---", "---", *["---:"] * (len(head) - 2)]
        lines = ["| " + " | ".join(row) + " |" for row in [head, align, *body(table, seeds)]]
        notes = [text for note in table.notes for text in (note, "")]
        parts.append("\n".join([f"## {title(table)}", "", *lines, "", *notes]))
    return "\n".join(parts)


def latex(tables: Sequence[Table], seeds: bool) -> str:
    """A ``table`` environment each, without any package."""
    parts = []
    for table in tables:
        rows = [[escape(entry) for entry in row] for row in [heading(table), *body(table, seeds)]]
        lines = [" & ".join(row) + r" \\" for row in rows]
        lines = [r"\hline", lines[0], r"\hline", *lines[1:], r"\hline"]
        parts += [
            r"\begin{table}",
            rf"\caption{{{escape(table.caption)}}}",
            rf"\begin{{tabular}}{{ll{'r' * (len(table.tasks) + 1)}}}",
            *lines,
            r"\end{tabular}",
            *[rf"\par {escape(note)}" for note in table.notes],
            r"\end{table}",
            "",
        ]
    return "\n".join(parts)


def escape(text: str) -> str:
    """Text that LaTeX prints as it stands."""
    return "".join(_LATEX.get(letter, letter) for letter in text)


def as_csv(tables: Sequence[Table], seeds: bool) -> str:
    """One line a figure, every seed among them whatever ``seeds`` says; accuracy in percent."""
    lines = ["table,method,by,backbone,task,seed,accuracy,std,seeds,state\n"]
    for table in tables:
        for line in table.lines:
            by = "ours" if line.ours else "paper"
            start = [
                _CSV_NAMES.get(table.number, str(table.number)),
                line.method,
                by,
                line.backbone,
            ]
            for task, figure in line.figures.items():
                lines += [separated_line([*start, task, *e]) for e in _csv_entries(figure)]
    return "".join(lines)


def _csv_entries(figure: Figure | None) -> list[list[object]]:
    """seed, accuracy, std, seeds, state: the seeds one by one, then their mean."""
    if figure is None:
        return [["mean", "", "", "", "missing"]]
    lines: list[list[object]] = [
        [seed, f"{value:.2f}", "", "", "done"] for seed, value in figure.seeds.items()
    ]
    lines += [[seed, "", "", "", "failed"] for seed in figure.failed]
    if figure.mean is not None:
        std = "" if figure.std is None else f"{figure.std:.2f}"
        lines.append(["mean", f"{figure.mean:.2f}", std, len(figure.seeds) or "", "done"])
    return lines


def terminal(tables: Sequence[Table], seeds: bool) -> str:
    """Framed tables as wide as the terminal, the paper's rows dim."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=_NO_TERMINAL_WIDTH)
    with console.capture() as capture:
        for table in tables:
            shown = RichTable(title=title(table), title_justify="left")
            for column in heading(table):
                shown.add_column(column, justify="left" if column in ("method", "by") else "right")
            for row in body(table, seeds):
                style = "dim" if row[1].startswith(("paper, ", "seed ")) else None
                shown.add_row(*(Text(entry) for entry in row), style=style)
            console.print(shown)
            for note in table.notes:
                console.print(Text(note))
            console.print()
    return capture.get()


FORMATS: dict[str, Callable[[Sequence[Table], bool], str]] = {
    "terminal": terminal,
    "markdown": markdown,
    "csv": as_csv,
    "latex": latex,
}
