"""Small random models of the three shapes dawgen supports, and the development data."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    GPT2Config,
    GPT2LMHeadModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
    T5TokenizerFast,
)

from dawgen.backbone import Backbone

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


def bart_model(vocab: int, seed: int = 0) -> BartForConditionalGeneration:
    """A BART-shaped model with random weights, post-norm as the shipped backbone."""
    torch.manual_seed(seed)
    config = BartConfig(
        vocab_size=vocab,
        d_model=32,
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
