"""The run folder: stages with fingerprints, atomic writes, one process at a time."""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

from dawgen.errors import UserError

_MARK = "fingerprint.json"


def fingerprint(inputs: Mapping[str, Any]) -> str:
    """A hash of plain values: equal inputs, equal fingerprint, on any machine."""
    text = json.dumps(inputs, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def folder_hash(folder: Path) -> str:
    """A hash of all files below the folder, by name and content."""
    digest = hashlib.sha256()
    for file in sorted(p for p in folder.rglob("*") if p.is_file()):
        digest.update(str(file.relative_to(folder)).encode())
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_text(text, "utf-8")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """A JSON file, indented, written whole or not at all."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_log(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """A log as JSON lines."""
    write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


@dataclass
class RunFolder:
    """A folder that one run owns.

    A stage's result is built aside and moved into place when it is whole. Its fingerprint
    lies in it; a stage whose fingerprint is there already is skipped, and a result that
    other settings made is kept in ``.kept/`` and comes back when the settings do.
    """

    path: Path
    stages: dict[str, dict[str, Any]] = field(default_factory=dict)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the folder; a second process is told so instead of mixing its files in."""
        if self.path.exists() and not self.path.is_dir():
            raise UserError(f"{self.path} is a file; name a folder with --out.")
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            handle = (self.path / ".lock").open("w")
        except OSError as error:
            raise UserError(f"{self.path} cannot be written: {error.strerror}.") from None
        with handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UserError(
                    f"Another dawgen process is at work in {self.path}; wait for it, "
                    "or name another folder with --out."
                ) from None
            yield

    def stage(
        self,
        name: str,
        inputs: Mapping[str, Any],
        folders: Sequence[str],
        build: Callable[[Path], None],
    ) -> str:
        """Make a stage's folders unless they are there already; gives back its fingerprint.

        Args:
            name: what the stage is called in ``run.json``.
            inputs: everything its result depends on, and nothing that only changes speed.
            folders: the folders of the run that it fills.
            build: called with an empty folder, in which it makes ``folders``.
        """
        mark = fingerprint(inputs)
        wall, cpu = perf_counter(), process_time()
        skipped = self._present(folders, mark) or self._bring_back(folders, mark)
        if not skipped:
            self._build(name, folders, mark, inputs, build)
        self.stages[name] = {
            "fingerprint": mark,
            "seconds": round(perf_counter() - wall, 2),
            "cpu_seconds": round(process_time() - cpu, 2),
            "skipped": skipped,
        }
        return mark

    def _mark_of(self, folder: Path) -> str | None:
        try:
            value = json.loads((folder / _MARK).read_text("utf-8"))["fingerprint"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return str(value)

    def _present(self, folders: Sequence[str], mark: str) -> bool:
        return all(self._mark_of(self.path / folder) == mark for folder in folders)

    def _kept(self, folder: str, mark: str) -> Path:
        return self.path / ".kept" / f"{folder}-{mark[:16]}"

    def _bring_back(self, folders: Sequence[str], mark: str) -> bool:
        if not all(self._mark_of(self._kept(folder, mark)) == mark for folder in folders):
            return False
        for folder in folders:
            self._place(self._kept(folder, mark), folder)
        return True

    def _build(
        self,
        name: str,
        folders: Sequence[str],
        mark: str,
        inputs: Mapping[str, Any],
        build: Callable[[Path], None],
    ) -> None:
        for folder in folders:
            self._refuse_foreign(folder)
        partial = self.path / f".{name}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        try:
            build(partial)
            for folder in folders:
                (partial / folder).mkdir(exist_ok=True)
                write_json(partial / folder / _MARK, {"fingerprint": mark, "inputs": inputs})
            for folder in folders:
                self._place(partial / folder, folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def _refuse_foreign(self, folder: str) -> None:
        """Raise UserError where a folder of that name lies there that no stage has made."""
        target = self.path / folder
        if target.exists() and self._mark_of(target) is None:
            raise UserError(
                f"{target} exists and was not made by dawgen; name another folder with --out."
            )

    def set_aside(self, folder: str) -> None:
        """Keep what lies there, if anything, where its settings find it again."""
        target = self.path / folder
        if target.exists():
            self._refuse_foreign(folder)
            aside = self._kept(folder, str(self._mark_of(target)))
            shutil.rmtree(aside, ignore_errors=True)
            aside.parent.mkdir(parents=True, exist_ok=True)
            target.replace(aside)

    def _place(self, source: Path, folder: str) -> None:
        """Move a finished folder into place; what lay there is kept aside."""
        self.set_aside(folder)
        source.replace(self.path / folder)
