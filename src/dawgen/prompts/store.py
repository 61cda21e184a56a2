"""Soft prompts on disk: each one a PEFT prompt-tuning adapter of a few kB.

A folder holds ``adapter_config.json`` and ``adapter_model.safetensors``, so that
``peft.PeftModel.from_pretrained(model, folder)`` serves a tuned prompt without dawgen.
Equal prompts give equal bytes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from dawgen.errors import UserError
from dawgen.storage.atomic import write_bytes
from dawgen.storage.reading import read_json
from dawgen.terminal.progress import warn

if TYPE_CHECKING:
    from dawgen.backbone import Backbone

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
TENSOR = "prompt_embeddings"


def save_prompt(
    prompt: Tensor, folder: Path, backbone: Backbone, *, name_base: bool = True
) -> None:
    """Write one prompt [P, H] as a PEFT adapter; other files of the folder are left alone.

    The configuration is written last: a run killed in between leaves no adapter rather
    than half of one.

    Args:
        name_base: write the backbone's name into the configuration. Of a folder that is its path,
            which is private.

    Raises:
        ValueError: the prompt is not [P, H] with the backbone's H.
    """
    if prompt.dim() != 2 or prompt.shape[1] != backbone.hidden_size:
        raise ValueError(
            f"a prompt for {backbone.name} is [P, {backbone.hidden_size}], "
            f"this one is {list(prompt.shape)}"
        )
    weights = prompt.detach().to("cpu", torch.float32).contiguous()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG).unlink(missing_ok=True)
    write_bytes(
        folder / WEIGHTS, safetensors.torch.save({TENSOR: weights}, metadata={"format": "pt"})
    )
    config = json.dumps(_config(weights, backbone, name_base), indent=2, sort_keys=True) + "\n"
    write_bytes(folder / CONFIG, config.encode())


def load_prompt(folder: Path, backbone: Backbone | None = None) -> Tensor:
    """Read a PEFT prompt-tuning adapter, dawgen's own or another program's.

    An encoder-decoder adapter with two sub-modules (PEFT's default) stores 2·P vectors, of
    which PEFT itself only reads the first P, on the encoder side; so do we.

    Args:
        folder: holds ``adapter_config.json`` and ``adapter_model.safetensors``.
        backbone: the model the prompt is to steer. Another width is refused then, and
            another model's name warned of.

    Returns:
        The prompt [P, H] in fp32, on the CPU.

    Raises:
        UserError: nothing there, not a prompt-tuning adapter, or another model's width.
    """
    config = _read_config(folder)
    weights = _read_weights(folder)
    length = config.get("num_virtual_tokens")
    if weights.dim() != 2 or not isinstance(length, int) or not 0 < length <= weights.shape[0]:
        raise UserError(
            f"{folder / WEIGHTS} holds {list(weights.shape)} numbers where {folder / CONFIG} "
            f"speaks of {length} prompt tokens: the two files are not from one adapter."
        )
    if not bool(weights.isfinite().all()):
        raise UserError(f"{folder / WEIGHTS} holds numbers that are not finite; tune it again.")
    if backbone is not None:
        _check_backbone(folder, config, weights.shape[1], backbone)
    return weights[:length].to(torch.float32)


def save_label_prompts(
    prompts: Tensor, labels: Sequence[str], folder: Path, backbone: Backbone
) -> None:
    """Write prompts [C, P, H], one adapter per label, each in ``folder/<label>``."""
    if len(prompts) != len(labels):
        raise ValueError(f"{len(prompts)} prompts for {len(labels)} labels")
    for prompt, label in zip(prompts, labels, strict=True):
        save_prompt(prompt, folder / label_folder(label), backbone)


def load_label_prompts(
    folder: Path, labels: Sequence[str], backbone: Backbone | None = None
) -> Tensor:
    """Read one adapter per label and stack them in the order of ``labels``: [C, P, H].

    Raises:
        UserError: as ``load_prompt``, or the labels' prompts differ in length.
    """
    prompts = [load_prompt(folder / label_folder(label), backbone) for label in labels]
    if len({prompt.shape for prompt in prompts}) > 1:
        sizes = ", ".join(f"{la}: {list(p.shape)}" for la, p in zip(labels, prompts, strict=True))
        raise UserError(f"The label prompts in {folder} differ in size ({sizes}); tune them again.")
    return torch.stack(prompts)


def label_folder(label: str) -> str:
    """The label as a folder name: unsafe characters are percent-encoded."""
    name = quote(label, safe=" ")
    return name.replace(".", "%2E") if set(name) <= {"."} else name


def _check_backbone(folder: Path, config: dict[str, Any], width: int, backbone: Backbone) -> None:
    """Refuse a prompt of another width; warn of one tuned on a model of another name."""
    base = str(config.get("base_model_name_or_path") or backbone.name)
    if width != backbone.hidden_size:
        raise UserError(
            f"The prompt in {folder} has hidden size {width} (made for {base}), but the backbone "
            f"has {backbone.hidden_size}: use the backbone it was tuned on."
        )
    if Path(base).name != Path(backbone.name).name:
        warn(
            f"the prompt in {folder} was tuned on {base}, the backbone is {backbone.name}; a "
            f"prompt means nothing to another model."
        )


def _config(weights: Tensor, backbone: Backbone, name_base: bool) -> dict[str, Any]:
    from peft import PromptTuningConfig, TaskType  # slow to import, rarely needed

    config = PromptTuningConfig(
        task_type=TaskType.SEQ_2_SEQ_LM if backbone.is_encoder_decoder else TaskType.CAUSAL_LM,
        base_model_name_or_path=backbone.name if name_base else None,
        inference_mode=True,
        num_virtual_tokens=weights.shape[0],
        token_dim=weights.shape[1],
        num_transformer_submodules=1,
        # of no meaning to prompts, but asked for where a model calls them something else
        num_layers=getattr(backbone.config, "num_hidden_layers", None) or 1,
        num_attention_heads=getattr(backbone.config, "num_attention_heads", None) or 1,
    )
    return config.to_dict()


def _read_config(folder: Path) -> dict[str, Any]:
    if not folder.is_dir():
        raise UserError(f"There is no prompt at {folder}: no such folder.")
    if not (folder / CONFIG).is_file():
        raise UserError(
            f"{folder} is not a PEFT adapter: it has no {CONFIG} (it holds {_contents(folder)}); "
            f"give the folder that 'dawgen tune' or PEFT wrote."
        )
    config: dict[str, Any] = read_json(folder / CONFIG)
    kind = config.get("peft_type")
    if kind != "PROMPT_TUNING":
        raise UserError(
            f"{folder} is a PEFT adapter of type {kind}, but a PROMPT_TUNING one is needed."
        )
    return config


def _read_weights(folder: Path) -> Tensor:
    path = folder / WEIGHTS
    if not path.is_file():
        raise UserError(
            f"{folder} has no {WEIGHTS} (it holds {_contents(folder)}); "
            f"pickled weights are not read, save the adapter as safetensors."
        )
    try:
        tensors = safetensors.torch.load_file(path)
    except safetensors.SafetensorError as error:
        raise UserError(f"{path} cannot be read as safetensors: {error}.") from error
    if TENSOR not in tensors:
        raise UserError(f"{path} holds {', '.join(sorted(tensors)) or 'nothing'}, not {TENSOR}.")
    return tensors[TENSOR]


def _contents(folder: Path) -> str:
    return ", ".join(sorted(path.name for path in folder.iterdir())[:8]) or "nothing"
