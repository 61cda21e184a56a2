"""A tuned generator: what :func:`dawgen.generator.fit_generator` gives back, on disk and off."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import safetensors.torch
from torch import Tensor

from dawgen.backbone.frame import Frame, load_frame, save_frame
from dawgen.errors import UserError
from dawgen.generator.weights import TokenWeights
from dawgen.prompts import load_label_prompts, save_label_prompts
from dawgen.storage.atomic import write_bytes, write_text

if TYPE_CHECKING:
    from dawgen.backbone import Backbone

PROMPTS = "label-prompts"
WEIGHTS = "weights.safetensors"
LOG = "log.jsonl"


@dataclass(frozen=True, slots=True)
class Generator:
    """Label prompts, the token-weight network behind them, and how the tuning went.

    Attributes:
        prompts: Q [C,P,H], fp32, one soft prompt per label in the card's order.
        weights: the weight network's state; empty for the plain generator, which has none.
        history: one entry a step; see :func:`dawgen.generator.fit_generator`.
        frame: what a causal model read around the texts.
    """

    prompts: Tensor
    weights: dict[str, Tensor] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)
    frame: Frame | None = None

    def weight_network(self) -> TokenWeights | None:
        """The token-weight network as it was at the end; None for the plain generator."""
        if not self.weights:
            return None
        network = TokenWeights(hidden=self.weights["first.weight"].shape[0])
        network.load_state_dict(self.weights)
        return network.eval()

    def save(self, folder: Path, backbone: Backbone, labels: Sequence[str]) -> None:
        """Write ``label-prompts/<label>/``, ``weights.safetensors``, ``log.jsonl`` and, of a causal
        model, ``frame.json``.

        Equal generators give equal bytes: nothing of the machine or the clock is in them.
        """
        folder.mkdir(parents=True, exist_ok=True)
        save_label_prompts(self.prompts, labels, folder / PROMPTS, backbone)
        state = {name: tensor.detach().cpu().contiguous() for name, tensor in self.weights.items()}
        write_bytes(folder / WEIGHTS, safetensors.torch.save(state, metadata={"format": "pt"}))
        lines = (json.dumps(entry, sort_keys=True) + "\n" for entry in self.history)
        write_text(folder / LOG, "".join(lines))
        save_frame(self.frame, folder)

    @classmethod
    def load(
        cls, folder: Path, labels: Sequence[str], backbone: Backbone | None = None
    ) -> Generator:
        """Read what :meth:`save` wrote; ``backbone`` is the model it is meant for.

        Raises:
            UserError: a file is missing or cannot be read, or was made for another model.
        """
        prompts = load_label_prompts(folder / PROMPTS, labels, backbone)
        try:
            weights = safetensors.torch.load((folder / WEIGHTS).read_bytes())
            lines = (folder / LOG).read_text(encoding="utf-8").splitlines()
            history = [json.loads(line) for line in lines]
        except FileNotFoundError as error:
            raise UserError(
                f"{folder} is not a whole generator: {Path(error.filename).name} is missing; "
                "tune it again with 'dawgen fit-generator'."
            ) from None
        except (safetensors.SafetensorError, ValueError) as error:
            raise UserError(
                f"The generator in {folder} cannot be read ({error}); tune it again with "
                "'dawgen fit-generator'."
            ) from None
        return cls(prompts, weights, history, load_frame(folder))
