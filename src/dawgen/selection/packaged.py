"""The encoder half of the embedded backbone as a sentence encoder, which needs no download.

It began as MiniLM, a sentence encoder, and has since learnt to serve a decoder. Changes that
``tools.sentence_encoder`` made bring it back: with them its vectors are taught by MPNet's. A BART
encoder is a BERT under other names, as which it can be tuned and exported as any other.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from dawgen.selection.adapter import read_adapter

_FOLDER = Path(__file__).parent / "sentence_encoders"
CHANGES, CHANGES_FOR_PAIRS = _FOLDER / "tiny.safetensors", _FOLDER / "tiny-pairs.safetensors"
"""For single texts, with a lesson on opinions, and for pairs, which lose by it (docs/log.md)."""
MAX_LENGTH = 256
"""Tokens of a text."""
_NAMES = {
    "self_attn.q_proj": "attention.self.query",
    "self_attn.k_proj": "attention.self.key",
    "self_attn.v_proj": "attention.self.value",
    "self_attn.out_proj": "attention.output.dense",
    "self_attn_layer_norm": "attention.output.LayerNorm",
    "fc1": "intermediate.dense",
    "fc2": "output.dense",
    "final_layer_norm": "output.LayerNorm",
}
_BEFORE = 2
"""Rows of BART's table of positions in front of the first."""


def packaged_encoder(place: Path, changes: Path | None = CHANGES) -> Any:
    """The encoder of a BART model in a folder, as a BERT in fp32 that gives the same states.

    Args:
        changes: of its weights, in a file; None leaves them as they are.
    """
    from transformers import AutoModelForSeq2SeqLM, BertConfig, BertModel

    bart = AutoModelForSeq2SeqLM.from_pretrained(
        place, use_safetensors=True, dtype=torch.float32
    ).get_encoder()
    config, weights = bart.config, bart.state_dict()
    bert = BertModel(
        BertConfig(
            vocab_size=config.vocab_size,
            hidden_size=config.d_model,
            num_hidden_layers=config.encoder_layers,
            num_attention_heads=config.encoder_attention_heads,
            intermediate_size=config.encoder_ffn_dim,
            hidden_act=config.activation_function,
            max_position_embeddings=config.max_position_embeddings,
            type_vocab_size=1,
            layer_norm_eps=bart.layernorm_embedding.eps,
            pad_token_id=config.pad_token_id,
        ),
        add_pooling_layer=False,
    )
    found = {
        "embeddings.word_embeddings.weight": weights["embed_tokens.weight"],
        "embeddings.position_embeddings.weight": weights["embed_positions.weight"][_BEFORE:],
        "embeddings.token_type_embeddings.weight": torch.zeros(1, config.d_model),
    }
    for part in ("weight", "bias"):
        found[f"embeddings.LayerNorm.{part}"] = weights[f"layernorm_embedding.{part}"]
        found |= {
            f"encoder.layer.{layer}.{ours}.{part}": weights[f"layers.{layer}.{theirs}.{part}"]
            for layer in range(config.encoder_layers)
            for theirs, ours in _NAMES.items()
        }
    bert.load_state_dict(found)
    if changes is not None:
        read_adapter(changes).add_to(bert)
    return bert
