"""Progress bars on a terminal, and messages on standard error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from dawgen.terminal.harmless import on_terminal, without_secrets

console = Console(stderr=True, soft_wrap=True, highlight=False)


class _Rate(ProgressColumn):
    """Units per second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        unit = task.fields.get("unit", "")
        return Text(f"{speed:,.1f} {unit}/s" if speed else f"- {unit}/s", style="dim")


@contextmanager
def progress(description: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
    """Show a bar with count, rate and time left; yields ``advance(n)``.

    Shows nothing if standard error is no terminal, or inside :func:`hushed`.
    """
    if not console.is_terminal or console.quiet:
        yield lambda n: None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(description, total=total, unit=unit)
        yield lambda n: bar.advance(task, n)


def shown(text: str) -> str:
    """Text on one line, without control characters."""
    return on_terminal(" ".join(text.split()))


@contextmanager
def hushed() -> Iterator[None]:
    """Print no messages: for work that the user did not ask for, such as a probe."""
    before, console.quiet = console.quiet, True
    try:
        yield
    finally:
        console.quiet = before


def is_hushed() -> bool:
    """Whether messages are off."""
    return console.quiet


def say(message: str) -> None:
    """Print one line on standard error."""
    _print(message)


def warn(message: str) -> None:
    """Print a warning: something is legal but probably wrong."""
    _print(f"warning: {message}", "yellow")


def _print(message: str, style: str = "") -> None:
    console.print(Text(on_terminal(without_secrets(message)), style=style))
