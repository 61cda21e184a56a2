"""What the user sees while work goes on: a bar on a terminal, single lines elsewhere."""

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
    """Units done a second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        unit = task.fields.get("unit", "")
        return Text(f"{speed:,.1f} {unit}/s" if speed else f"- {unit}/s", style="dim")


@contextmanager
def progress(description: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
    """Show a bar with count, rate and time left; gives back ``advance(n)``.

    Off a terminal nothing is drawn, so logs stay readable; nor inside :func:`hushed`.
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
    """Text that a terminal shows on one line and does not obey: \\x1b and the like spelled out."""
    return on_terminal(" ".join(text.split()))


@contextmanager
def hushed() -> Iterator[None]:
    """Nothing is said: work that the user did not ask for, such as a probe's, has no news."""
    before, console.quiet = console.quiet, True
    try:
        yield
    finally:
        console.quiet = before


def is_hushed() -> bool:
    """Whether what is said now is heard by nobody."""
    return console.quiet


def say(message: str) -> None:
    """One line to the user, on standard error, never parsed as markup."""
    console.print(Text(on_terminal(without_secrets(message))))


def warn(message: str) -> None:
    """A line about something that is legal but likely wrong."""
    console.print(Text(f"warning: {on_terminal(without_secrets(message))}", style="yellow"))
