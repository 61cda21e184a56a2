"""Reads JSON files of a run folder; errors name the file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dawgen.errors import UserError

_AGAIN = "run the command that wrote it again"


def read_json(path: Path, kind: type = dict) -> Any:
    """A file's JSON object, or list with ``kind=list``; an empty one if there is no file.

    Raises:
        UserError: it is not JSON, or of another kind.
    """
    return parse_json(read_text(path), str(path), kind) if path.is_file() else kind()


def read_text(path: Path) -> str:
    """A file's text; raises UserError if it is not UTF-8."""
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError:
        raise UserError(f"{path} is not text in UTF-8; {_AGAIN}.") from None


def parse_json(text: str, where: str, kind: type = dict) -> Any:
    """A JSON object, or list with ``kind=list``; raises as :func:`read_json`, naming ``where``."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):  # too many digits, too deep
        raise UserError(f"{where}: this is not JSON; {_AGAIN}.") from None
    if not isinstance(value, kind):
        wanted = "object" if kind is dict else "list"
        raise UserError(f"{where}: expected a JSON {wanted}; {_AGAIN}.")
    return value


@contextmanager
def as_dawgen_writes(what: object) -> Iterator[None]:
    """Turn errors from JSON of an unexpected shape, anywhere in the block, into a UserError."""
    try:
        yield
    except (UserError, OSError, MemoryError):
        raise
    except Exception as error:
        raise UserError(
            f"{what} has contents that dawgen does not write ({type(error).__name__}: {error}); "
            f"{_AGAIN}."
        ) from error
