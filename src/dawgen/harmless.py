"""Text from data, models and settings, made harmless for where it is shown.

HTML is escaped by the report's templates and Markdown by the dataset card; here are the
terminal, spreadsheets and secrets.
"""

from __future__ import annotations

import re
from typing import Any

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_SECRETS = re.compile(
    # Tokens of the hub and of GitHub; any signed token of OAuth.
    r"\b(?:hf|gh[oprsu])_[A-Za-z0-9]{16,}|\b(?:hf_oauth|hf_jwt|github_pat)_[\w.-]{16,}"
    r"|\beyJ[\w-]{10,}\.[\w.-]{10,}|(?<=[Bb]earer )[^\s\"']+"
    # In an address where a name, a password or a token stands before the host: all before the
    # last @, for it may hold slashes and an @ of its own.
    r"|(?<=://)(?=[^\s/?#\"<>]{0,1000}[@:])[^\s\"<>]{1,1000}(?=@)"
    # Values whose name says what they are, in an address or a command.
    r"|(?P<name>(?i:\b[\w-]{0,40}(?:token|secret|passw(?:or)?d|api[_-]?key|signature|credential)"
    r"|(?<=[?&])(?:sig|key|auth|pwd))=)[^\s&#;\"'<>]+"
)
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
HIDDEN = "***"


def on_terminal(text: str) -> str:
    """Text that a terminal shows and does not obey: escapes and the like are spelled out.

    Line breaks are spelled out too; spaces stay.
    """
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode()
        for c in text
    )


def visible(text: str) -> str:
    """Text of many lines in which control characters other than tab and line end are spelled."""
    return _CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def in_spreadsheet(cell: object) -> object:
    """A cell that a spreadsheet takes as text, not as a formula: with an apostrophe in front.

    As OWASP advises against CSV injection. Numbers and other text stay as they are.
    """
    risky = isinstance(cell, str) and cell.lstrip(" ").startswith(_FORMULA)
    return f"'{cell}" if risky else cell


def without_secrets(text: str) -> str:
    """Text without tokens and passwords: see the patterns for what is known as such."""
    return _SECRETS.sub(_hidden, text)


def hide_secrets(tree: Any) -> Any:
    """The same of all texts in a tree of dicts and lists."""
    if isinstance(tree, str):
        return without_secrets(tree)
    if isinstance(tree, dict):
        return {hide_secrets(key): hide_secrets(value) for key, value in tree.items()}
    return [hide_secrets(value) for value in tree] if isinstance(tree, list | tuple) else tree


def _hidden(found: re.Match[str]) -> str:
    """What stands in a secret's place; the name of a value stays."""
    name = found.groupdict()["name"]
    return f"{name}{HIDDEN}" if name else HIDDEN
