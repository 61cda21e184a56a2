"""The toy methods beside the real ones, and a small grid."""

from __future__ import annotations

from pathlib import Path

import pytest

from dawgen import methods
from tests.bench import toys
from tests.invariants.conftest import model_folder

__all__ = ["model_folder"]


@pytest.fixture(autouse=True)
def toy_methods(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("noisy", "gold", "broken", "refusing"):
        monkeypatch.setitem(methods.METHODS, name, getattr(toys, name))


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> toys.Recorder:
    """The method ``recorder``, and what it was given."""
    found = toys.Recorder()
    monkeypatch.setitem(methods.METHODS, "recorder", found)
    return found


@pytest.fixture
def grid(tmp_path: Path, model_folder: Path) -> toys.SmallGrid:
    return toys.write_grid(tmp_path, model_folder)
