"""A run's prompt inside a GGUF file: a Llama whose vocabulary has the prompt's vectors as tokens.

llama.cpp, and what is built on it, then reads ``<dawgen-0><dawgen-1>...`` before a text.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from gguf import (
    MODEL_ARCH,
    GGUFWriter,
    LlamaFileType,
    TokenType,
    get_tensor_name_map,
)
from tokenizers import AddedToken, Tokenizer

from dawgen.decoding.baking import bake
from dawgen.errors import UserError
from dawgen.synthesis.provenance import model_licence, model_name

if TYPE_CHECKING:
    from torch import Tensor

    from dawgen.backbone import Backbone

FILE = "model.gguf"
_ELSEWHERE = "export to hf, which llama.cpp's own convert_hf_to_gguf.py may read"
_SPLITS = {
    ("ByteLevel",): "gpt-2",
    ("Digits", "ByteLevel"): "smollm",
}
"""Ways to cut a text into words: a tokenizer's parts -> llama.cpp's name for them."""


def write_gguf(folder: Path, backbone: Backbone, prompt: Tensor) -> list[int]:
    """Write ``model.gguf``: weights in fp16, the tokenizer, the chat template as it was.

    Output rows of the prompt's tokens are zero, so that they are not written.

    Args:
        prompt: [P,H].

    Returns:
        The ids of the prompt's tokens.

    Raises:
        UserError: the backbone is no Llama, or its tokenizer is of another kind.
    """
    config = backbone.model.config
    _check(backbone)
    tree, ids = _with_prompt_tokens(backbone, len(prompt))
    file = GGUFWriter(folder / FILE, "llama")
    _add_shape(file, config)
    _add_tokenizer(file, backbone, tree, max(len(backbone.table()), ids[-1] + 1))
    _add_origin(file, backbone)
    for name, values in _tensors(backbone, prompt, ids):
        file.add_tensor(name, values)
    file.write_header_to_file()
    file.write_kv_data_to_file()
    file.write_tensors_to_file()
    file.close()
    return ids


def prompt_names(length: int) -> list[str]:
    """The prompt's tokens as they stand in a text."""
    return [f"<dawgen-{place}>" for place in range(length)]


def _check(backbone: Backbone) -> None:
    config = backbone.model.config
    rope = getattr(config, "rope_parameters", None) or {}
    plain = rope.get("rope_type", "default") == "default"
    if config.model_type != "llama" or not plain or config.hidden_act != "silu":
        kind = config.model_type + ("" if plain else " with scaled positions")
        raise UserError(
            f"{backbone.name} is a model of type {kind}, and only plain Llamas such as smollm2 are "
            f"exported to gguf; {_ELSEWHERE}."
        )


def _with_prompt_tokens(backbone: Backbone, length: int) -> tuple[dict[str, Any], list[int]]:
    """The tokenizer's JSON with the prompt's tokens, and their ids."""
    raw = Tokenizer.from_str(backbone.tokenizer.backend_tokenizer.to_str())
    names = prompt_names(length)
    first = raw.get_vocab_size()
    raw.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in names])
    ids = [int(raw.token_to_id(name) or 0) for name in names]
    if ids != list(range(first, first + length)):
        raise UserError(f"The tokenizer of {backbone.name} already has tokens called {names[0]}.")
    return json.loads(raw.to_str()), ids


# --- metadata ---------------------------------------------------------------------------------


def _add_shape(file: GGUFWriter, config: Any) -> None:
    heads, width = config.num_attention_heads, config.head_dim
    file.add_context_length(config.max_position_embeddings)
    file.add_block_count(config.num_hidden_layers)
    file.add_embedding_length(config.hidden_size)
    file.add_feed_forward_length(config.intermediate_size)
    file.add_head_count(heads)
    file.add_head_count_kv(config.num_key_value_heads)
    file.add_layer_norm_rms_eps(config.rms_norm_eps)
    file.add_rope_dimension_count(width)
    file.add_rope_freq_base(config.rope_parameters["rope_theta"])
    if width * heads != config.hidden_size:
        file.add_key_length(width)
        file.add_value_length(width)
    file.add_file_type(LlamaFileType.MOSTLY_F16)


def _add_tokenizer(file: GGUFWriter, backbone: Backbone, tree: dict[str, Any], size: int) -> None:
    """A tokenizer of bytes and merges, as llama.cpp calls GPT-2's."""
    model = tree["model"]
    splits = _split_name(tree)
    if model["type"] != "BPE" or splits is None or tree["normalizer"] is not None:
        raise UserError(
            f"The tokenizer of {backbone.name} is none that is exported to gguf; {_ELSEWHERE}."
        )
    words = {number: word for word, number in model["vocab"].items()}
    added = {token["id"]: token for token in tree["added_tokens"]}
    tokens = [f"[PAD{number}]" for number in range(size)]
    kinds = [TokenType.UNUSED] * size
    for number, word in words.items():
        tokens[number], kinds[number] = word, TokenType.NORMAL
    for number, token in added.items():
        tokens[number] = token["content"]
        kinds[number] = TokenType.CONTROL if token["special"] else TokenType.USER_DEFINED
    file.add_vocab_size(size)
    file.add_tokenizer_model("gpt2")
    file.add_tokenizer_pre(splits)
    file.add_token_list(tokens)
    file.add_token_types(kinds)
    file.add_token_merges(
        [pair if isinstance(pair, str) else " ".join(pair) for pair in model["merges"]]
    )
    specials = backbone.tokenizer
    if specials.bos_token_id is not None:
        file.add_bos_token_id(specials.bos_token_id)
    file.add_eos_token_id(backbone.end_id)
    if specials.pad_token_id is not None:
        file.add_pad_token_id(specials.pad_token_id)
    # Where a text begins with a mark, that stands behind the prompt and not before it.
    file.add_add_bos_token(False)
    if specials.chat_template:
        file.add_chat_template(specials.chat_template)


def _split_name(tree: dict[str, Any]) -> str | None:
    """llama.cpp's name for how a tokenizer cuts a text into words; None for another way."""
    part = tree["pre_tokenizer"] or {"type": None}
    parts = part["pretokenizers"] if part["type"] == "Sequence" else [part]
    usual = all(
        each.get("individual_digits", True)
        and not each.get("add_prefix_space", False)
        and each.get("use_regex", True)
        for each in parts
    )
    return _SPLITS.get(tuple(each["type"] for each in parts)) if usual else None


def _add_origin(file: GGUFWriter, backbone: Backbone) -> None:
    name = model_name(backbone.name)
    file.add_name(f"{name} with a prompt tuned by dawgen")
    file.add_license(model_licence(backbone.name))
    file.add_base_model_count(1)
    file.add_base_model_name(0, name)


# --- weights ----------------------------------------------------------------------------------


def _tensors(
    backbone: Backbone, prompt: Tensor, ids: Sequence[int]
) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    """Names and values as llama.cpp has them: matrices in fp16, vectors in fp32."""
    model = bake(backbone, prompt[None].to(backbone.device), ids[0])
    config: Any = model.config
    names = get_tensor_name_map(MODEL_ARCH.LLAMA, config.num_hidden_layers)
    output = model.get_output_embeddings().weight.detach().clone()
    output[ids] = 0.0
    weights = model.state_dict() | {"lm_head.weight": output}
    for name, weight in weights.items():
        theirs = names.get_name(name, try_suffixes=(".weight", ".bias"))
        if theirs is None or name.endswith(".bias"):
            raise UserError(
                f"{backbone.name} has weights that a Llama in a GGUF file has no place for, "
                f"{name} for one; {_ELSEWHERE}."
            )
        values = weight.float().cpu().numpy()
        if "q_proj" in name or "k_proj" in name:
            heads = config.num_attention_heads if "q_" in name else config.num_key_value_heads
            values = permuted(values, heads)
        yield theirs, values if values.ndim == 1 else _halved(values, name)


def permuted(weight: npt.NDArray[np.float32], heads: int) -> npt.NDArray[np.float32]:
    """Rows of queries or keys in llama.cpp's order: the two halves of a head's in turn."""
    rows = weight.reshape(heads, 2, weight.shape[0] // heads // 2, -1)
    return rows.swapaxes(1, 2).reshape(weight.shape)


def _halved(values: npt.NDArray[np.float32], name: str) -> npt.NDArray[np.float16]:
    if np.abs(values).max() > np.finfo(np.float16).max:
        raise UserError(f"The weights {name} are too large for fp16; {_ELSEWHERE}.")
    return values.astype(np.float16)
