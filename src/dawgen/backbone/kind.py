"""What the files of a model say before it is loaded: whether it is causal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def is_causal(path: str) -> bool:
    """Whether ``backbone.path`` names a causal model, as far as can be told without the network.

    A model folder, a GGUF file, or a hub model whose configuration is in the cache. Of a hub model
    that was never fetched nothing is known, and the answer is False.
    """
    folder = Path(path).expanduser()
    if folder.suffix == ".gguf" or (folder.is_dir() and any(folder.glob("*.gguf"))):
        return True
    config = folder / "config.json" if folder.is_dir() else cached_file(path, "config.json")
    tree = read_object(config) if config else {}
    names = tree.get("architectures") or []
    return not tree.get("is_encoder_decoder") and any("CausalLM" in str(n) for n in names)


def cached_file(name: str, file: str, revision: str | None = None) -> Path | None:
    """A file of a hub model where the hub's cache has it; nothing is fetched."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(name, file, revision=revision)
    except HFValidationError:  # no name of the hub's
        return None
    return Path(found) if isinstance(found, str) else None


def read_object(path: Path) -> dict[str, Any]:
    """A JSON object; an empty one where there is none, which loading the model reports."""
    try:
        tree = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return tree if isinstance(tree, dict) else {}
