"""Tuning the task's soft prompt on real and synthetic rows, with gradient surgery."""

from __future__ import annotations

from dawgen.tuning.arm import Arm, TunedPrompt, planned_arms
from dawgen.tuning.fit import fit_prompts
from dawgen.tuning.surgery import project

__all__ = ["Arm", "TunedPrompt", "fit_prompts", "planned_arms", "project"]
