"""Soft prompts: initial values, saving, loading."""

from __future__ import annotations

from dawgen.prompts.initialise import (
    cycle_tokens,
    random_normal,
    sample_tokens,
)
from dawgen.prompts.store import (
    load_label_prompts,
    load_prompt,
    save_label_prompts,
    save_prompt,
)

__all__ = [
    "cycle_tokens",
    "load_label_prompts",
    "load_prompt",
    "random_normal",
    "sample_tokens",
    "save_label_prompts",
    "save_prompt",
]
