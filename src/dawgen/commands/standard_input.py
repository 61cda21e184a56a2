"""Rows from standard input, where an option that names a file is ``-``."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dawgen.errors import UserError

_OPTIONS = ("train", "dev", "test", "synthetic", "data")
"""Options that may be ``-``, one of them per command."""


@contextmanager
def standard_input() -> Iterator[str]:
    """The path of a file with all of standard input: JSONL, JSON, CSV or TSV by its first sign.

    Raises:
        UserError: standard input is a terminal; errors that name the file name standard input.
    """
    if sys.stdin is None or sys.stdin.isatty():
        raise UserError(
            "Rows are to be read from standard input (-), which is a terminal; pipe them into the "
            "command, or name a file."
        )
    with tempfile.TemporaryDirectory(prefix="dawgen-") as folder:
        path = Path(folder) / "standard-input"
        with path.open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
        with path.open("rb") as file:
            start = file.read(64).lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
        ending = {b"{": ".jsonl", b"[": ".json"}.get(start, ".csv")
        name = str(path.rename(path.with_suffix(ending)))
        try:
            yield name
        except UserError as error:
            raise UserError(str(error).replace(name, "standard input")) from error


@contextmanager
def read_standard_input(values: dict[str, Any], options: Collection[str]) -> Iterator[None]:
    """Put the path of a file with standard input in place of the option that is ``-``, if any.

    Args:
        values: of the command's parameters, by name; the one that is ``-`` is replaced.
        options: the parameters that are options.

    Raises:
        UserError: several options are ``-``.
    """
    names = [name for name in _OPTIONS if name in options and values[name] == "-"]
    if not names:
        yield
        return
    if len(names) > 1:
        raise UserError(
            f"--{names[0]} and --{names[1]} are both - (standard input), which can be read once; "
            "name a file for one of them."
        )
    with standard_input() as path:
        values[names[0]] = path
        yield
