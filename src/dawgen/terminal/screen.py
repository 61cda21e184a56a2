"""Lines on standard output: with styles on a terminal, plain in a pipe or a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from dawgen.terminal.harmless import on_terminal
from dawgen.terminal.progress import shown


@dataclass(frozen=True, slots=True)
class Line:
    """A line and its style, such as `bold`."""

    text: str = ""
    style: str = ""


def show(lines: Sequence[Line]) -> None:
    """Print the lines without control characters; the terminal wraps long ones."""
    console = _console()
    for line in lines:
        console.print(Text(on_terminal(line.text), style=line.style))


def width() -> int:
    """Columns of the terminal; 80 without one."""
    return _console().width


def height(lines: Sequence[Line], columns: int) -> int:
    """The number of rows of the terminal that the lines take."""
    return sum(max(1, -(-cell_len(on_terminal(line.text)) // columns)) for line in lines)


def shortened(text: str, columns: int) -> str:
    """Text on one line of at most ``columns`` columns; an ellipsis marks a cut."""
    line = shown(text)
    if cell_len(line) <= columns:
        return line
    return set_cell_size(line, max(columns - 1, 0)).rstrip() + "…"


def _console() -> Console:
    """A console for the current standard output: tests and notebooks replace it."""
    return Console(soft_wrap=True, highlight=False)
