"""Models to measure on: the shipped backbone, and random ones of named shapes."""

from __future__ import annotations

import torch
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    T5Config,
    T5ForConditionalGeneration,
)

from dawgen.backbone import Backbone, load_backbone
from dawgen.settings import BackboneSettings

SHAPES = {
    "shipped": "dawgen/tiny, 6 + 3 layers, 384 wide, BART-shaped, trained",
    "gpt2-small": "GPT-2-shaped, 6 layers, 384 wide, random",
    "gpt2-large": "GPT-2-shaped, 36 layers, 1,280 wide, vocabulary 50,257, random",
    "smollm2": "SmolLM2-135M-shaped, 30 layers, 576 wide, vocabulary 49,152, bf16, random",
    "t5-small": "T5 1.1-shaped, 6 + 6 layers, 512 wide, vocabulary 32,128, random",
    "t5-large": "T5 1.1-shaped, 24 + 24 layers, 1,024 wide, vocabulary 32,128, random",
}


def load(name: str, device: str, seed: int) -> Backbone:
    """The model of that name; the random ones read and write with the shipped tokenizer."""
    shipped = load_backbone(BackboneSettings(device=device))
    if name == "shipped":
        return shipped
    torch.manual_seed(seed)
    end = shipped.end_id
    if name.startswith("t5"):
        model = _t5(end, small=name == "t5-small")
    elif name == "smollm2":
        model = _llama(end)
    else:
        small = name == "gpt2-small"
        model = _gpt2(len(shipped.tokenizer) if small else 50_257, 6 if small else 36, end)
    half = name.endswith("large") or name == "smollm2"
    torch.nn.Module.to(model, device, torch.bfloat16 if half else torch.float32)
    return Backbone(model, shipped.tokenizer, name=name, fingerprint=f"random {seed}")


def _gpt2(vocabulary: int, layers: int, end: int) -> PreTrainedModel:
    width, heads = (384, 6) if layers == 6 else (1280, 20)
    config = GPT2Config(
        vocab_size=vocabulary,
        n_embd=width,
        n_layer=layers,
        n_head=heads,
        n_positions=512,
        bos_token_id=end,
        eos_token_id=end,
    )
    return GPT2LMHeadModel(config)


def _llama(end: int) -> PreTrainedModel:
    config = LlamaConfig(
        vocab_size=49_152,
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=30,
        num_attention_heads=9,
        num_key_value_heads=3,
        tie_word_embeddings=True,
        bos_token_id=end,
        eos_token_id=end,
    )
    return LlamaForCausalLM(config)


def _t5(end: int, small: bool) -> PreTrainedModel:
    config = T5Config(  # type: ignore[call-arg]
        vocab_size=32_128,
        d_model=512 if small else 1024,
        d_kv=64,
        d_ff=1024 if small else 2816,
        num_layers=6 if small else 24,
        num_heads=8 if small else 16,
        feed_forward_proj="gated-gelu",
        tie_word_embeddings=False,
        pad_token_id=0,
        eos_token_id=end,
        decoder_start_token_id=0,
    )
    return T5ForConditionalGeneration(config)
