"""`make demo`: on the embedded model, or on another where it can be had."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MARK = "the demo runs on the embedded model (tiny) instead"

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="there is no make here")


def make_demo(
    folder: Path, fetching_ends_with: int, backbone: str = "BACKBONE=smollm2"
) -> tuple[list[str], str, int]:
    """The commands that ``make demo`` gives to dawgen, what it says, and its exit code."""
    (folder / "bin").mkdir()
    program = folder / "bin" / "dawgen"
    program.write_text(
        f'#!/bin/sh\necho "$*" >> {folder}/calls\n'
        f'case "$1" in backbones) exit {fetching_ends_with};; esac\n'
    )
    program.chmod(0o755)
    (folder / "ready").touch()
    done = subprocess.run(
        ["make", "demo", backbone, f"BIN={folder}/bin", f"READY={folder}/ready"],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name != "MAKEFLAGS"},
        capture_output=True,
        text=True,
        check=False,
    )
    return (folder / "calls").read_text().splitlines(), done.stderr, done.returncode


def test_the_embedded_model_is_the_default(tmp_path: Path) -> None:
    calls, _, code = make_demo(tmp_path, 1, "BACKBONE=tiny")
    assert calls == ["run demo --out runs/demo"]
    assert code == 0


def test_it_fetches_smollm2_and_runs_on_it(tmp_path: Path) -> None:
    calls, said, code = make_demo(tmp_path, 0)
    assert calls == [
        "backbones get smollm2",
        "run demo --out runs/demo -s backbone.path=smollm2",
    ]
    assert MARK not in said
    assert code == 0


def test_where_it_cannot_be_had_the_embedded_model_runs_and_one_line_says_so(
    tmp_path: Path,
) -> None:
    calls, said, code = make_demo(tmp_path, 2)
    assert calls == ["backbones get smollm2", "run demo --out runs/demo"]
    assert len([line for line in said.splitlines() if MARK in line]) == 1
    assert code == 0


@pytest.mark.parametrize("ending", [1, 130])
def test_a_stopped_or_broken_download_starts_nothing(tmp_path: Path, ending: int) -> None:
    calls, said, code = make_demo(tmp_path, ending)
    assert calls == ["backbones get smollm2"]
    assert MARK not in said
    assert code != 0
