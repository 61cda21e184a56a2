"""The error that a user can fix, and messages for errors of the disk."""

from __future__ import annotations

import difflib
import errno
import re
from collections.abc import Iterable

_DISK = {
    errno.ENOSPC: "the disk is full; make room",
    errno.EDQUOT: "your share of the disk is used up; make room",
    errno.EFBIG: "a file may not grow that large here; raise the limit (ulimit -f)",
    errno.EROFS: "the disk is read-only; name another folder, or mount it for writing",
    errno.EACCES: "permission was denied; change the permissions, or name another folder",
    errno.EPERM: "that is not permitted; change the permissions, or name another folder",
    errno.EIO: "the disk fails to read or write; check it",
    errno.ESTALE: "the network folder was lost; mount it again",
    errno.ENOTCONN: "the network folder was lost; mount it again",
    errno.EMFILE: "too many files are open; raise the limit (ulimit -n)",
    errno.EISDIR: "a folder is where a file should be; name another file",
    errno.ENOTDIR: "a file is where a folder should be; name another folder",
    errno.EEXIST: "something else is there already; name another place",
    errno.ENAMETOOLONG: "a file name would be too long; name a shorter folder or label",
}
_OF_RUST = re.compile(r"\(os error (\d+)\)")


class UserError(ValueError):
    """Something in the user's files, settings or command is wrong.

    The message is one sentence: what is wrong, where, and how to fix it. The command line prints it
    without a traceback and exits with code 2. It is a ValueError, as scikit-learn expects.
    """


def did_you_mean(word: str, known: Iterable[str], otherwise: str) -> str:
    """The end of an error message about an unknown word: the most similar known word, if any."""
    near = difflib.get_close_matches(word, known, n=1)
    return f"did you mean {near[0]!r}?" if near else otherwise


def disk_trouble(error: Exception) -> str | None:
    """The message for an error of the disk or the system; None for other errors.

    Errors of libraries written in Rust (safetensors, tokenizers) have the system's number in their
    text only: "No space left on device (os error 28)".
    """
    number, place = 0, None
    if isinstance(error, OSError):
        number, place = error.errno or 0, error.filename
        if number == errno.ENOENT and "temporary directory" in str(error):  # of tempfile
            return (
                "There is no folder for temporary files that can be written; make room in /tmp, "
                "or name another folder with the environment variable TMPDIR."
            )
    elif found := _OF_RUST.search(str(error)):
        number = int(found[1])
    why = _DISK.get(number)
    if why is None:
        return None
    where = f" with {place}" if place else ""
    return (
        f"Writing or reading stopped{where}: {why}; then the same command goes on from what is "
        "finished."
    )
