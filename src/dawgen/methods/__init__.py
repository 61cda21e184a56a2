"""Every system of the paper's tables, and two more, behind one signature.

``METHODS`` maps a name to ``(task, shots, backbone, settings, streams) -> Prediction``; those in
``PREPARED`` tune a prompt and nothing else, so a grid can train many of them as one stack.
"""

from __future__ import annotations

from dawgen.methods import prompt_tuning
from dawgen.methods.base import Method, Prediction, Source, Task
from dawgen.methods.prompted import Prepare, PromptJob, alone, label, tune

PREPARED: dict[str, Prepare] = {
    "prompt-tuning": prompt_tuning.prepare,
}

METHODS: dict[str, Method] = {name: alone(prepare) for name, prepare in PREPARED.items()}

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
