"""Lines on standard output: styled on a terminal, plain text in a pipe or a file."""

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
    """A line and how it is drawn, such as `bold`."""

    text: str = ""
    style: str = ""


def show(lines: Sequence[Line]) -> None:
    """Print the lines, without control characters; the terminal wraps those that are too long."""
    console = _console()
    for line in lines:
        console.print(Text(on_terminal(line.text), style=line.style))


def width() -> int:
    """Columns of the terminal; 80 where there is none."""
    return _console().width


def height(lines: Sequence[Line], columns: int) -> int:
    """How many rows of a terminal the lines take."""
    return sum(max(1, -(-cell_len(on_terminal(line.text)) // columns)) for line in lines)


def shortened(text: str, columns: int) -> str:
    """Text on one harmless line of at most so many columns; an ellipsis where it is cut."""
    line = shown(text)
    if cell_len(line) <= columns:
        return line
    return set_cell_size(line, max(columns - 1, 0)).rstrip() + "…"


def _console() -> Console:
    """Of standard output as it is now: tests and notebooks replace it."""
    return Console(soft_wrap=True, highlight=False)
