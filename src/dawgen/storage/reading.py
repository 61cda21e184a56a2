"""JSON files of a run folder, read back: what is wrong with one becomes one sentence."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dawgen.errors import UserError

_AGAIN = "run the command that wrote it again"


def read_json(path: Path, kind: type = dict) -> Any:
    """A file's JSON object, or list with ``kind=list``; an empty one where there is no file.

    Raises:
        UserError: it is no JSON, or something else than asked for.
    """
    return parse_json(read_text(path), str(path), kind) if path.is_file() else kind()


def read_text(path: Path) -> str:
    """A file's text.

    Raises:
        UserError: it is not UTF-8.
    """
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError:
        raise UserError(f"{path} is not text in UTF-8; {_AGAIN}.") from None


def parse_json(text: str, where: str, kind: type = dict) -> Any:
    """A JSON object, or list with ``kind=list``; ``where`` names it. Raises as :func:`read_json`.

    Numbers of endless digits and endless depth count as no JSON.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise UserError(f"{where}: this is not JSON; {_AGAIN}.") from None
    if not isinstance(value, kind):
        wanted = "object" if kind is dict else "list"
        raise UserError(f"{where}: expected a JSON {wanted}; {_AGAIN}.")
    return value


@contextmanager
def as_dawgen_writes(what: object) -> Iterator[None]:
    """Work on contents that are JSON but may be of another shape than dawgen gives them.

    Raises:
        UserError: they are, and any line may have failed on them.
    """
    try:
        yield
    except (UserError, OSError, MemoryError):
        raise
    except Exception as error:
        raise UserError(
            f"{what} has contents that dawgen does not write ({type(error).__name__}: {error}); "
            f"{_AGAIN}."
        ) from error
