"""The generator: a frozen language model with one soft prompt per label, method.md §1."""

from __future__ import annotations

from dawgen.generator.fit import fit_generator, label_prompt_start, token_weights
from dawgen.generator.generator import Generator
from dawgen.generator.inspect import weighted_texts
from dawgen.generator.weights import TokenWeights

__all__ = [
    "Generator",
    "TokenWeights",
    "fit_generator",
    "label_prompt_start",
    "token_weights",
    "weighted_texts",
]
