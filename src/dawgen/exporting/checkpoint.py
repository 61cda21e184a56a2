"""A tuned prompt baked into a checkpoint that any user of transformers runs as it is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokenizers import AddedToken, Tokenizer
from transformers import PreTrainedTokenizerFast

from dawgen.decoding.baking import bake
from dawgen.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from dawgen.backbone import Backbone

_SPECIALS = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token")


def write_checkpoint(folder: Path, backbone: Backbone, prompt: Tensor) -> list[int]:
    """Write model and tokenizer; ``tokenizer(text)`` puts the prompt's tokens before the text.

    The prompt's tokens are never generated: ``generation_config.json`` suppresses them.

    Args:
        prompt: [P,H].

    Returns:
        The ids of the prompt's tokens.
    """
    tokenizer = backbone.tokenizer
    raw = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    names = [f"<prompt_{place}>" for place in range(len(prompt))]
    raw.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in names])
    ids = [int(raw.token_to_id(name) or 0) for name in names]
    first = ids[0] if ids else None  # zero-shot has no prompt
    if ids != list(range(first or 0, (first or 0) + len(ids))):
        raise UserError(f"The tokenizer of {backbone.name} already has tokens called {names[0]}.")
    tree = json.loads(raw.to_str())
    tree["post_processor"] = with_prefix(tree["post_processor"], names, ids)
    # The general class: a model's own may build its post-processor anew when it is loaded.
    specials = {name: getattr(tokenizer, name, None) for name in _SPECIALS}
    PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(tree)),
        model_max_length=backbone.max_length,
        **{name: str(token) for name, token in specials.items() if token is not None},
    ).save_pretrained(folder)
    model = bake(backbone, prompt[None].to(backbone.device), first)
    if ids and model.generation_config is not None:
        model.generation_config.suppress_tokens = ids
    model.save_pretrained(folder)
    return ids


def with_prefix(
    processor: dict[str, Any] | None, names: list[str], ids: list[int]
) -> dict[str, Any]:
    """A tokenizer's post-processor that puts tokens before what the given one makes."""
    kind = processor["type"] if processor else None
    if kind == "Sequence":
        assert processor is not None
        parts = list(processor["processors"])
        if any(part["type"] != "ByteLevel" for part in parts[:-1]):
            raise UserError("This tokenizer's post-processor is none that a prompt can go before.")
        if parts and parts[-1]["type"] != "ByteLevel":
            return processor | {"processors": [*parts[:-1], with_prefix(parts[-1], names, ids)]}
        return processor | {"processors": [*parts, _template(names, ids)]}
    if kind == "ByteLevel":
        return {"type": "Sequence", "processors": [processor, _template(names, ids)]}
    if processor is None:
        return _template(names, ids)
    if kind in ("BertProcessing", "RobertaProcessing"):
        (sep, sep_id), (cls, cls_id) = processor["sep"], processor["cls"]
        return _template(names, ids, before=[(cls, cls_id)], after=[(sep, sep_id)])
    if kind == "TemplateProcessing":
        lead = _template(names, ids)
        return processor | {
            "single": [*lead["single"][: len(names)], *processor["single"]],
            "special_tokens": processor["special_tokens"] | lead["special_tokens"],
        }
    raise UserError(f"This tokenizer's post-processor, {kind}, is none a prompt can go before.")


def _template(
    names: Sequence[str],
    ids: Sequence[int],
    before: Sequence[tuple[str, int]] = (),
    after: Sequence[tuple[str, int]] = (),
) -> dict[str, Any]:
    lead = [*zip(names, ids, strict=True), *before]

    def special(tokens: Sequence[tuple[str, int]]) -> list[dict[str, Any]]:
        return [{"SpecialToken": {"id": name, "type_id": 0}} for name, _ in tokens]

    first, second = ({"Sequence": {"id": name, "type_id": n}} for n, name in enumerate("AB"))
    return {
        "type": "TemplateProcessing",
        "single": [*special(lead), first, *special(after)],
        "pair": [first, second],
        "special_tokens": {
            name: {"id": name, "ids": [place], "tokens": [name]} for name, place in [*lead, *after]
        },
    }
