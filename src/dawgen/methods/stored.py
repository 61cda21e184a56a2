"""Prompts that are trained once and then start many others: kept by the fingerprint of all
that they come from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

import dawgen
from dawgen.backbone import Backbone
from dawgen.prompts import load_prompt, save_prompt
from dawgen.storage.folder import RunFolder, fingerprint, write_log
from dawgen.storage.locking import turn

Trained = tuple[Tensor, Sequence[Mapping[str, Any]]]
"""A prompt [P,H] and the records of its training."""


def stored_prompt(
    folder: Path, inputs: Mapping[str, Any], backbone: Backbone, train: Callable[[], Trained]
) -> Tensor:
    """The prompt [P,H] of these inputs, trained only where it is not there yet.

    It is in a folder named by their fingerprint, as a PEFT adapter with ``log.jsonl`` beside it,
    whole or not at all, and is always read back from there.

    Args:
        folder: the method's own.
        inputs: plain values: all that the prompt depends on, nothing that only changes speed.
        backbone: the model it is for.
        train: makes it.
    """
    inputs = {"dawgen": dawgen.__version__, **inputs}
    name = fingerprint(inputs)[:16]

    def build(partial: Path) -> None:
        prompt, log = train()
        save_prompt(prompt, partial / name, backbone)
        write_log(partial / name / "log.jsonl", log)

    with turn(folder):
        RunFolder(folder).stage(name, inputs, [name], build)
    return load_prompt(folder / name, backbone)
