"""Same seed, same bytes, with the shipped model on two threads; a minute or two."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.invariants.jobs import files_of

SHORT = {
    "generator.epochs": 1,
    "synthesis.rows_per_label": 16,
    "tuning.steps": 10,
    "tuning.eval_every": 5,
}


@pytest.mark.slow
def test_two_threads_give_the_same_bytes_twice(tmp_path: Path) -> None:
    sets = [part for name, value in SHORT.items() for part in ("-s", f"{name}={value}")]
    environment = os.environ | {"OMP_NUM_THREADS": "2", "HF_HUB_OFFLINE": "1"}
    for name in ("first", "second"):
        out = str(tmp_path / name)
        command = [sys.executable, "-m", "dawgen", "run", "demo", "--out", out]
        subprocess.run([*command, *sets], env=environment, check=True, capture_output=True)
    for name in ("generator", "synthetic", "prompt", "baseline", "evaluation"):
        first, second = files_of(tmp_path / "first" / name), files_of(tmp_path / "second" / name)
        assert first.keys() == second.keys()
        assert [path for path in first if first[path] != second[path]] == []
