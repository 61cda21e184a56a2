"""Escapes text from data, models and settings for the terminal, the shell and spreadsheets.

It also hides secrets. HTML is escaped by the report's templates and Markdown by the dataset card.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Any

# What begins a formula, also in full width, at the start of a cell, of a line in it, or behind a
# mark at which a spreadsheet of another country or kind cuts cells; ";-)" is no formula.
_FORMULA = re.compile(
    r"^(?=[ \u00a0\u3000\ufeff]*[\t\r])"
    r"|(^|[;\t\n\r\v\f\x1c-\x1e\x85\u2028\u2029])"
    r"(?=[ \u00a0\u3000\ufeff]*[=+\-@\uff1d\uff0b\uff0d\uff20](?!\)))"
)
_QUOTED = re.compile('["\r\n]')
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
    """The text with control characters and line breaks written as escapes."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode()
        for c in text
    )


def in_shell(path: str | Path) -> str:
    """A path as an argument of a command: quoted if needed, and never an option."""
    text = str(path)
    return shlex.quote(f"./{text}" if text.startswith("-") else text)


def visible(text: str) -> str:
    """Text of several lines; control characters except tab and line end become escapes."""
    return _CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def in_spreadsheet(cell: object) -> object:
    """A cell with an apostrophe before a formula, as OWASP advises against CSV injection."""
    return _FORMULA.sub(r"\1'", cell) if isinstance(cell, str) else cell


def separated_line(cells: Iterable[object], separator: str = ",") -> str:
    """A line of CSV or TSV without formulas; None is an empty cell.

    Python's own writer does not quote a lone carriage return before 3.11.9 and 3.12.3.
    """
    return separator.join(_separated_cell(cell, separator) for cell in cells) + "\n"


def _separated_cell(cell: object, separator: str) -> str:
    text = "" if cell is None else str(in_spreadsheet(cell))
    if separator not in text and not _QUOTED.search(text):
        return text
    doubled = text.replace('"', '""')
    return f'"{doubled}"'


def without_secrets(text: str) -> str:
    """Text with tokens and passwords replaced; see the patterns for what counts as one."""
    return _SECRETS.sub(lambda match: f"{match['name'] or ''}{HIDDEN}", text)


def hide_secrets(tree: Any) -> Any:
    """The same for all texts in a tree of dicts and lists."""
    if isinstance(tree, str):
        return without_secrets(tree)
    if isinstance(tree, dict):
        return {hide_secrets(key): hide_secrets(value) for key, value in tree.items()}
    return [hide_secrets(value) for value in tree] if isinstance(tree, list | tuple) else tree
