"""Where a backbone is, and where it is to run."""

from __future__ import annotations

from pathlib import Path

import torch

from dawgen.backbone.fetch import get_backbone
from dawgen.backbone.registry import known_backbone
from dawgen.errors import UserError


def model_place(path: str) -> str:
    """The folder or the GGUF file that ``backbone.path`` means; a hub name as it is.

    A backbone of dawgen's own list is fetched where it is not in the cache.

    Raises:
        UserError: nothing is there, or what is there cannot be a backbone.
    """
    known = known_backbone(path)
    if known and known.sentence_encoder:
        raise UserError(
            f"{known.name} makes sentence embeddings and is not a language model, so it cannot be "
            "a backbone; `dawgen backbones list` shows those that can."
        )
    if known:
        return str(get_backbone(known))
    place = Path(path).expanduser()
    is_gguf = path.lower().endswith(".gguf")
    if place.is_dir() or (is_gguf and place.is_file()):
        return str(place)
    if is_gguf or path.startswith((".", "/", "~")):
        what = "file" if is_gguf else "folder"
        raise UserError(f"There is no model {what} {path}; check its path.")
    return path


def model_device(name: str) -> torch.device:
    """The device of a setting.

    Raises:
        UserError: it is not here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError):
        raise UserError(
            f"There is no device {name!r} here; set backbone.device to auto, cpu or cuda."
        ) from None
    return device
