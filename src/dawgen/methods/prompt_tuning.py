"""Prompt tuning on the few shots alone (Lester et al. 2021).

As published but for the loss: the cross-entropy over the label words instead of the whole
vocabulary, which is what the method page asks of every system here.
"""

from __future__ import annotations

from dawgen.backbone import Backbone
from dawgen.methods.base import Task
from dawgen.methods.prompted import PromptJob, on_real_rows
from dawgen.settings import Settings
from dawgen.streams import Streams
from dawgen.tasks import Shots


def prepare(
    task: Task, shots: Shots, backbone: Backbone, settings: Settings, streams: Streams
) -> PromptJob:
    """The real rows, the start and the rate that the settings name."""
    return on_real_rows("prompt-tuning", shots, settings.tuning, streams)
