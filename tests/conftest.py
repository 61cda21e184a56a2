"""Small random models of the three shapes dawgen supports, and the development data."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import (
    AddedToken,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
)
from transformers import (
    AutoModelForCausalLM,
    BartConfig,
    BartForConditionalGeneration,
    Gemma3TextConfig,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    PreTrainedConfig,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
    Qwen3Config,
    T5Config,
    T5ForConditionalGeneration,
    T5TokenizerFast,
)

from dawgen.backbone import Backbone
from tests.teacher_server import KEY, Server

SHARED = Path(__file__).resolve().parents[2] / "shared"

TEXT = (
    "yes maybe no great terrible good bad answer premise hypothesis sentence question review "
    "sentiment equivalent same follows from does not contradicts the a man woman dog cat is "
    "was runs sleeps eats plays in on under park house street field old young red blue two "
    "three children people film movie boring funny it very and or but with without one who "
    "what where when : . , ? ! ' 1 2 3 may says as looks like something else means positive "
    "negative answers write implies that this no never always outside inside near"
)
WORDS = TEXT.split()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A teacher on this machine, whose key is in the environment."""
    monkeypatch.setenv("DAWGEN_API_KEY", KEY)
    made = Server()
    yield made
    made.close()


@pytest.fixture(scope="session")
def shared() -> Path:
    """The development data; tests that need it are skipped where it is missing."""
    if not SHARED.is_dir():
        pytest.skip("the development data (shared/ beside the checkout) is not here")
    return SHARED


def word_tokenizer(single: str = "[CLS] $A [SEP]") -> PreTrainedTokenizerFast:
    """A tokenizer of whole words and letters that frames a text like BERT's, or as it is told."""
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    pieces = [*specials, *dict.fromkeys([*WORDS, *letters, *(f"##{c}" for c in letters)])]
    raw = Tokenizer(models.WordPiece({p: i for i, p in enumerate(pieces)}, unk_token="[UNK]"))
    raw.normalizer = normalizers.BertNormalizer(lowercase=True)
    raw.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    raw.post_processor = processors.TemplateProcessing(
        single=single, special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=raw,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        bos_token="[CLS]",
        eos_token="[SEP]",
    )


def plain_tokenizer() -> PreTrainedTokenizerFast:
    """A GPT-2-like tokenizer: letters as bytes, spaces kept, no special tokens added."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {"<|endoftext|>": 0, **{c: i + 1 for i, c in enumerate(alphabet)}}
    merges: list[tuple[str, str]] = []
    for word in (f"Ġ{w}" for w in ("yes", "maybe", "no", "great", "bad", "the", "a")):
        left = word[0]
        for letter in word[1:]:
            pair = (left, letter)
            left += letter
            if left not in vocab:
                vocab[left] = len(vocab)
                merges.append(pair)
    raw = Tokenizer(models.BPE(vocab, merges))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=raw, bos_token="<|endoftext|>", eos_token="<|endoftext|>"
    )


def causal_tokenizer(
    *, bos: bool, digits: bool = False, added: Sequence[str] = ()
) -> PreTrainedTokenizerFast:
    """Bytes and some words, as the tokenizers of today's causal models are made.

    Args:
        bos: ``<bos>`` goes before every text, as Llama's and Gemma's tokenizers have it.
        digits: every digit is a token of its own, as Llama's and Qwen's tokenizers have it.
        added: tokens listed as added that are not special, like Gemma's runs of line breaks.
    """
    raw = plain_tokenizer().backend_tokenizer
    if digits:
        raw.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), raw.pre_tokenizer]
        )
    raw.add_special_tokens(["<bos>", "<|im_end|>"])
    raw.add_tokens([AddedToken(text, normalized=False) for text in added])
    if bos:
        number = raw.token_to_id("<bos>")
        raw.post_processor = processors.Sequence(
            [
                processors.ByteLevel(trim_offsets=False),
                processors.TemplateProcessing(
                    single="<bos> $A", special_tokens=[("<bos>", number)]
                ),
            ]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=raw,
        bos_token="<bos>" if bos else None,
        eos_token="<|endoftext|>",
        extra_special_tokens=["<|im_end|>"],
    )


_CAUSAL_SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 256,
    "initializer_range": 0.2,
}


def causal_config(kind: str, vocab: int, **changes: Any) -> PreTrainedConfig:
    """A small configuration of a causal model of today: "llama", "gemma" (3) or "qwen" (3)."""
    sizes = _CAUSAL_SIZES | {"vocab_size": vocab, "eos_token_id": 0, "pad_token_id": 0} | changes
    if kind == "llama":
        return LlamaConfig(**sizes)
    if kind == "qwen":
        return Qwen3Config(**sizes)
    layers = ["sliding_attention", "full_attention"]
    return Gemma3TextConfig(**sizes, sliding_window=16, layer_types=layers)


def causal_model(config: PreTrainedConfig) -> Any:
    """A random model of the configuration."""
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(config)


def _causal_backbone(kind: str, tokenizer: PreTrainedTokenizerFast) -> Backbone:
    model = causal_model(causal_config(kind, len(tokenizer)))
    return Backbone(model, tokenizer, name=f"tests/{kind}", fingerprint=kind, max_length=256)


@pytest.fixture(scope="session")
def tiny_llama() -> Backbone:
    """A random Llama-shaped backbone of 32 units, whose tokenizer puts ``<bos>`` first."""
    return _causal_backbone("llama", causal_tokenizer(bos=True, digits=True))


@pytest.fixture(scope="session")
def tiny_qwen() -> Backbone:
    """A random Qwen-shaped backbone of 32 units, whose tokenizer adds nothing to a text."""
    return _causal_backbone("qwen", causal_tokenizer(bos=False, digits=True))


@pytest.fixture(scope="session")
def tiny_gemma() -> Backbone:
    """A random Gemma-shaped backbone of 32 units: ``<bos>``, added line breaks, scaled vectors."""
    return _causal_backbone("gemma", causal_tokenizer(bos=True, added=["\n\n", "\n\n\n"]))


CHAT_TEMPLATE = (
    "{% if messages[0]['role'] != 'system' %}<|im_start|>system\nbe good<|im_end|>\n{% endif %}"
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
)
"""ChatML, with a system turn of its own, as SmolLM2's."""


def chat_tokenizer(template: str = CHAT_TEMPLATE) -> PreTrainedTokenizerFast:
    """A causal tokenizer with a chat template, whose turns do not end in its end mark."""
    raw = causal_tokenizer(bos=False, digits=True).backend_tokenizer
    raw.add_special_tokens(["<|im_start|>"])
    return PreTrainedTokenizerFast(
        tokenizer_object=raw,
        eos_token="<|endoftext|>",
        extra_special_tokens=["<|im_start|>", "<|im_end|>"],
        chat_template=template,
    )


@pytest.fixture(scope="session")
def tiny_chat() -> Backbone:
    """A random Llama-shaped backbone of 32 units with a chat template."""
    return _causal_backbone("llama", chat_tokenizer())


def bart_model(vocab: int, seed: int = 0, units: int = 32) -> BartForConditionalGeneration:
    """A BART-shaped model with random weights, post-norm as the shipped backbone."""
    torch.manual_seed(seed)
    config = BartConfig(
        vocab_size=vocab,
        d_model=units,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        max_position_embeddings=128,
        pad_token_id=0,
        bos_token_id=2,
        eos_token_id=3,
        decoder_start_token_id=2,
        forced_eos_token_id=None,
        init_std=0.2,
    )
    return BartForConditionalGeneration(config)


@pytest.fixture(scope="session")
def tiny_bart() -> Backbone:
    """A random BART-shaped backbone of 32 units."""
    tokenizer = word_tokenizer()
    return Backbone(
        bart_model(len(tokenizer)), tokenizer, name="tests/bart", fingerprint="bart", max_length=128
    )


@pytest.fixture(scope="session")
def tiny_gpt2() -> Backbone:
    """A random GPT-2-shaped backbone of 32 units."""
    tokenizer = plain_tokenizer()
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=len(tokenizer),
        n_embd=32,
        n_layer=2,
        n_head=4,
        n_positions=256,
        bos_token_id=0,
        eos_token_id=0,
        initializer_range=0.2,
    )
    model = GPT2LMHeadModel(config)
    return Backbone(model, tokenizer, name="tests/gpt2", fingerprint="gpt2", max_length=256)


def t5_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The real T5 vocabulary where the development data is here, else the small one."""
    spiece = SHARED / "vocab" / "t5-spiece.model"
    if not spiece.exists():
        return word_tokenizer(single="$A [SEP]")  # as T5's: nothing in front of a text
    shutil.copyfile(spiece, folder / "spiece.model")
    return T5TokenizerFast.from_pretrained(folder)


@pytest.fixture(scope="session")
def tiny_t5(tmp_path_factory: pytest.TempPathFactory) -> Backbone:
    """A random T5-shaped backbone of 32 units; with the real T5 vocabulary where it is here."""
    tokenizer = t5_tokenizer(tmp_path_factory.mktemp("t5"))
    torch.manual_seed(0)
    config = T5Config(
        vocab_size=len(tokenizer) + 28,
        d_model=32,
        d_kv=8,
        d_ff=64,
        num_layers=2,
        num_heads=4,
        dropout_rate=0.0,
        feed_forward_proj="gated-gelu",
        tie_word_embeddings=False,
        pad_token_id=0,
        eos_token_id=tokenizer.eos_token_id,
        decoder_start_token_id=0,
        initializer_factor=1.0,
    )
    model = T5ForConditionalGeneration(config)
    return Backbone(model, tokenizer, name="tests/t5", fingerprint="t5", max_length=128)
