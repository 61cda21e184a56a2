"""Files are there whole or not at all, and links are not followed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dawgen.storage.atomic import sweep, whole_file, write_text


def test_text_that_utf_8_does_not_have_is_escaped(tmp_path: Path) -> None:
    """Such as a file name in another encoding, in the command that a run records."""
    write_text(tmp_path / "a.json", json.dumps({"command": ["r\udcff", "ü"]}, ensure_ascii=False))
    assert (tmp_path / "a.json").read_bytes() == b'{"command": ["r\\udcff", "\xc3\xbc"]}'
    assert json.loads((tmp_path / "a.json").read_text("utf-8"))["command"] == ["r\udcff", "ü"]


def test_a_failing_writer_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    write_text(tmp_path / "a", "old")

    def fail() -> None:
        with whole_file(tmp_path / "a") as file:
            file.write(b"ne")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a", "old")]


def test_a_link_in_the_place_of_the_unfinished_file_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "theirs").write_text("precious")
    (tmp_path / ".a.partial").symlink_to(tmp_path / "theirs")
    write_text(tmp_path / "a", "mine")
    assert (tmp_path / "theirs").read_text() == "precious"
    assert (tmp_path / "a").read_text() == "mine"
    assert not (tmp_path / "a").is_symlink()


def test_a_link_in_the_place_of_the_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "theirs").write_text("precious")
    (tmp_path / "a").symlink_to(tmp_path / "theirs")
    write_text(tmp_path / "a", "mine")
    assert (tmp_path / "theirs").read_text() == "precious"
    assert (tmp_path / "a").read_text() == "mine"


def test_sweeping_takes_what_is_unfinished_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "x").write_text("precious")
    (tmp_path / ".stage.partial" / "inner").mkdir(parents=True)
    (tmp_path / ".file.partial").write_text("half")
    (tmp_path / ".link.partial").symlink_to(tmp_path / "theirs")
    (tmp_path / "mine.partial").write_text("no dot in front")
    sweep(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.partial", "theirs"]
    assert (tmp_path / "theirs" / "x").read_text() == "precious"
