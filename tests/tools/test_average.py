"""The mean of checkpoints."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tools.pretrain.average import average
from tools.pretrain.checkpoint import checkpoints


def checkpoint(folder: Path, step: int, value: float) -> Path:
    """A checkpoint of one tensor, whose optimiser holds the step's number."""
    path = folder / f"step-{step:07d}"
    path.mkdir(parents=True)
    save_file({"weight": torch.tensor([value, 1.0])}, path / "weights.safetensors")
    save_file({"step/weight": torch.tensor(float(step))}, path / "optimiser.safetensors")
    (path / "state.json").write_text(json.dumps({"step": step, "wall_minutes": step / 10}))
    return path


def test_mean_of_weights_with_the_last_ones_state(tmp_path: Path) -> None:
    """Weights are averaged; counters and optimiser are those of the most steps, in any order."""
    first, last = checkpoint(tmp_path / "a", 3, 2.0), checkpoint(tmp_path / "a", 9, 5.0)
    made = average([last, first], tmp_path / "out")
    assert checkpoints(tmp_path / "out") == [made]
    assert load_file(made / "weights.safetensors")["weight"].tolist() == [3.5, 1.0]
    assert load_file(made / "optimiser.safetensors")["step/weight"].item() == 9
    state = json.loads((made / "state.json").read_text())
    assert state == {"step": 9, "wall_minutes": 0.9, "averaged": [[3, 9]]}


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    """One checkpoint, other tensors, a place that is taken."""
    first, second = checkpoint(tmp_path / "a", 3, 2.0), checkpoint(tmp_path / "b", 4, 5.0)
    with pytest.raises(ValueError, match="two checkpoints"):
        average([first], tmp_path / "out")
    with pytest.raises(FileExistsError):
        average([first, second], tmp_path / "b")
    save_file({"other": torch.zeros(2)}, second / "weights.safetensors")
    with pytest.raises(ValueError, match="other tensors"):
        average([first, second], tmp_path / "out")
    assert not (tmp_path / "out").exists()
