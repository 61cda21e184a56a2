"""`--offline`: no Python code of this process reaches the network.

The hub's libraries are set to use local files only. In addition, an audit hook refuses every
connection, datagram and name look-up from Python code, also in forked processes. It does not see
system calls of native code, nor other programs (docs/reliability.md).
"""

from __future__ import annotations

import os
import sys
from typing import Any

_VARIABLES = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE")
_SOCKETS = ("socket.connect", "socket.sendto", "socket.sendmsg")
_NAMES = ("getaddrinfo", "gethostbyname", "gethostbyaddr", "getnameinfo")
_EVENTS = (*_SOCKETS, *(f"socket.{name}" for name in _NAMES))
_on = False


def go_offline() -> None:
    """Refuse the network; call it before the hub's libraries are imported."""
    global _on
    os.environ.update(dict.fromkeys(_VARIABLES, "1"))
    if not _on:
        _on = True
        sys.addaudithook(_refuse)


def is_offline() -> bool:
    """Whether the network is refused; the audit hook does not reach child processes."""
    return _on


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    if event in _EVENTS and not _is_local(event, arguments):
        raise ConnectionRefusedError("--offline: the network was asked for and refused")


def _is_local(event: str, arguments: tuple[Any, ...]) -> bool:
    """Whether the address is a local socket of the file system.

    A socket that sends to no address is connected already, and other connections were refused.
    """
    return event in _SOCKETS and (arguments[1] is None or isinstance(arguments[1], str | bytes))
