"""Low-rank changes of an encoder's linear layers (LoRA, Hu et al., ICLR 2022)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors.numpy
import torch

from dawgen.storage.reading import as_dawgen_writes

RANK = 8
SCALE = 2.0
"""The change of a weight is this times up @ down."""

Numbers = dict[str, npt.NDArray[np.float32]]
_DOWN, _UP = "down.", "up."


@dataclass(frozen=True)
class Adapter:
    """Changes of an encoder's linear layers: the weight of layer ``name`` [O,I] becomes
    W + SCALE up @ down.

    Attributes:
        down, up: [R,I] and [O,R] by the layer's name.
    """

    down: Mapping[str, npt.NDArray[np.float32]]
    up: Mapping[str, npt.NDArray[np.float32]]

    def scaled_up(self, name: str) -> npt.NDArray[np.float32]:
        """SCALE up of a layer, [O,RANK]."""
        return np.float32(SCALE) * self.up[name]

    def changes(self) -> dict[str, npt.NDArray[np.float32]]:
        """[O,I] by the layer's name."""
        return {name: self.scaled_up(name) @ down for name, down in self.down.items()}

    def add_to(self, model: Any) -> None:
        """Change the weights of a model."""
        for name, change in self.changes().items():
            weight = model.get_submodule(name).weight
            weight.data += torch.from_numpy(change).to(weight)

    @cached_property
    def fingerprint(self) -> str:
        """A hash of its numbers."""
        return hashlib.sha256(safetensors.numpy.save(self.numbers())).hexdigest()

    def numbers(self) -> Numbers:
        """As arrays by name."""
        down = {_DOWN + name: array for name, array in self.down.items()}
        return down | {_UP + name: array for name, array in self.up.items()}

    @classmethod
    def of_numbers(cls, numbers: Mapping[str, Any]) -> Adapter:
        """From what :meth:`numbers` gave, among others."""
        parts = (
            {k.removeprefix(start): v for k, v in numbers.items() if k.startswith(start)}
            for start in (_DOWN, _UP)
        )
        return cls(*parts)

    @classmethod
    def of_peft(cls, state: Mapping[str, npt.NDArray[np.float32]]) -> Adapter:
        """From PEFT's names, such as base_model.model.LAYER.lora_A.weight."""
        parts: dict[str, Numbers] = {"lora_A": {}, "lora_B": {}}
        for name, array in state.items():
            layer, which, _ = name.removeprefix("base_model.model.").rsplit(".", 2)
            parts[which][layer] = array
        return cls(parts["lora_A"], parts["lora_B"])


def read_adapter(file: Path) -> Adapter:
    """Of a file in half precision, as ``tools.cross_encoder`` writes it.

    Raises:
        UserError: it is another file.
    """
    with as_dawgen_writes(file):
        numbers = safetensors.numpy.load_file(file)
        found = {name: each.astype(np.float32) for name, each in numbers.items()}
        return Adapter.of_numbers(found)
