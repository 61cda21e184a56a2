"""The run folder: stages with fingerprints, damage detection, one process at a time."""

from __future__ import annotations

import hashlib
import itertools
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

from dawgen.errors import UserError
from dawgen.storage.atomic import move, partial_of, remove, sweep
from dawgen.storage.atomic import write_text as write_text
from dawgen.storage.locking import LOCK, links_below, locked, refuse_links, writable
from dawgen.storage.seals import fingerprint as fingerprint
from dawgen.storage.seals import read_seal, set_seal
from dawgen.terminal.progress import warn

OF_THE_WHOLE = ("scores.json", "predictions.parquet", "run.json", "report.html")
"""Files of a finished run that describe all of its stages."""


def folder_hash(folder: Path) -> str:
    """A hash of all files below the folder, by name and content."""
    digest = hashlib.sha256()
    for file in sorted(p for p in folder.rglob("*") if p.is_file()):
        digest.update(str(file.relative_to(folder)).encode())
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def write_json(path: Path, value: Any) -> None:
    """Write an indented JSON file atomically."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_log(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write a log as JSON lines."""
    write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


@dataclass
class RunFolder:
    """A folder that one run owns.

    A stage's result is built elsewhere, sealed with the hashes of its files, and moved into place.
    A stage with the same fingerprint is skipped. Results of other settings are moved to ``.kept/``
    and back when the settings return; damaged ones are moved there too, and recomputed.

    Attributes:
        finished_stays: raise an error if a stage would change a finished run.
    """

    path: Path
    finished_stays: bool = False
    stages: dict[str, dict[str, Any]] = field(default_factory=dict)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Lock the folder for this process, and remove what a killed one left unfinished."""
        with writable(self.path):
            if self.path.exists() and not self.path.is_dir():
                raise UserError(f"{self.path} is a file; name a folder with --out.")
            self.path.mkdir(parents=True, exist_ok=True)
            self.refuse_links()
        with locked(self.path / LOCK, self.path):
            sweep(self.path)
            yield

    def refuse_links(self) -> None:
        """Raise UserError for a link inside the folder: it could lead out of it."""
        refuse_links(*links_below(self.path))

    def stage(
        self,
        name: str,
        inputs: Mapping[str, Any],
        folders: Sequence[str],
        build: Callable[[Path], None],
    ) -> str:
        """Make a stage's folders unless they are there already; returns its fingerprint.

        Args:
            name: name of the stage in ``run.json``.
            inputs: everything that its result depends on, and nothing that only changes speed.
            folders: the folders of the run that it fills.
            build: called with an empty folder, in which it makes ``folders``.
        """
        mark = fingerprint(inputs)
        wall, cpu = perf_counter(), process_time()
        if self.finished_stays:
            self._refuse_finished(folders, mark)
        self._put_damaged_aside(name, folders, mark)
        skipped = self._bring_back(folders, mark)
        if not skipped:
            self._build(name, folders, mark, inputs, build)
        self.stages[name] = {
            "fingerprint": mark,
            "seconds": round(perf_counter() - wall, 2),
            "cpu_seconds": round(process_time() - cpu, 2),
            "skipped": skipped,
        }
        return mark

    def _refuse_finished(self, folders: Sequence[str], mark: str) -> None:
        whole = (self.path / "run.json").exists()
        if whole and not all(self._is_made(self.path / folder, mark) for folder in folders):
            raise UserError(
                f"{self.path} holds a finished run, whose {folders[0]}/ was made with other "
                "settings or from other rows; name another folder with --out, or repeat the whole "
                "run with `dawgen run`."
            )

    def checkpoint_path(self, name: str, inputs: Mapping[str, Any]) -> Path:
        """Path of the checkpoint of the stage with these inputs."""
        return self.path / f".{name}-{fingerprint(inputs)[:16]}.checkpoint"

    def _put_damaged_aside(self, name: str, folders: Sequence[str], mark: str) -> None:
        for folder in folders:
            for place in (self.path / folder, self._kept(folder, mark)):
                seal = read_seal(place)
                if seal is not None and seal.damage is not None:
                    aside = self._unused(f"{folder}-damaged")
                    move(place, aside)
                    warn(
                        f"{place} is damaged: {seal.damage}; the stage {name!r} is repeated, and "
                        f"the damaged folder is now {aside}."
                    )

    def _unused(self, name: str) -> Path:
        """A path in ``.kept/`` that does not exist yet."""
        home = self.path / ".kept"
        home.mkdir(exist_ok=True)
        paths = (home / f"{name}-{number}" for number in itertools.count(1))
        return next(path for path in paths if not path.exists())

    def _is_made(self, folder: Path, mark: str) -> bool:
        seal = read_seal(folder)
        return seal is not None and seal.mark == mark

    def _kept(self, folder: str, mark: str) -> Path:
        return self.path / ".kept" / f"{folder}-{mark[:16]}"

    def _bring_back(self, folders: Sequence[str], mark: str) -> bool:
        """Whether all folders are there, possibly after moving some back from ``.kept/``."""
        missing = [folder for folder in folders if not self._is_made(self.path / folder, mark)]
        if not all(self._is_made(self._kept(folder, mark), mark) for folder in missing):
            return False
        for folder in missing:
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
        self.refuse_foreign(folders)
        partial = partial_of(self.path / name)
        remove(partial)
        partial.mkdir(parents=True)
        try:
            build(partial)
            for folder in folders:
                (partial / folder).mkdir(exist_ok=True)
                set_seal(partial / folder, mark, inputs)
            for folder in folders:
                self._place(partial / folder, folder)
        finally:
            remove(partial)

    def refuse_foreign(self, folders: Sequence[str], files: Sequence[str] = ()) -> None:
        """Raise UserError if one of the folders exists and was not made by a stage.

        Args:
            files: names of files that may exist only if a stage has made a folder.
        """
        made = [self.path / folder for folder in folders if (self.path / folder).exists()]
        for target in made:
            if read_seal(target) is None:
                raise UserError(
                    f"{target} exists and was not made by dawgen; name another folder with --out."
                )
        theirs = [self.path / name for name in files if (self.path / name).exists()]
        if theirs and not made:
            raise UserError(
                f"{theirs[0]} exists, in a folder that is no run folder, and would be overwritten; "
                "name another folder with --out."
            )

    def set_aside(self, folder: str) -> None:
        """Move a folder, if it exists, to ``.kept/``, where a run with its settings finds it."""
        target = self.path / folder
        if target.exists():
            self.refuse_foreign([folder])
            seal = read_seal(target)
            aside = self._unused(f"{folder}-damaged")
            if seal is not None and seal.damage is None:
                aside = self._kept(folder, str(seal.mark))
                shutil.rmtree(aside, ignore_errors=True)
            move(target, aside)

    def _place(self, source: Path, folder: str) -> None:
        """Move a finished folder into place, and its predecessor to ``.kept/``.

        The files that describe the whole run are removed first, since they would be wrong.
        """
        for name in OF_THE_WHOLE:
            (self.path / name).unlink(missing_ok=True)
        self.set_aside(folder)
        move(source, self.path / folder)
