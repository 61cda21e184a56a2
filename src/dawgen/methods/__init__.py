"""The methods of the paper's tables, three more and oracles, all with one signature.

``METHODS`` maps a name to ``(task, shots, backbone, settings, streams) -> Prediction``. Those in
``PREPARED`` only tune a prompt, so a grid can train many of them as one stack.
"""

from __future__ import annotations

from dawgen.methods import (
    fine_tuning,
    in_context,
    optima,
    ppt,
    prompt_tuning,
    shipped,
    spot,
    synthetic,
    tfidf,
    true_rows,
    zero_shot,
)
from dawgen.methods.base import Method, Prediction, Source, Task
from dawgen.methods.prompted import Prepare, PromptJob, alone, label, tune

PREPARED: dict[str, Prepare] = {
    "prompt-tuning": prompt_tuning.prepare,
    "ppt": ppt.prepare,
    "spot": spot.prepare,
    **synthetic.PREPARED,
    **true_rows.PREPARED,
}

METHODS: dict[str, Method] = {
    "zero-shot": zero_shot.zero_shot,
    "in-context": in_context.in_context,
    "fine-tuning": fine_tuning.fine_tuning,
    "prompt-fine-tuning": fine_tuning.prompt_fine_tuning,
    "soft-prompt-fine-tuning": fine_tuning.soft_prompt_fine_tuning,
    "optima": optima.optima,
    "tfidf": tfidf.tfidf,
    "dawgen-shipped": shipped.shipped,
    **{name: alone(prepare) for name, prepare in PREPARED.items()},
}

__all__ = [
    "METHODS",
    "PREPARED",
    "Method",
    "Prediction",
    "Prepare",
    "PromptJob",
    "Source",
    "Task",
    "alone",
    "label",
    "tune",
]
