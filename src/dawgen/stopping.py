"""Stopping when asked to: Ctrl-C and SIGTERM end the work at the next safe point.

Nearly every point is safe, since files are whole or not there at all; the signal then stops the
work at once. A loop that keeps its state (:mod:`dawgen.checkpoint`) is let come to the end of
its step first, so that nothing of it is lost, but for no longer than ``PATIENCE`` seconds.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

SIGNALS = (int(signal.SIGINT), int(signal.SIGTERM))
PATIENCE = 4.0
"""Seconds that a step may still take after the signal."""


class Stopped(BaseException):
    """The user, or the machine's scheduler, wants the work to stop."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number


class _State:
    asked: int | None = None
    deferred = 0


@contextmanager
def stoppable() -> Iterator[None]:
    """Turn the signals into :class:`Stopped` for a while; does nothing off the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before: dict[int, Any] = {number: signal.getsignal(number) for number in SIGNALS}
    before[signal.SIGALRM] = signal.getsignal(signal.SIGALRM)
    _State.asked, _State.deferred = None, 0
    for number in SIGNALS:
        signal.signal(number, _on_signal)
    signal.signal(signal.SIGALRM, _on_patience_over)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)
        _State.asked = None


@contextmanager
def whole_steps() -> Iterator[None]:
    """Within it a signal waits for the next :func:`check`, PATIENCE seconds at most."""
    _State.deferred += 1
    try:
        yield
    finally:
        _State.deferred -= 1


def asked() -> bool:
    """Whether somebody wants the work to stop."""
    return _State.asked is not None


def check() -> None:
    """Raises Stopped if somebody wants the work to stop."""
    if _State.asked is not None:
        raise Stopped(_State.asked)


def _on_signal(number: int, frame: FrameType | None) -> None:
    again = _State.asked is not None
    _State.asked = number
    if again or not _State.deferred:
        raise Stopped(number)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE)


def _on_patience_over(number: int, frame: FrameType | None) -> None:
    check()
