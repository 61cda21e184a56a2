"""The server: its socket, its start, and its end after the last accepted request."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path

import uvicorn

from dawgen.errors import UserError
from dawgen.serving.app import make_app
from dawgen.serving.limits import Limits
from dawgen.serving.models import Shelf
from dawgen.serving.tasks import open_tasks
from dawgen.storage.stopping import handled_by
from dawgen.terminal.progress import say, warn

_WAITING_CONNECTIONS = 2048


def serve(
    folders: Sequence[Path],
    host: str = "127.0.0.1",
    port: int = 8000,
    overrides: Sequence[str] = (),
    limits: Limits | None = None,
) -> None:
    """Answer requests until SIGTERM or Ctrl-C; those that were accepted are answered then.

    Args:
        folders: finished runs; each is served under the name of its folder.
        port: 0 takes a free one, which is printed.
        overrides: see :func:`dawgen.use.finished.open_run`.

    Raises:
        UserError: a run cannot be served, or the address cannot be had.
    """
    with bound(host, port) as place:
        if not _is_loopback(place):
            warn(f"everybody who reaches {host} can use this server; it asks for no password.")
        shelf, limits = Shelf(), limits or Limits()
        tasks = open_tasks(folders, overrides, shelf)
        config = uvicorn.Config(
            make_app(tasks, limits),
            log_level="warning",
            access_log=False,
            server_header=False,
            ws="none",
            backlog=_WAITING_CONNECTIONS,
            limit_concurrency=limits.connections,
        )
        models = f"{shelf.count} model{'' if shelf.count == 1 else 's'}"
        runs = f"{len(tasks):,} task{'' if len(tasks) == 1 else 's'}"
        _Server(config, f"serving {runs} with {models} at {_address(place)}").run(sockets=[place])
        say("stopped; all accepted requests were answered.")


class _Server(uvicorn.Server):
    """uvicorn's, with our signals and our words."""

    def __init__(self, config: uvicorn.Config, started: str) -> None:
        super().__init__(config)
        self._message = started

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """A signal ends the server, and not the process in the middle of it."""
        with handled_by(self.handle_exit):
            yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say so."""
        await super().startup(sockets)
        if self.started:
            say(self._message)


@contextmanager
def bound(host: str, port: int) -> Iterator[socket.socket]:
    """A socket of this address, before any model is loaded.

    Raises:
        UserError: there is no such address here, or something else has it.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, OverflowError) as error:
        raise UserError(f"--host {host} is no address of this machine: {error}.") from None
    with socket.socket(family, kind, protocol) as place:
        place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            place.bind(address)
        except OSError as error:
            raise UserError(
                f"{host}, port {port}, cannot be had: {error.strerror}; name another --port, or "
                "--port 0 for a free one."
            ) from None
        yield place


def _address(place: socket.socket) -> str:
    host, port = place.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _is_loopback(place: socket.socket) -> bool:
    return ip_address(place.getsockname()[0]).is_loopback
