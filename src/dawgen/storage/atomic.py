"""Files that are there whole or not at all, whatever happens to the process or the machine.

Every file of a run comes through here: it is written under another name in the same folder,
forced to the disk, and only then given its own name.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from dawgen.storage.locking import acquire, target_lock

PARTIAL = ".partial"


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """An open file that becomes ``path`` when the block ends, and vanishes when it raises.

    A link that lies where the unfinished file goes is taken away, never followed. Processes
    that write one file do so one after the other.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = partial_of(path)
    clear_links(partial)
    with acquire(partial, wait=True) as file:
        try:
            file.truncate(0)
            yield file
            file.flush()
            os.fsync(file.fileno())
            move(partial, path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """An empty folder that becomes ``path`` when the block ends, and vanishes when it raises.

    For a folder that this process holds; what lies at ``path`` has to be empty.
    """
    partial = partial_of(path)
    remove(partial)
    partial.mkdir(parents=True)
    try:
        yield partial
        move(partial, path)
    finally:
        remove(partial)


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


def progress_of(path: Path) -> Path:
    """What says how much of an unfinished file counts, where work on it can go on."""
    return path.with_name(f".{path.name}.progress.json")


def remove(path: Path) -> None:
    """Take away a file, a link or a whole folder, if one is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def clear_links(path: Path) -> None:
    """Take away what lies at a file's path and is a link to another, or no file at all."""
    with suppress(FileNotFoundError):
        about = path.lstat()
        if not stat.S_ISREG(about.st_mode) or about.st_nlink > 1:
            remove(path)


def sweep(folder: Path) -> None:
    """Take away what a killed process left unfinished in a folder that this process holds.

    A single file that another process writes to, or will go on with, is left alone.
    """
    for left in folder.glob(f".*{PARTIAL}"):
        path = left.with_name(left.name.removeprefix(".").removesuffix(PARTIAL))
        if not target_lock(path).exists() and not progress_of(path).exists():
            remove(left)


def _sync_folder(folder: Path) -> None:
    """Force names to the disk; some network file systems cannot, and need not."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
