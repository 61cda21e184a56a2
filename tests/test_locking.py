"""One process at a time at one target, and no link followed on the way to it."""

from __future__ import annotations

import os
from pathlib import Path
from threading import Event, Thread

import pytest

from dawgen.errors import UserError
from dawgen.storage.atomic import sweep, whole_file
from dawgen.storage.folder import RunFolder
from dawgen.storage.locking import (
    acquire,
    locked,
    locked_target,
    refuse_links,
    refuse_links_between,
    turn,
)


@pytest.mark.parametrize("make", [os.symlink, os.link])
def test_a_lock_that_is_a_link_costs_nothing(tmp_path: Path, make) -> None:
    victim, folder = tmp_path / "victim", tmp_path / "run"
    victim.write_text("precious")
    folder.mkdir()
    make(victim, folder / ".lock")
    for hold in (RunFolder(folder).lock, lambda: turn(folder)):
        with pytest.raises(UserError, match=r"link"), hold():
            raise AssertionError
    assert victim.read_text() == "precious"


def test_a_lock_that_is_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / ".lock")
    with pytest.raises(UserError, match="special file"):
        acquire(tmp_path / ".lock", wait=True)


def test_the_holder_is_named_and_the_lock_of_a_target_goes(tmp_path: Path) -> None:
    target = tmp_path / "new" / "out.csv"
    with locked_target(target):
        said = rf"pid {os.getpid()} on .* is writing to {target};"
        with pytest.raises(UserError, match=said), locked_target(target):
            raise AssertionError
        assert [path.name for path in target.parent.iterdir()] == [".out.csv.lock"]
    assert not list(target.parent.iterdir())
    with locked_target(target):
        pass


def test_a_lock_whose_file_was_replaced_while_waiting_is_taken_again(tmp_path: Path) -> None:
    path, taken = tmp_path / "file", Event()

    def wait() -> None:
        with acquire(path, wait=True) as file:
            assert os.path.samestat(os.fstat(file.fileno()), path.stat())
            taken.set()

    with acquire(path, wait=False):
        thread = Thread(target=wait)
        thread.start()
        assert not taken.wait(0.2)
        path.rename(tmp_path / "moved")
    thread.join(30)
    assert taken.is_set()


def test_a_system_without_locks_is_no_hindrance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(*_: object) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr("dawgen.storage.locking.fcntl.flock", flock)
    with locked(tmp_path / ".lock", tmp_path):
        assert (tmp_path / ".lock").exists()


def test_two_writers_of_one_file_leave_one_whole_file(tmp_path: Path) -> None:
    path, begun = tmp_path / "page.html", Event()

    def second() -> None:
        begun.set()
        with whole_file(path) as file:
            file.write(b"second" * 1000)

    thread = Thread(target=second)
    with whole_file(path) as file:
        thread.start()
        assert begun.wait(30)
        file.write(b"first")
        thread.join(0.2)  # would write into the same unfinished file meanwhile
        file.write(b" and whole")
        file.flush()
        assert os.fstat(file.fileno()).st_size == len(b"first and whole")
    thread.join(30)
    assert path.read_bytes() == b"second" * 1000
    assert [entry.name for entry in tmp_path.iterdir()] == ["page.html"]


def test_sweeping_leaves_what_others_write_or_go_on_with(tmp_path: Path) -> None:
    for name in (".a.csv.partial", ".b.csv.partial", ".b.csv.progress.json", ".c.csv.partial"):
        (tmp_path / name).write_text("x")
    with locked_target(tmp_path / "a.csv"):
        sweep(tmp_path)
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == [".a.csv.partial", ".b.csv.partial", ".b.csv.progress.json"]


def test_links_anywhere_in_a_run_folder_are_refused(tmp_path: Path) -> None:
    deep = tmp_path / "run" / "work" / "ppt"
    deep.mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run" / ".venv").mkdir()
    (tmp_path / "run" / ".venv" / "python").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "run" / "tracking").mkdir()
    (tmp_path / "run" / "tracking" / "latest-run").symlink_to(tmp_path / "elsewhere")
    with RunFolder(tmp_path / "run").lock():
        pass
    (deep / "mark").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="mark is a symbolic"), RunFolder(tmp_path / "run").lock():
        raise AssertionError


def test_only_links_below_the_home_are_refused_on_the_way(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "home").symlink_to(tmp_path / "real")
    refuse_links_between(tmp_path / "home", tmp_path / "home" / "exports" / "peft")
    (tmp_path / "real" / "exports").symlink_to(tmp_path)
    refuse_links_between(tmp_path / "home", tmp_path / "other" / "peft")
    with pytest.raises(UserError, match="exports is a symbolic link"):
        refuse_links_between(tmp_path / "home", tmp_path / "home" / "exports" / "peft")
    with pytest.raises(UserError, match="exports is a symbolic link"):
        refuse_links(tmp_path / "real")
