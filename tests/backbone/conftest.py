"""A backbone that only a false pip has."""

from __future__ import annotations

from pathlib import Path

import huggingface_hub
import pytest

from dawgen.backbone.known import KnownBackbone
from dawgen.backbone.registry import KNOWN
from tests.backbone.toys import environment, make_index


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, KnownBackbone]:
    folder = tmp_path_factory.mktemp("index")
    return folder, make_index(folder)


@pytest.fixture
def toy(index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KnownBackbone:
    """A backbone that only the false pip has; its cache is empty."""
    for name, value in environment(index[0]).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DAWGEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("FALSE_PIP_LOG", str(tmp_path / "calls.jsonl"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setitem(KNOWN, "toy", index[1])
    return index[1]
