"""Seals of finished stages: what made a folder, and the hashes of the files that lie in it.

A seal is the file ``fingerprint.json`` of a stage's folder. It is what makes a folder dawgen's,
what a later run knows a finished stage by, and what a damaged file is found by.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dawgen.errors import UserError
from dawgen.storage.atomic import write_text
from dawgen.terminal.harmless import hide_secrets

SEAL = "fingerprint.json"


@dataclass(frozen=True)
class Seal:
    """A folder's seal as it is found.

    Attributes:
        mark: the fingerprint of what made the folder; None where the seal cannot be read.
        damage: which file is not as it was written, in words; None where all are.
        inputs: what made the folder, as far as the seal can be read.
    """

    mark: str | None
    damage: str | None = None
    inputs: Mapping[str, Any] = field(default_factory=dict)


def set_seal(folder: Path, mark: str, inputs: Mapping[str, Any]) -> None:
    """Seal a folder whose files are all there."""
    files = {name: file_hash(folder / name) for name in _names(folder)}
    tree = {"fingerprint": mark, "inputs": hide_secrets(dict(inputs)), "files": files}
    text = json.dumps({**tree, "seal": _hash(tree)}, indent=2, ensure_ascii=False, default=str)
    write_text(folder / SEAL, text + "\n")


def renew_seal(folder: Path) -> None:
    """Seal anew a folder in which dawgen itself has changed a file."""
    tree = json.loads((folder / SEAL).read_text("utf-8"))
    set_seal(folder, tree["fingerprint"], tree["inputs"])


def read_seal(folder: Path) -> Seal | None:
    """The folder's seal, held against its files; None for a folder without one."""
    path = folder / SEAL
    if not path.is_file():
        return None
    try:
        tree = json.loads(path.read_text("utf-8"))
        mark = str(tree["fingerprint"])
        if "files" not in tree and "seal" not in tree:
            return Seal(mark)  # of dawgen before there were hashes
        found, files, inputs = tree.pop("seal"), dict(tree["files"]), dict(tree["inputs"])
    except (ValueError, KeyError, TypeError, AttributeError, OSError, RecursionError):
        return Seal(None, f"{SEAL} cannot be read")
    if found != _hash(tree):
        return Seal(None, f"{SEAL} is not as it was written")
    return Seal(mark, _damage(folder, files), inputs)


def check_seal(folder: Path) -> None:
    """See that a sealed folder is as it was written; one without a seal is let pass.

    Raises:
        UserError: a file of it was changed or lost.
    """
    seal = read_seal(folder)
    if seal is not None and seal.damage is not None:
        raise UserError(
            f"{folder} is damaged: {seal.damage}; run the command that made it again, which "
            "makes this folder anew."
        )


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_hash(path: Path) -> None:
    """Lay a file's hash beside it, as `sha256sum --check` reads it."""
    write_text(_beside(path), f"{file_hash(path)}  {path.name}\n")


def is_as_written(path: Path) -> bool:
    """Whether a file is there and its hash is the one that lies beside it."""
    try:
        return _beside(path).read_text("utf-8").split()[0] == file_hash(path)
    except (OSError, ValueError, IndexError):
        return False


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def _names(folder: Path) -> Iterator[str]:
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name != SEAL:
            yield name


def _damage(folder: Path, files: Mapping[str, str]) -> str | None:
    for name, known in files.items():
        path = folder / name
        if not path.is_file():
            return f"{name} is missing"
        if file_hash(path) != known:
            return f"{name} is not as it was written"
    return None


def _hash(tree: Mapping[str, Any]) -> str:
    text = json.dumps(tree, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()
