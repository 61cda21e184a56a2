"""The run folder: stages with fingerprints, found damage, one process at a time."""

from __future__ import annotations

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
from dawgen.storage.atomic import move, partial_of, remove, sweep
from dawgen.storage.atomic import write_text as write_text
from dawgen.storage.locking import LOCK, links_below, locked, refuse_links
from dawgen.storage.seals import read_seal, set_seal
from dawgen.terminal.progress import warn

OF_THE_WHOLE = ("scores.json", "predictions.parquet", "run.json", "report.html")
"""Files of a finished run, which state what all of its stages have made."""


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


def write_json(path: Path, value: Any) -> None:
    """A JSON file, indented, written whole or not at all."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_log(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """A log as JSON lines."""
    write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


@dataclass
class RunFolder:
    """A folder that one run owns.

    A stage's result is built aside, sealed with the hashes of its files, and moved into place
    when it is whole. A stage whose fingerprint is there already is skipped, and a result that
    other settings made is kept in ``.kept/`` and comes back when the settings do. A result
    that is no longer as it was written is kept there too, and made anew.

    Attributes:
        finished_stays: a stage that would change a finished run raises an error instead.
    """

    path: Path
    finished_stays: bool = False
    stages: dict[str, dict[str, Any]] = field(default_factory=dict)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the folder; a second process is told so instead of mixing its files in.

        What a killed process left unfinished is swept away.
        """
        try:
            if self.path.exists() and not self.path.is_dir():
                raise UserError(f"{self.path} is a file; name a folder with --out.")
            self.path.mkdir(parents=True, exist_ok=True)
            self.refuse_links()
        except OSError as error:
            raise UserError(f"{self.path} cannot be written: {error.strerror}.") from None
        with locked(self.path / LOCK, self.path):
            sweep(self.path)
            yield

    def refuse_links(self) -> None:
        """A link inside a run folder could lead reading and writing out of it."""
        refuse_links(*links_below(self.path))

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
                f"{self.path} holds a finished run, whose {folders[0]}/ is made with other "
                "settings or from other rows; name another folder with --out, or do the whole "
                "again with `dawgen run`."
            )

    def checkpoint_path(self, name: str, inputs: Mapping[str, Any]) -> Path:
        """Where the stage of these inputs keeps the state of its loop."""
        return self.path / f".{name}-{fingerprint(inputs)[:16]}.checkpoint"

    def _put_damaged_aside(self, name: str, folders: Sequence[str], mark: str) -> None:
        """Find results that are not as they were written; whose they were may be unknown."""
        places = [(self.path / folder, folder) for folder in folders]
        places += [(self._kept(folder, mark), folder) for folder in folders]
        for place, folder in places:
            seal = read_seal(place)
            if seal is not None and seal.damage is not None:
                aside = self._unused(f"{folder}-damaged")
                move(place, aside)
                warn(
                    f"{place} is damaged: {seal.damage}; the stage {name!r} is done again, and "
                    f"what lay there is kept in {aside}."
                )

    def _unused(self, name: str) -> Path:
        """A place in ``.kept/`` where nothing lies."""
        home = self.path / ".kept"
        home.mkdir(exist_ok=True)
        number = 1
        while (home / f"{name}-{number}").exists():
            number += 1
        return home / f"{name}-{number}"

    def _is_made(self, folder: Path, mark: str) -> bool:
        seal = read_seal(folder)
        return seal is not None and seal.mark == mark

    def _kept(self, folder: str, mark: str) -> Path:
        return self.path / ".kept" / f"{folder}-{mark[:16]}"

    def _bring_back(self, folders: Sequence[str], mark: str) -> bool:
        """Whether all folders are there, after those that were kept aside have come back."""
        kept = [folder for folder in folders if not self._is_made(self.path / folder, mark)]
        if not all(self._is_made(self._kept(folder, mark), mark) for folder in kept):
            return False
        for folder in kept:
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
        """Raise UserError where a folder of such a name lies there that no stage has made.

        Args:
            files: names of files that may lie there only where a stage has made a folder.
        """
        made = [folder for folder in folders if (self.path / folder).exists()]
        for target in (self.path / folder for folder in made):
            if read_seal(target) is None:
                raise UserError(
                    f"{target} exists and was not made by dawgen; name another folder with --out."
                )
        mine = next((self.path / name for name in files if (self.path / name).exists()), None)
        if mine is not None and not made:
            raise UserError(
                f"{mine} exists, in a folder that is no run of dawgen's, and would be written "
                "over; name another folder with --out."
            )

    def set_aside(self, folder: str) -> None:
        """Keep what lies there, if anything, where its settings find it again."""
        target = self.path / folder
        if target.exists():
            self.refuse_foreign([folder])
            seal = read_seal(target)
            whole = seal is not None and seal.damage is None
            aside = self._unused(f"{folder}-damaged")
            if whole and seal is not None:
                aside = self._kept(folder, str(seal.mark))
                shutil.rmtree(aside, ignore_errors=True)
            move(target, aside)

    def _place(self, source: Path, folder: str) -> None:
        """Move a finished folder into place; what lay there is kept aside.

        Files that state what the whole run has made go first: they would state it falsely.
        """
        for name in OF_THE_WHOLE:
            (self.path / name).unlink(missing_ok=True)
        self.set_aside(folder)
        move(source, self.path / folder)
