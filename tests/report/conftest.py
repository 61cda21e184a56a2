"""The hand-made run folder as a fixture."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.report.folder import write_run


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    """A run folder that a test may spoil."""
    return write_run(tmp_path / "pairs-13")
