"""The run folder: stages are skipped, kept aside, and never half there."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from dawgen.errors import UserError
from dawgen.storage.folder import RunFolder, folder_hash, write_json


def _build(text: str):
    def build(folder: Path) -> None:
        (folder / "made").mkdir()
        (folder / "made" / "file.txt").write_text(text)

    return build


def _content(run: RunFolder) -> str:
    return (run.path / "made" / "file.txt").read_text()


def test_a_stage_is_made_once(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    first = run.stage("s", {"x": 1}, ["made"], _build("one"))
    again = run.stage("s", {"x": 1}, ["made"], _build("never"))
    assert (first, _content(run), run.stages["s"]["skipped"]) == (again, "one", True)


def test_other_inputs_make_it_anew_and_old_ones_bring_it_back(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.stage("s", {"x": 1}, ["made"], _build("one"))
    run.stage("s", {"x": 2}, ["made"], _build("two"))
    assert _content(run) == "two"
    run.stage("s", {"x": 1}, ["made"], _build("never"))
    assert _content(run) == "one"
    run.stage("s", {"x": 2}, ["made"], _build("never"))
    assert _content(run) == "two"


def test_a_failing_stage_leaves_what_was_there(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.stage("s", {"x": 1}, ["made"], _build("one"))

    def fail(folder: Path) -> None:
        (folder / "made").mkdir()
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError):
        run.stage("s", {"x": 2}, ["made"], fail)
    assert _content(run) == "one"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["made"]


def test_a_folder_that_is_not_ours_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "thesis.txt").write_text("years of work")

    def never(folder: Path) -> None:
        raise AssertionError("hours of work, and then refused")

    with pytest.raises(UserError, match="was not made by dawgen"):
        RunFolder(tmp_path).stage("s", {"x": 1}, ["made"], never)
    assert (tmp_path / "made" / "thesis.txt").read_text() == "years of work"


def test_a_second_process_is_told(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from dawgen.storage.folder import RunFolder\n"
        "from dawgen.errors import UserError\n"
        "try:\n"
        "    with RunFolder(Path(sys.argv[1])).lock(): print('held')\n"
        "except UserError as error: print(error)\n"
    )
    with RunFolder(tmp_path).lock():
        out = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
        )
        assert "Another dawgen process" in out.stdout


def test_hash_follows_content_and_names(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"x": 1})
    first = folder_hash(tmp_path)
    write_json(tmp_path / "a.json", {"x": 2})
    assert folder_hash(tmp_path) != first
    write_json(tmp_path / "a.json", {"x": 1})
    assert folder_hash(tmp_path) == first
    assert json.loads((tmp_path / "a.json").read_text()) == {"x": 1}
