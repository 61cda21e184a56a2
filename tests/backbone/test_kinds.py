"""Kinds of models: small random ones are scored and written as they say themselves, or refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from dawgen.backbone import load_backbone
from dawgen.decoding import Decoding, TransformersEngine
from dawgen.errors import UserError
from dawgen.settings import BackboneSettings
from tests.conftest import word_tokenizer

T5 = {"d_model": 32, "d_kv": 16, "d_ff": 64, "num_layers": 2, "num_heads": 2}
BART = {
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64,
}
LLAMA = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "head_dim": 16,
}
GPT = {"n_embd": 32, "n_layer": 2, "n_head": 2}

WORKS: dict[str, dict[str, Any]] = {
    "T5": T5,
    "MT5": T5,
    "UMT5": T5,
    "LongT5": T5,
    "Bart": BART,
    "MBart": BART,
    "M2M100": BART,
    "GPT2": GPT,
    "GPTNeo": {
        "hidden_size": 32,
        "num_layers": 2,
        "num_heads": 2,
        "attention_types": [[["global", "local"], 1]],
        "window_size": 8,
    },
    "GPTNeoX": LLAMA,
    "OPT": {"hidden_size": 32, "ffn_dim": 64, "num_hidden_layers": 2, "num_attention_heads": 2},
    "Llama": LLAMA,
    "Mistral": LLAMA | {"sliding_window": 8},
    "Qwen3": LLAMA,
    "Gemma2": LLAMA | {"sliding_window": 8},
    "Phi": LLAMA,
}
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "Pegasus": (BART | {"scale_embedding": True}, "a way dawgen does not know"),
    "Marian": (BART | {"scale_embedding": True}, "a way dawgen does not know"),
    "Mamba": ({"hidden_size": 32, "num_hidden_layers": 2}, "keeps what it has read"),
    "Rwkv": (
        {"hidden_size": 32, "num_hidden_layers": 2, "attention_hidden_size": 32},
        "keeps what it has read",
    ),
}


def write_model(folder: Path, kind: str, sizes: dict[str, Any]) -> None:
    """A random model of the kind, its weights large enough for texts to differ."""
    tokenizer = word_tokenizer()
    ids = {
        "pad_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "bos_token_id": tokenizer.bos_token_id,
    }
    config = getattr(transformers, f"{kind}Config")(vocab_size=len(tokenizer), **sizes, **ids)
    if config.is_encoder_decoder:
        begins = tokenizer.pad_token_id if hasattr(config, "d_kv") else tokenizer.eos_token_id
        config.decoder_start_token_id = begins  # T5's; that of BART and its kin
        make: Any = transformers.AutoModelForSeq2SeqLM
    else:
        make = transformers.AutoModelForCausalLM
    torch.manual_seed(0)
    model = make.from_config(config)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim > 1:
                weight.normal_(std=0.2)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


@pytest.mark.parametrize("kind", WORKS)
def test_a_kind_that_works(kind: str, tmp_path: Path) -> None:
    """Both checks hold; and a row's scores do not depend on what it is read with."""
    write_model(tmp_path, kind, WORKS[kind])
    for dtype in ("fp32", "bf16"):
        backbone = load_backbone(BackboneSettings(path=str(tmp_path), dtype=dtype))
        stream = torch.Generator().manual_seed(0)
        prompts = torch.randn(2, 4, backbone.hidden_size, generator=stream) * 0.2
        TransformersEngine(backbone, prompts, Decoding())
        rows = [backbone.text_ids("a man"), backbone.text_ids("two people on the street")]
        together = backbone.label_hidden(prompts, rows)
        alone = [backbone.label_hidden(prompts[i : i + 1], rows[i : i + 1]) for i in (0, 1)]
        tolerance = 1e-4 if dtype == "fp32" else 0.1
        torch.testing.assert_close(together, torch.cat(alone), atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("kind", REFUSED)
def test_a_kind_that_is_refused(kind: str, tmp_path: Path) -> None:
    sizes, sentence = REFUSED[kind]
    write_model(tmp_path, kind, sizes)

    def use() -> None:
        backbone = load_backbone(BackboneSettings(path=str(tmp_path)))
        TransformersEngine(backbone, torch.randn(2, 4, backbone.hidden_size), Decoding())

    with pytest.raises(UserError, match=sentence):
        use()
