"""The error that a user can fix, and foreign errors in the same words."""

from __future__ import annotations

import difflib
import errno
import re
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

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


def first_line(error: BaseException) -> str:
    """The first line of a foreign error's message, or its type, without a full stop."""
    message = str(error).strip() or type(error).__name__
    return message.splitlines()[0].rstrip(".")


def explain(
    error: ValidationError,
    what: str,
    known: Sequence[str],
    listing: str,
    removed: Collection[str] = (),
) -> str:
    """Pydantic's first finding as one sentence; a misspelt name comes before wrong values.

    Args:
        what: what the names are of, such as "setting".
        known: all names, with their sections: `tuning.steps`.
        listing: the hint where no known name is similar.
        removed: names that earlier versions had.
    """
    first = _worst(error.errors())
    key = _key(first)
    if first["type"] == "extra_forbidden":
        return f"there is no {what} {key!r}; {_hint(key, known, listing, removed)}"
    if first["type"] == "missing":
        return f"the {what} {key!r} is missing."
    message = _plain_words(first)
    if not key:  # of several entries together
        return f"{message}."
    if (
        isinstance(first["input"], dict) and first["type"] == "value_error"
    ):  # of a section's entries
        return f"{what} {key!r}: {message}."
    if isinstance(first["loc"][-1], int):
        key, can = key.rpartition(".")[0], "cannot hold"
    else:
        can = "cannot be"
    return f"{what} {key!r} {can} {_as_typed(first['input'])}: {message}."


def explain_value(error: ValidationError) -> str:
    """Pydantic's finding about the value of one option, as one sentence."""
    first = _worst(error.errors())
    message = _plain_words(first).rstrip(".")
    if first["type"] != "value_error":  # one that does not repeat the value
        message = f"{_as_typed(first['input'])}; {message}"
    return f"{message}."


def _worst(findings: Sequence[ErrorDetails]) -> ErrorDetails:
    """The finding to name: a misspelt name, else the first; of a list's, its entry that is wrong.

    A value that may be of several kinds has a finding for each.
    """
    first = min(findings, key=lambda finding: finding["type"] != "extra_forbidden")
    same = [f for f in findings if _key(f) == _key(first) or _key(f).startswith(f"{_key(first)}.")]
    return max(same, key=lambda finding: len(finding["loc"]))


def _key(finding: ErrorDetails) -> str:
    """The dotted name, without pydantic's names of kinds: ``list[int]``."""
    return ".".join(str(part) for part in finding["loc"] if "[" not in str(part))


def _as_typed(value: object) -> str:
    """A value as it stands in YAML, shortened."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = repr(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}..."


_LONGEST_VALUE = 80
_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "decimal": "a number",
    "finite_number": "a number, not infinite and not NaN",
    "bool": "true or false",
    "string": "text",
    "list": "a list",
    "tuple": "a list",
    "set": "a list",
    "dict": "a section of `name: value` entries",
    "model": "a section of `name: value` entries",
    "dataclass": "a section of `name: value` entries",
    "path": "a path",
}
_LIMITS = {
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
    "multiple_of": "a multiple of {multiple_of}",
    "literal_error": "one of {expected}",
    "enum": "one of {expected}",
    "too_short": "a list of at least {min_length}",
    "too_long": "a list of at most {max_length}",
    "string_too_short": "a text of at least {min_length} characters",
    "string_too_long": "a text of at most {max_length} characters",
}


def _plain_words(finding: ErrorDetails) -> str:
    """Pydantic's message as a person would say it; one of our own checks stays as it is."""
    kind = finding["type"]
    if kind in _LIMITS:
        limits = {
            name: f"{value:g}" if isinstance(value, float) else value
            for name, value in (finding.get("ctx") or {}).items()
        }
        if kind == "string_too_short" and limits["min_length"] == 1:
            return "it must not be empty"
        wanted = _LIMITS[kind].format_map(limits).replace(" or ", ", ").replace("'", "")
        return f"it must be {_near(finding['input'], wanted)}"
    base = kind.partition("_")[0]
    wanted = _KINDS.get(kind) or (_KINDS.get(base) if kind != "value_error" else None) or ""
    return f"it must be {wanted}" if wanted else finding["msg"].removeprefix("Value error, ")


def _near(value: object, wanted: str) -> str:
    """``one of a, b``, with the one that was probably meant; a single one alone."""
    choices = wanted.removeprefix("one of ").split(", ")
    if not wanted.startswith("one of ") or len(choices) == 1:
        return wanted.removeprefix("one of ")
    near = did_you_mean(str(value), choices, "")
    return f"{wanted} ({near})" if near else wanted


def _hint(key: str, known: Sequence[str], listing: str, removed: Collection[str]) -> str:
    """What was meant by an unknown name."""

    def same_end(names: Collection[str]) -> str | None:
        end = key.rpartition(".")[2]
        return next((name for name in names if name.rpartition(".")[2] == end), None)

    if gone := same_end(removed):
        return f"{gone} was removed; leave it out."
    if key in known:  # in one line of a file, dots and all
        section, _, name = key.partition(".")
        return f"write it as {section}: {{{name}: ...}}."
    similar = difflib.get_close_matches(key, known, n=1, cutoff=0.6)
    meant = ("." not in key and same_end(known)) or next(iter(similar), None) or same_end(known)
    return f"did you mean {meant!r}?" if meant else listing
