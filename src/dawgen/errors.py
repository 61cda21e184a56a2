"""The one error a user can mend, and what the disk refuses in the same words."""

from __future__ import annotations

import errno

_DISK = {
    errno.ENOSPC: "the disk is full; make room",
    errno.EDQUOT: "your share of the disk is used up; make room",
    errno.EFBIG: "a file may not grow that large here; raise the limit (ulimit -f)",
    errno.EROFS: "the disk can only be read; name another folder, or mount it for writing",
    errno.EACCES: "permission was denied; mend the permissions, or name another folder",
    errno.EPERM: "that is not permitted; mend the permissions, or name another folder",
    errno.EIO: "the disk fails to read or write; check it",
    errno.ESTALE: "the network folder was lost; mount it again",
    errno.ENOTCONN: "the network folder was lost; mount it again",
    errno.EMFILE: "too many files are open; raise the limit (ulimit -n)",
    errno.EISDIR: "a folder lies where a file is to be; name another file",
    errno.ENOTDIR: "a file lies where a folder is to be; name another folder",
    errno.EEXIST: "something else lies there already; name another place",
    errno.ENAMETOOLONG: "a file name would be too long; name a shorter folder or label",
}


class UserError(ValueError):
    """Something in the user's files, settings or command is wrong.

    A ValueError, because callers from Python, scikit-learn among them, expect that of bad input.
    The message is one whole sentence: what is wrong, where, and how to mend it.
    The command line prints it without a traceback and exits with code 2.
    """


def disk_trouble(error: OSError) -> str | None:
    """What the disk or the system refuses, as a sentence; None for other errors."""
    why = _DISK.get(error.errno or 0)
    if why is None:
        return None
    where = f" with {error.filename}" if error.filename else ""
    return (
        f"Writing or reading stopped{where}: {why}; then the same command goes on from what is "
        "finished."
    )
