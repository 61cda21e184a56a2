"""Progress bars on a terminal, and messages on standard error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

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
NORMAL, QUIET, VERBOSE = "normal", "quiet", "verbose"
_loudness = NORMAL
_shows = False
"""Whether a progress is shown: work inside it has none of its own."""
_lines: _Lines | None = None
"""The progress that is shown in lines."""
_SECONDS_BETWEEN_LINES = 30.0


def set_loudness(value: str) -> None:
    """Choose what is printed beside results: nothing but warnings, the usual, or more."""
    global _loudness
    _loudness = value


def is_verbose() -> bool:
    """Whether more than usual is to be printed."""
    return _loudness == VERBOSE


class _Rate(ProgressColumn):
    """Units per second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        unit = task.fields.get("unit", "")
        return Text(f"{speed:,.1f} {unit}/s" if speed else f"- {unit}/s", style="dim")


@contextmanager
def progress(description: str, total: int | None, unit: str) -> Iterator[Callable[[int], None]]:
    """Show a bar with count, rate and time left; yields ``advance(n)``.

    Where standard error is no terminal, a line says the same every 30 seconds. Inside
    :func:`hushed`, inside another progress, and with ``--quiet``, nothing is shown.

    Args:
        total: None if it is not known; there is no time left then.
    """
    global _shows
    if console.quiet or _loudness == QUIET or _shows:
        yield lambda n: None
        return
    _shows = True
    try:
        with _lines_or_bar(description, total, unit) as advance:
            yield advance
    finally:
        _shows = False


@contextmanager
def _lines_or_bar(
    description: str, total: int | None, unit: str
) -> Iterator[Callable[[int], None]]:
    global _lines
    if not console.is_terminal:
        _lines = _Lines(description, total, unit)
        try:
            yield _lines
        finally:
            _lines = None
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


def still_at_work() -> None:
    """To be called now and then by work inside a progress that takes long to go on: a log that
    says nothing for minutes looks like a run that hangs."""
    if _lines is not None and not console.quiet:
        _lines(0)


class _Lines:
    """Progress in lines of text, for pipes and log files."""

    def __init__(self, description: str, total: int | None, unit: str) -> None:
        self.description, self.total, self.unit = description, total, unit
        self.done = 0
        self.start = self.last = monotonic()

    def __call__(self, n: int) -> None:
        """Go on by ``n``; print a line if the last one is long ago."""
        self.done += n
        now = monotonic()
        if now - self.last >= _SECONDS_BETWEEN_LINES:
            self.last = now
            say(f"  {self._line(now - self.start)}")

    def _line(self, seconds: float) -> str:
        rate = self.done / seconds
        of = "" if self.total is None else f" of {self.total:,}"
        count = f"{self.done:,}{of} {self.unit}"
        if not rate:
            return f"{self.description}: {count}"
        speed = f"{rate:,.1f} {self.unit}/s" if rate >= 1 else f"{1 / rate:,.1f} s each"
        if self.total is None:
            return f"{self.description}: {count}, {speed}"
        left = max(self.total - self.done, 0) / rate
        return f"{self.description}: {count}, {speed}, about {_duration(left)} left"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


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
    """Print one line on standard error, unless ``--quiet`` was given."""
    if _loudness != QUIET:
        _print(message)


def warn(message: str) -> None:
    """Print a warning: something is legal but probably wrong."""
    _print(f"warning: {message}", "yellow")


def _print(message: str, style: str = "") -> None:
    console.print(Text(on_terminal(without_secrets(message)), style=style))
