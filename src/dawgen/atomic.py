"""Files that are there whole or not at all, whatever happens to the process or the machine.

Every file of a run comes through here: it is written under another name in the same folder,
forced to the disk, and only then given its own name.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

PARTIAL = ".partial"


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """An open file that becomes ``path`` when the block ends, and vanishes when it raises.

    A link that lies where the unfinished file goes is taken away, never followed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = partial_of(path)
    partial.unlink(missing_ok=True)
    try:
        with partial.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        move(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    with whole_file(path) as file:
        file.write(content)


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8 whole or not at all.

    What UTF-8 does not have, such as the bytes of a file name in another encoding, is written as
    an escape, which JSON and YAML read.
    """
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


def move(source: Path, target: Path) -> None:
    """Give a finished file or folder its name, in one step that outlasts a power cut."""
    source.replace(target)
    _sync_folder(target.parent)


def partial_of(path: Path) -> Path:
    """Where a file or folder lies while it is not finished."""
    return path.with_name(f".{path.name}{PARTIAL}")


def sweep(folder: Path) -> None:
    """Take away what a killed process left unfinished in a folder that nobody else writes to."""
    for left in folder.glob(f".*{PARTIAL}"):
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Force names to the disk; some network file systems cannot, and need not."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
