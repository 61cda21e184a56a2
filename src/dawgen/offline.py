"""`--offline`: nothing of this process reaches the network.

The hub's libraries are told so, and answer from what lies on the disk. Beside that, an audit
hook refuses every connection that Python code tries to make, whoever tries.
"""

from __future__ import annotations

import os
import sys
from typing import Any

_VARIABLES = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE")
_EVENTS = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto")
_on = False


def go_offline() -> None:
    """Refuse the network from here on; call it before the hub's libraries are imported."""
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
    """Whether a socket of this machine's file system is meant, by which processes talk."""
    return event == "socket.connect" and isinstance(arguments[1], str | bytes)
