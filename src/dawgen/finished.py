"""What a finished run folder keeps for use: its card, its settings and its prompt."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from dawgen.backbone import Backbone
from dawgen.errors import UserError
from dawgen.layers import build_settings
from dawgen.locking import refuse_links
from dawgen.progress import warn
from dawgen.prompts import load_prompt
from dawgen.seals import check_seal, read_seal
from dawgen.settings import Settings
from dawgen.tasks import TaskCard, load_card


def open_run(folder: str | Path, overrides: Sequence[str] = ()) -> tuple[TaskCard, Settings]:
    """The card and the settings that a run folder keeps.

    Args:
        overrides: settings of this machine, such as ``backbone.device=cpu``.

    Raises:
        UserError: no finished run, or a setting that has made the run and cannot be changed.
    """
    path = Path(folder)
    for text in overrides:
        if not text.strip().startswith(("backbone.", "evaluation.")):
            raise UserError(
                f"-s {text}: of a finished run only backbone.* and evaluation.* can be set, such "
                "as backbone.device=cpu."
            )
    for name in ("task.yaml", "config.yaml", "prompt"):
        if not (path / name).exists():
            raise UserError(
                f"{path} is no finished run folder: it has no {name}; make one with `dawgen run`."
            )
    refuse_links(*(path / name for name in ("task.yaml", "config.yaml", "prompt")))
    check_seal(path / "prompt")
    settings, _ = build_settings(file=path / "config.yaml", overrides=overrides)
    return load_card(str(path / "task.yaml")), settings


def load_run_prompt(folder: str | Path, backbone: Backbone) -> Tensor:
    """The tuned prompt [P,H] of a run; warns where the backbone is not what it was tuned on."""
    place = Path(folder) / "prompt"
    prompt = load_prompt(place, backbone)
    seal = read_seal(place)
    tuned_on = seal.inputs.get("backbone") if seal else None
    if tuned_on not in (None, backbone.fingerprint):
        warn(
            f"the backbone {backbone.name} is not as it was when the prompt in {place} was tuned "
            "(its files, backbone.dtype or backbone.max_length), so labels may differ; tune anew, "
            "or name the old one with -s backbone.path."
        )
    return prompt
