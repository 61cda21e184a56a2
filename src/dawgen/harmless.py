"""Text from data, models and settings, made harmless for where it is shown.

HTML is escaped by the report's templates and Markdown by the dataset card; here are the
terminal, the shell, spreadsheets and secrets.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_SECRETS = re.compile(r"\bhf_[A-Za-z0-9]{16,}|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)")
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


def in_shell(path: str | Path) -> str:
    """A path as an argument of a command: quoted where needed, and never taken for an option."""
    text = str(path)
    return shlex.quote(f"./{text}" if text.startswith("-") else text)


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
    """Text without hub tokens and without passwords in addresses."""
    return _SECRETS.sub(HIDDEN, text)
