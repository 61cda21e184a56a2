"""Locks: one process at a time per target, and no link is followed on the way to it.

Every command that writes holds the lock of its target: ``.lock`` in a run folder, or ``.NAME.lock``
beside a single file or folder. The lock's file names the process that holds it.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import platform
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from dawgen.errors import UserError
from dawgen.pipeline.tracking import HOME
from dawgen.terminal.progress import say

LOCK = ".lock"
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP)


def open_own(path: Path) -> BinaryIO:
    """Open a file for reading and writing; create it if needed, never truncate it.

    Raises:
        UserError: a symbolic or hard link is there, or no regular file.
    """
    foreign = UserError(
        f"{path} is a link or a special file, which dawgen does not write to; remove it, or name "
        "another place."
    )
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        handle = os.open(path, flags, 0o666)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise foreign from None
    about = os.fstat(handle)
    if not stat.S_ISREG(about.st_mode) or about.st_nlink > 1:
        os.close(handle)
        raise foreign
    return os.fdopen(handle, "r+b")


def acquire(path: Path, *, wait: bool) -> BinaryIO:
    """Open a file as :func:`open_own` does and lock it until it is closed.

    Raises:
        BlockingIOError: another process holds it, and ``wait`` is false.
    """
    while True:
        file = open_own(path)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except OSError as error:
            if error.errno not in _NO_LOCKS:  # some network file systems have none
                file.close()
                raise
        if _is_at(file, path):
            return file
        file.close()  # its last holder has renamed or removed it


@contextmanager
def writable(place: Path) -> Iterator[None]:
    """Turn errors of the disk in the block into a UserError."""
    try:
        yield
    except OSError as error:
        raise UserError(f"{place} cannot be written: {error.strerror}.") from None


@contextmanager
def turn(folder: Path) -> Iterator[None]:
    """Lock a folder, waiting for another process that has locked it."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        lock = acquire(folder / LOCK, wait=False)
    except BlockingIOError:
        say(f"waiting for another process that is at work in {folder}")
        lock = acquire(folder / LOCK, wait=True)
    with lock:
        yield


@contextmanager
def locked(lock: Path, place: Path, *, remove: bool = False) -> Iterator[None]:
    """Hold the lock of ``place``.

    Args:
        remove: remove the lock's file at the end.

    Raises:
        UserError: another process, which is named, holds it, or the place cannot be written.
    """
    with writable(place):
        try:
            file = acquire(lock, wait=False)
        except BlockingIOError:
            raise UserError(
                f"Another dawgen process{_holder(lock)} is writing to {place}; wait for it, or "
                "name another place with --out."
            ) from None
    with file:
        try:
            file.truncate(0)
            file.write(json.dumps({"pid": os.getpid(), "host": platform.node()}).encode() + b"\n")
            file.flush()
            yield
        finally:
            if remove:
                lock.unlink(missing_ok=True)


@contextmanager
def locked_target(path: Path) -> Iterator[None]:
    """Lock a single file or folder before it is written; makes the folders above it."""
    with writable(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with locked(target_lock(path), path, remove=True):
        yield


def target_lock(path: Path) -> Path:
    """Path of the lock of a single file or folder."""
    return path.with_name(f".{path.name}{LOCK}")


def refuse_links(*paths: Path) -> None:
    """Raise UserError if a path, or anything below it, is a symbolic link."""
    for path in paths:
        link = path if path.is_symlink() else next(links_below(path), None)
        if link is not None:
            raise UserError(
                f"{link} is a symbolic link, which dawgen does not follow inside a run folder; "
                "replace it by its target, or name another folder."
            )


def links_below(folder: Path) -> Iterator[Path]:
    """Symbolic links in a folder, except in hidden folders and those of trackers."""
    for place, folders, files in os.walk(folder):
        yield from (path for name in (*folders, *files) if (path := Path(place, name)).is_symlink())
        folders[:] = [name for name in folders if not name.startswith(".") and name != HOME]


def refuse_links_between(home: Path, path: Path) -> None:
    """Raise UserError if a folder between ``home`` and ``path`` is a link."""
    home, path = home.absolute(), path.absolute()
    for folder in path.parents:
        if folder.is_relative_to(home) and folder != home and folder.is_symlink():
            refuse_links(folder)


def _is_at(file: BinaryIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.lstat(path))
    except FileNotFoundError:
        return False


def _holder(lock: Path) -> str:
    try:
        with open_own(lock) as file:
            who = json.loads(file.read())
        return f" (pid {int(who['pid'])} on {who['host']})"
    except (UserError, OSError, ValueError, KeyError, TypeError):
        return ""  # it has just started
