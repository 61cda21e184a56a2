"""Stopping: Ctrl-C and SIGTERM end the work at the next safe point.

Nearly every point is safe, since files are written atomically; the signal then stops the work at
once. A loop with a checkpoint (:mod:`dawgen.storage.checkpoint`) finishes its step first, if that
takes at most ``PATIENCE`` seconds. Python handles no signal during a long call into the model; a
thread then ends the process as `kill -9` would, which a run folder survives too.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

SIGNALS = (int(signal.SIGINT), int(signal.SIGTERM))
PATIENCE = 3.0
"""Seconds that a step may take after the signal."""
LAST = 4.0
"""Seconds after which the process ends in any case."""
SENTENCE = "dawgen: stopped; finished work is saved, and the same command resumes from it."


class Stopped(BaseException):
    """The user, or the scheduler, has asked the process to stop."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number


class _State:
    asked: int | None = None
    deferred = 0


@contextmanager
def stoppable() -> Iterator[None]:
    """Turn the signals into :class:`Stopped`; does nothing outside the main thread."""
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
        with _last_resort():
            yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)
        _State.asked = None


@contextmanager
def _last_resort() -> Iterator[None]:
    """A thread that receives the signals even during a long call into native code."""
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    over = threading.Event()
    before = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
    thread = threading.Thread(target=_watch, args=(ours, over), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        signal.set_wakeup_fd(before)
        theirs.close()
        thread.join()
        ours.close()


def _watch(signals: socket.socket, over: threading.Event) -> None:
    while number := signals.recv(1):
        if number[0] in SIGNALS and not over.wait(LAST):
            os.write(2, f"{SENTENCE}\n".encode())
            os._exit(128 + number[0])


@contextmanager
def whole_steps() -> Iterator[None]:
    """Within it, a signal waits for the next :func:`check`, at most ``PATIENCE`` seconds."""
    _State.deferred += 1
    try:
        yield
    finally:
        _State.deferred -= 1


@contextmanager
def handled_by(handler: Callable[[int, FrameType | None], Any]) -> Iterator[None]:
    """Within it, a signal calls ``handler``, which may take its time; nothing ends the process.

    Does nothing outside the main thread.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before: dict[int, Any] = {number: signal.signal(number, handler) for number in SIGNALS}
    watched = signal.set_wakeup_fd(-1)
    try:
        yield
    finally:
        signal.set_wakeup_fd(watched, warn_on_full_buffer=False)
        for number, usual in before.items():
            signal.signal(number, usual)


def asked() -> bool:
    """Whether a signal has asked the process to stop."""
    return _State.asked is not None


def check() -> None:
    """Raise Stopped if a signal has asked the process to stop."""
    if _State.asked is not None:
        raise Stopped(_State.asked)


def leave(code: int) -> None:
    """End a stopped process at once: freeing a large model can take longer than stopping."""
    os._exit(code)


def _on_signal(number: int, frame: FrameType | None) -> None:
    again = _State.asked is not None
    _State.asked = number
    if again or not _State.deferred:
        raise Stopped(number)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE)


def _on_patience_over(number: int, frame: FrameType | None) -> None:
    check()
