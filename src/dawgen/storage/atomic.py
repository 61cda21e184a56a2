"""Atomic writes: a file or folder is there whole or not at all.

It is written under another name in the same folder, synced to the disk, and then renamed.
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
    """An open file that becomes ``path`` when the block ends, and is removed when it raises.

    A link in place of the unfinished file is removed, never followed. Processes that write the
    same file wait for each other.
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
    """An empty folder that becomes ``path`` when the block ends, and is removed when it raises.

    This process must hold the lock of ``path``, which must be missing or empty.
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
    """Write a file atomically."""
    with whole_file(path) as file:
        file.write(content)


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8 atomically.

    Bytes of a file name in another encoding are written as escapes, which JSON and YAML read.
    """
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


def move(source: Path, target: Path) -> None:
    """Rename a finished file or folder in one step that survives a power cut."""
    source.replace(target)
    _sync_folder(target.parent)


def partial_of(path: Path) -> Path:
    """Path of an unfinished file or folder."""
    return path.with_name(f".{path.name}{PARTIAL}")


def progress_of(path: Path) -> Path:
    """Path of the file that says how much of an unfinished file is valid."""
    return path.with_name(f".{path.name}.progress.json")


def remove(path: Path) -> None:
    """Remove a file, a link or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def clear_links(path: Path) -> None:
    """Remove a link, or anything else that is not a file, from a file's path."""
    with suppress(FileNotFoundError):
        about = path.lstat()
        if not stat.S_ISREG(about.st_mode) or about.st_nlink > 1:
            remove(path)


def sweep(folder: Path) -> None:
    """Remove what a killed process left unfinished in a folder that this process holds.

    Files that another process writes to, or that will be resumed, are not removed.
    """
    for left in folder.glob(f".*{PARTIAL}"):
        path = left.with_name(left.name.removeprefix(".").removesuffix(PARTIAL))
        if not target_lock(path).exists() and not progress_of(path).exists():
            remove(left)


def _sync_folder(folder: Path) -> None:
    """Sync names to the disk; some network file systems cannot, and need not."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
