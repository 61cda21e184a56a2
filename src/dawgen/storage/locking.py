"""One process at a time at one target, and no link followed on the way to it.

Every command that writes holds a lock on what it writes: a run folder's ``.lock``, or, for a
single file or folder, ``.NAME.lock`` beside it. The lock's file says who holds it.
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
    """Open a file for reading and writing, creating it where needed, as it is.

    Raises:
        UserError: a symbolic or hard link is there, or no regular file.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        handle = os.open(path, flags, 0o666)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise _foreign(path) from None
    about = os.fstat(handle)
    if not stat.S_ISREG(about.st_mode) or about.st_nlink > 1:
        os.close(handle)
        raise _foreign(path)
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
        file.close()  # its last holder has renamed or removed it meanwhile


@contextmanager
def turn(folder: Path) -> Iterator[None]:
    """Wait while another process works here: what it makes is then found, not made again."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        held = acquire(folder / LOCK, wait=False)
    except BlockingIOError:
        say(f"waiting for another process that is at work in {folder}")
        held = acquire(folder / LOCK, wait=True)
    with held:
        yield


@contextmanager
def locked(lock: Path, place: Path, *, remove: bool = False) -> Iterator[None]:
    """Hold the lock of ``place``, or raise an error that names the process which holds it.

    Args:
        remove: take the lock's file away at the end.

    Raises:
        UserError: another process holds it, or the place cannot be written.
    """
    try:
        file = acquire(lock, wait=False)
    except BlockingIOError:
        raise UserError(
            f"Another dawgen process{_holder(lock)} is writing to {place}; wait for it, or name "
            "another place with --out."
        ) from None
    except OSError as error:
        raise UserError(f"{place} cannot be written: {error.strerror}.") from None
    with file:
        try:
            _sign(file)
            yield
        finally:
            if remove:
                lock.unlink(missing_ok=True)


@contextmanager
def locked_target(path: Path) -> Iterator[None]:
    """Hold a single file or folder that is about to be written; makes the folders above it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}.") from None
    with locked(target_lock(path), path, remove=True):
        yield


def target_lock(path: Path) -> Path:
    """The lock's file of a single file or folder."""
    return path.with_name(f".{path.name}{LOCK}")


def refuse_links(*paths: Path) -> None:
    """Raise UserError where a path, or anything below it, is a symbolic link."""
    for path in paths:
        link = path if path.is_symlink() else next(links_below(path), None)
        if link is not None:
            raise UserError(
                f"{link} is a symbolic link, which dawgen does not follow inside a run folder; "
                "put what it leads to in its place, or name another folder."
            )


def links_below(folder: Path) -> Iterator[Path]:
    """Symbolic links in a folder, but for hidden folders and what trackers write."""
    for place, folders, files in os.walk(folder):
        yield from (path for name in (*folders, *files) if (path := Path(place, name)).is_symlink())
        folders[:] = [name for name in folders if not name.startswith(".") and name != HOME]


def refuse_links_between(home: Path, path: Path) -> None:
    """Raise UserError where a folder below ``home`` on the way to ``path`` is a link."""
    home, path = home.absolute(), path.absolute()
    for folder in path.parents:
        if folder.is_relative_to(home) and folder != home and folder.is_symlink():
            refuse_links(folder)


def _foreign(path: Path) -> UserError:
    return UserError(
        f"{path} is a link or a special file, which dawgen does not write to; remove it, or name "
        "another place."
    )


def _is_at(file: BinaryIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.lstat(path))
    except FileNotFoundError:
        return False


def _sign(file: BinaryIO) -> None:
    """Say in the lock's file who holds it."""
    file.truncate(0)
    file.write(json.dumps({"pid": os.getpid(), "host": platform.node()}).encode() + b"\n")
    file.flush()


def _holder(lock: Path) -> str:
    try:
        with open_own(lock) as file:
            who = json.loads(file.read())
        return f" (pid {int(who['pid'])} on {who['host']})"
    except (UserError, OSError, ValueError, KeyError, TypeError):
        return ""  # it has only just begun
