"""Settings that earlier versions had: files that still name them, such as old run folders, open."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dawgen.terminal.progress import warn

RETIRED: dict[str, object] = {
    "synthesis.min_p": 0.0,
    "synthesis.contrast": 0.0,
    "synthesis.cleaning.balance": None,
}
"""Removed settings, each with the default it had, which is now the only behaviour."""


def without_retired(tree: Mapping[str, Any], where: str, section: str = "") -> dict[str, Any]:
    """The tree of a file without removed settings; warns of those that were not at their default.

    Args:
        where: the file, for the warning.
        section: the name of the section that the tree is, with a dot at its end.
    """
    current: dict[str, Any] = {}
    for key, value in tree.items():
        name = f"{section}{key}"
        if name not in RETIRED:
            inner = isinstance(value, Mapping)
            current[key] = without_retired(value, where, f"{name}.") if inner else value
        elif value != RETIRED[name]:
            warn(f"{where}: {name} was removed from dawgen; its value {value!r} has no effect.")
    return current
