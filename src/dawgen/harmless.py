"""Text from data, models and settings, made harmless for where it is shown.

HTML is escaped by the report's templates and Markdown by the dataset card; here are the
terminal, the shell, spreadsheets and secrets.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from pathlib import Path

# What begins a formula, also in full width, at the start of a cell, of a line in it, or behind a
# mark at which a spreadsheet of another country or kind cuts cells; ";-)" is no formula.
_FORMULA = re.compile(
    r"^(?=[ \u00a0\u3000\ufeff]*[\t\r])"
    r"|(^|[;\t\n\r\v\f\x1c-\x1e\x85\u2028\u2029])"
    r"(?=[ \u00a0\u3000\ufeff]*[=+\-@\uff1d\uff0b\uff0d\uff20](?!\)))"
)
_QUOTED = re.compile('["\r\n]')
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
    """A cell that a spreadsheet takes as text: with an apostrophe before what begins a formula.

    As OWASP advises against CSV injection. Numbers and other text stay as they are.
    """
    return _FORMULA.sub(r"\1'", cell) if isinstance(cell, str) else cell


def separated_line(cells: Iterable[object], separator: str = ",") -> str:
    """A line of CSV or TSV, None as nothing and no cell a formula.

    A cell with the separator, a quote or a line break is quoted; Python's own writer leaves a
    lone carriage return bare before 3.11.9 and 3.12.3.
    """
    return separator.join(_separated_cell(cell, separator) for cell in cells) + "\n"


def _separated_cell(cell: object, separator: str) -> str:
    text = "" if cell is None else str(in_spreadsheet(cell))
    if separator not in text and not _QUOTED.search(text):
        return text
    doubled = text.replace('"', '""')
    return f'"{doubled}"'


def without_secrets(text: str) -> str:
    """Text without hub tokens and without passwords in addresses."""
    return _SECRETS.sub(HIDDEN, text)
