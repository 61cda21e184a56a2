"""Seals of finished stages: their inputs, and the hashes of their files.

A seal is the file ``fingerprint.json`` of a stage's folder. It marks a folder as dawgen's,
identifies a finished stage, and reveals damaged files.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dawgen.errors import UserError
from dawgen.storage.atomic import write_text
from dawgen.terminal.harmless import hide_secrets

SEAL = "fingerprint.json"


@dataclass(frozen=True)
class Seal:
    """A folder's seal.

    Attributes:
        mark: the fingerprint of the stage's inputs; None if the seal cannot be read.
        damage: which file has changed, in words; None if none has.
        inputs: the stage's inputs; empty if the seal cannot be read.
    """

    mark: str | None
    damage: str | None = None
    inputs: Mapping[str, Any] = field(default_factory=dict)


def fingerprint(inputs: Mapping[str, Any] | Sequence[Any]) -> str:
    """A hash of plain values, the same on every machine."""
    text = json.dumps(inputs, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def set_seal(folder: Path, mark: str, inputs: Mapping[str, Any]) -> None:
    """Seal a folder whose files are all there."""
    files = {
        path.relative_to(folder).as_posix(): file_hash(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path != folder / SEAL
    }
    tree = {"fingerprint": mark, "inputs": hide_secrets(dict(inputs)), "files": files}
    tree["seal"] = fingerprint(tree)
    text = json.dumps(tree, indent=2, ensure_ascii=False, default=str)
    write_text(folder / SEAL, text + "\n")


def renew_seal(folder: Path) -> None:
    """Seal a folder again after dawgen itself has changed a file."""
    tree = json.loads((folder / SEAL).read_text("utf-8"))
    set_seal(folder, tree["fingerprint"], tree["inputs"])


def read_seal(folder: Path) -> Seal | None:
    """The folder's seal, compared with its files; None for a folder without one."""
    path = folder / SEAL
    if not path.is_file():
        return None
    try:
        tree = json.loads(path.read_text("utf-8"))
        mark = str(tree["fingerprint"])
        if "files" not in tree and "seal" not in tree:
            return Seal(mark)  # written before there were hashes
        seal, files, inputs = tree.pop("seal"), dict(tree["files"]), dict(tree["inputs"])
    except (ValueError, KeyError, TypeError, AttributeError, OSError, RecursionError):
        return Seal(None, f"{SEAL} cannot be read")
    if seal != fingerprint(tree):
        return Seal(None, f"{SEAL} is not as it was written")
    return Seal(mark, _damage(folder, files), inputs)


def check_seal(folder: Path) -> None:
    """Raise UserError if a file of a sealed folder was changed or lost."""
    seal = read_seal(folder)
    if seal is not None and seal.damage is not None:
        raise UserError(f"{folder} is damaged: {seal.damage}; run the command that made it again.")


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_hash(path: Path) -> None:
    """Write a file's hash to a file beside it, in the format of `sha256sum --check`."""
    write_text(_beside(path), f"{file_hash(path)}  {path.name}\n")


def is_as_written(path: Path) -> bool:
    """Whether a file is there and has the hash in the file beside it."""
    try:
        return _beside(path).read_text("utf-8").split()[0] == file_hash(path)
    except (OSError, ValueError, IndexError):
        return False


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def _damage(folder: Path, files: Mapping[str, str]) -> str | None:
    for name, known in files.items():
        path = folder / name
        if not path.is_file():
            return f"{name} is missing"
        if file_hash(path) != known:
            return f"{name} is not as it was written"
    return None
