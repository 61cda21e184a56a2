"""Linear heads with all that they read with: vocabularies, a sentence encoder, or a backbone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors.numpy import save_file

from dawgen.errors import UserError
from dawgen.exporting.about import about_reading
from dawgen.selection.cross_encoder import CrossVectors
from dawgen.selection.parts import TUNED, HeadPart
from dawgen.selection.states import AnswerStates
from dawgen.selection.tuned import TunedVectors
from dawgen.storage.folder import write_json

if TYPE_CHECKING:
    from dawgen.selection.parts import Models
    from dawgen.selection.store import Choice

NUMBERS, WORDS, BACKBONE = "head.safetensors", "words.json", "backbone"
ENCODER, TUNED_ENCODER = "encoder", "tuned-encoder"


def check_heads(run: Path, choice: Choice) -> None:
    """Raise UserError where a part of the choice is no linear head."""
    others = sorted({part.name for part in choice.parts if not isinstance(part, HeadPart)})
    if others:
        raise UserError(
            f"{run} ships {choice.name}, of which {', '.join(others)} is not exported; "
            "export the tuned prompt with --to hf, or use `dawgen predict` or `dawgen serve`."
        )


def write_heads(folder: Path, choice: Choice, models: Models) -> dict[str, Any]:
    """Write the heads and what they read with; gives back what the script must know of them."""
    numbers: dict[str, Any] = {}
    words = []
    heads = [part for part in choice.parts if isinstance(part, HeadPart)]
    for n, part in enumerate(heads):
        own = {} if part.kind in TUNED else part.numbers()  # whose changes are in the encoder
        own |= {"weight": part.head.weight, "bias": part.head.bias}
        numbers |= {f"{n}.{name}": array for name, array in own.items()}
        words.append(part.words())
    whole = {name: np.ascontiguousarray(array) for name, array in numbers.items()}
    save_file(whole, folder / NUMBERS)
    write_json(folder / WORDS, words)
    kinds = [part.kind for part in heads]
    about: dict[str, Any] = {"kinds": kinds, "groups": choice.grouping}
    if "encoder" in choice.reads_with:
        about["encoder_length"] = models.encoder.max_length
    if "embeddings" in kinds or "alignment" in kinds:
        models.encoder.save(folder / ENCODER)
    of_kind = {part.kind: part.features for part in heads}
    if isinstance(tuned := of_kind.get("tuned"), TunedVectors):
        models.encoder.save(folder / TUNED_ENCODER, tuned.adapter)
    for kind, features in of_kind.items():
        if isinstance(features, CrossVectors):
            models.encoder.save(folder / f"{kind}-encoder", *features.read.adapters)
    if isinstance(states := of_kind.get("answers"), AnswerStates):
        backbone = models.backbone
        backbone.model.save_pretrained(folder / BACKBONE)
        backbone.tokenizer.save_pretrained(folder / BACKBONE)
        prefix = states.prefixes[0]
        longest = max(map(len, states.prefixes))
        about |= about_reading(models.card, backbone, longest) | {"prefix_ids": prefix}
    return about
