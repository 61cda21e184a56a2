"""Training checkpoints: safetensors and JSON, written whole or not at all, the last two kept."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.optim import AdamW
from transformers import BartForConditionalGeneration

STATES = ("exp_avg", "exp_avg_sq", "step")


def parameter_names(model: torch.nn.Module) -> dict[Tensor, str]:
    """Each trainable tensor with its name (a tied one under its first name)."""
    return {parameter: name for name, parameter in model.named_parameters()}


def optimiser_tensors(optimiser: AdamW, names: dict[Tensor, str]) -> dict[str, Tensor]:
    """The optimiser's state as a flat ``kind/parameter name`` mapping."""
    flat: dict[str, Tensor] = {}
    for parameter, state in optimiser.state.items():
        for kind in STATES:
            flat[f"{kind}/{names[parameter]}"] = torch.as_tensor(state[kind]).contiguous()
    return flat


def restore_optimiser(optimiser: AdamW, names: dict[Tensor, str], flat: dict[str, Tensor]) -> None:
    """Put the tensors of :func:`optimiser_tensors` back."""
    for parameter, name in names.items():
        if parameter.requires_grad and f"step/{name}" in flat:
            state = {kind: flat[f"{kind}/{name}"].to(parameter.device) for kind in STATES}
            state["step"] = state["step"].cpu()
            optimiser.state[parameter] = state


def checkpoints(folder: Path) -> list[Path]:
    """The complete checkpoints of a run, oldest first."""
    return sorted(path for path in folder.glob("step-*") if (path / "state.json").exists())


def save(
    folder: Path,
    model: BartForConditionalGeneration,
    optimiser: AdamW,
    state: dict[str, Any],
    keep: int = 2,
) -> Path:
    """Write ``folder/step-N`` atomically (``N = state["step"]``) and drop all but ``keep``."""
    final = folder / f"step-{state['step']:07d}"
    partial = folder / f".{final.name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    names = parameter_names(model)
    weights = {name: parameter.detach().contiguous() for parameter, name in names.items()}
    save_file(weights, partial / "weights.safetensors")
    save_file(optimiser_tensors(optimiser, names), partial / "optimiser.safetensors")
    (partial / "state.json").write_text(json.dumps(state), encoding="utf-8")
    shutil.rmtree(final, ignore_errors=True)
    partial.replace(final)
    for old in checkpoints(folder)[:-keep]:
        shutil.rmtree(old)
    return final


def load_weights(checkpoint: Path, model: BartForConditionalGeneration) -> None:
    """Copy a checkpoint's weights into ``model``; every parameter must be there."""
    flat = load_file(checkpoint / "weights.safetensors")
    names = parameter_names(model)
    if set(names.values()) != set(flat):
        raise ValueError(f"{checkpoint} holds other parameters than the model")
    with torch.no_grad():
        for parameter, name in names.items():
            parameter.copy_(flat[name])


def load(checkpoint: Path, model: BartForConditionalGeneration, optimiser: AdamW) -> dict[str, Any]:
    """Restore model and optimiser from ``checkpoint``; return its state."""
    load_weights(checkpoint, model)
    flat = load_file(checkpoint / "optimiser.safetensors")
    restore_optimiser(optimiser, parameter_names(model), flat)
    state: dict[str, Any] = json.loads((checkpoint / "state.json").read_text(encoding="utf-8"))
    return state
