"""What a server takes at most, and the errors of those who ask for more."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Bounds of a server; whoever asks for more gets an error in words.

    Attributes:
        body_bytes: of a request.
        body_seconds: in which a request's body has to arrive.
        rows: of a request.
        characters: of a text.
        rows_waiting: of all requests that are not answered yet.
        rows_per_batch: that are read at once.
        connections: open at once; further ones get status 503.
        wait_seconds: that an idle server waits for more rows to read with the first ones.
    """

    body_bytes: int = 4_000_000
    body_seconds: float = 30.0
    rows: int = 1024
    characters: int = 20_000
    rows_waiting: int = 4096
    rows_per_batch: int = 64
    connections: int = 1000
    wait_seconds: float = 0.003


class Refused(Exception):
    """A request that is not answered with labels.

    Attributes:
        status: of HTTP.
        message: what is wrong and how to fix it.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message
