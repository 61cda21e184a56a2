"""Finding a backbone on the hub, on disk or in the package, and checking that it will do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from dawgen.backbone.cache import read_provenance
from dawgen.backbone.fingerprint import fingerprint_of, model_files
from dawgen.backbone.gguf import (
    Header,
    check_gguf,
    find_gguf,
    load_gguf,
    load_gguf_tokenizer,
)
from dawgen.backbone.memory import is_out_of_memory
from dawgen.backbone.model import Backbone
from dawgen.backbone.place import model_device, model_place
from dawgen.backbone.quiet import quiet
from dawgen.backbone.recompute import recompute
from dawgen.errors import UserError, first_line
from dawgen.settings import BackboneSettings, Settings
from dawgen.terminal.progress import say

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def load_backbone(settings: BackboneSettings | str | Path) -> Backbone:
    """The frozen model that the settings name, or that a folder or a hub name does.

    Weights are read from safetensors or dequantised from GGUF. fp16 is not offered: T5 overflows
    in it. A backbone of dawgen's own list is fetched first where it is not in the cache.

    Raises:
        UserError: no such model, no tokenizer beside it, no safetensors weights, a GGUF file of
            an unknown architecture or quantisation, a head whose logits are computed in a way
            dawgen does not know, or layers that cannot be computed again though that was asked
            for.
    """
    if isinstance(settings, str | Path):
        settings = BackboneSettings(path=str(settings))
    place = model_place(settings.path)
    device = model_device(settings.device)
    if Path(place).is_dir():
        model_files(Path(place))  # refuses what leads out of it before anything is loaded
    common: dict[str, Any] = {
        "revision": settings.revision,
        "trust_remote_code": settings.trust_remote_code,
    }
    gguf = find_gguf(Path(place))
    header = check_gguf(gguf) if gguf else None
    if header:
        say(f"dequantising {header.path.name} ({header.quantization})")
    tokenizer = _tokenizer(place, settings.path, common, header)
    try:
        with quiet():
            model, found = _model(place, settings, common, header)
    except Exception as error:  # a foreign folder can make any of transformers' lines fail
        _refuse_pickle(place, settings.path)
        if "mismatched_sizes" in str(error):
            raise UserError(
                f"The model {settings.path!r} has weights of other sizes than its config.json "
                "says; its files are not of one model."
            ) from None
        if "trust_remote_code" in str(error):
            raise UserError(
                f"The model {settings.path!r} comes with code of its own, which is not run; if you "
                "have read that code, say -s backbone.trust_remote_code=true."
            ) from None
        raise UserError(
            f"The model {settings.path!r} cannot be loaded: {first_line(error)}. "
            "Name a folder or a hub model with a config and safetensors weights "
            "of a sequence-to-sequence or causal language model."
        ) from None
    _check_weights(model, found, tokenizer, settings.path)
    torch.nn.Module.to(model, device)
    fingerprint = fingerprint_of(place, model, settings)
    backbone = Backbone(
        model,
        tokenizer,
        name=settings.path,
        fingerprint=fingerprint,
        max_length=settings.max_length,
    )
    backbone.quantization = (
        header.quantization if header else read_provenance(Path(place)).get("quantization")
    )
    check_head(backbone)
    if settings.checkpointing:
        recompute(model, settings.path)
    return backbone


def load_writer(settings: Settings, backbone: Backbone) -> Backbone | None:
    """The language model that writes rows where it is not ``backbone``, which is loaded already.

    Raises:
        UserError: as :func:`load_backbone`.
    """
    return None if settings.writer == settings.backbone else load_backbone(settings.writer)


def _model(
    place: str, settings: BackboneSettings, common: dict[str, Any], header: Header | None
) -> tuple[PreTrainedModel, dict[str, Any]]:
    """The model, and what transformers says of missing and foreign weights."""
    dtype = _DTYPES[settings.dtype]
    if header:
        return load_gguf(header.path, dtype)
    config = AutoConfig.from_pretrained(place, **common)
    kind = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
    loaded: Any = kind.from_pretrained(
        place, dtype=dtype, use_safetensors=True, output_loading_info=True, **common
    )
    model, found = loaded
    return model, found


def _refuse_pickle(place: str, name: str) -> None:
    """Say plainly that weights are there, but in a format that can run code when it is read."""
    folder = Path(place)
    if not folder.is_dir() or any(folder.glob("*.safetensors")):
        return
    pickled = sorted(
        p.name for end in ("bin", "pt", "pth", "ckpt") for p in folder.glob(f"*.{end}")
    )
    if pickled:
        raise UserError(
            f"The model folder {name} has pickled weights only ({pickled[0]}), which can run code "
            "when they are read and are refused; save the model with safe_serialization=True."
        ) from None


def _check_weights(
    model: PreTrainedModel,
    found: dict[str, Any],
    tokenizer: PreTrainedTokenizerBase,
    name: str,
) -> None:
    """See that all weights were there, are numbers, and suit the tokenizer.

    Raises:
        UserError: they are not; scores would be wrong or the first row would fail.
    """
    missing = sorted(map(str, [*found["missing_keys"], *found["mismatched_keys"]]))
    if missing:
        raise UserError(
            f"The model {name!r} lacks weights that its config speaks of, {missing[0]} for one; "
            "its files are not whole, or are another model's."
        )
    for key, weight in model.state_dict().items():
        if weight.is_floating_point() and not bool(weight.isfinite().all()):
            raise UserError(
                f"The model {name!r} has weights that are not numbers (NaN or infinite), in {key}; "
                "get its files again."
            )
    table: Any = model.get_input_embeddings().weight
    rows = len(table)
    largest = max(tokenizer.get_vocab().values(), default=0)
    if largest >= rows:
        raise UserError(
            f"The tokenizer of {name!r} has {largest + 1} tokens, but the model embeds {rows}; "
            "they are not of one model."
        )


def _tokenizer(
    place: str, name: str, common: dict[str, Any], header: Header | None
) -> PreTrainedTokenizerBase:
    folder = Path(place)
    if (
        folder.is_dir()
        and not header
        and not any(
            (folder / file).exists()
            for file in ("tokenizer.json", "tokenizer_config.json", "spiece.model", "vocab.json")
        )
    ):
        raise UserError(
            f"The model folder {name} has no tokenizer; save one into it with "
            "tokenizer.save_pretrained()."
        )
    try:
        with quiet():
            tokenizer: PreTrainedTokenizerBase = (
                load_gguf_tokenizer(header)
                if header
                else AutoTokenizer.from_pretrained(place, **common)
            )
    except Exception as error:  # as above
        raise UserError(
            f"The tokenizer of {name!r} cannot be loaded: {first_line(error)}. "
            "Check backbone.path, and that the hub can be reached if it is a hub name."
        ) from None
    if not tokenizer.is_fast:
        raise UserError(f"The tokenizer of {name!r} is a slow one; save its fast form beside it.")
    return tokenizer


@torch.no_grad()
def check_head(backbone: Backbone) -> None:
    """Compare our logits with the model's own: of a short text, and with its start as a prompt.

    Raises:
        UserError: they differ, so scores would be wrong without anyone noticing; or the model
            cannot be run with prompts at all.
    """
    try:
        theirs, ours = _logits(backbone)
    except Exception as error:  # a foreign model can fail in any of its lines
        if isinstance(error, UserError) or is_out_of_memory(error):
            raise
        raise UserError(
            f"The model {backbone.name!r} cannot be run behind prompts ({type(error).__name__}: "
            f"{first_line(error)[:200]}); take another backbone."
        ) from None
    tolerance = 1e-3 if backbone.dtype == torch.float32 else 5e-2
    scale = theirs.float().abs().max().clamp(min=1.0)
    for found in ours:
        if not bool((found - theirs.float()).abs().max() <= tolerance * scale):  # NaN is no good
            raise UserError(
                f"The model {backbone.name!r} computes its logits in a way dawgen does not know, "
                "so its scores cannot be trusted; take another backbone."
            )


def _logits(backbone: Backbone) -> tuple[Tensor, list[Tensor]]:
    """The model's own logits [1,V] behind a text, and ours: without a prompt, with one."""
    device, ids = backbone.device, backbone.ordinary_token_ids()[:4]
    tokens = torch.tensor([ids], device=device)
    if backbone.is_encoder_decoder:
        start = torch.tensor([backbone.decoder_start], device=device)
        theirs = backbone.model(input_ids=tokens, decoder_input_ids=start).logits[:, -1]
    else:
        theirs = backbone.model(input_ids=tokens).logits[:, -1]
    begin = backbone.embed(tokens[:, :2])
    hidden = [backbone.label_hidden(None, [ids]), backbone.label_hidden(begin, [ids[2:]])]
    no_word = begin.mean(dim=1, keepdim=True)  # as tuned vectors are none that could be looked up
    backbone.label_hidden(no_word, [ids])
    return theirs, [backbone.head.logits(each) for each in hidden]
