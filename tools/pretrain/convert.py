"""A BERT-type encoder is a BART encoder with other names: the conversion, and a decoder's start.

    python -m tools.pretrain.convert --original ORIGINAL --corpora C --data D --cards K --out DIR

``ORIGINAL`` is a folder with all-MiniLM-L6-v2 (config.json, model.safetensors, tokenizer.json).
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path

import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor
from transformers import BartConfig, BartForConditionalGeneration, BertConfig, GenerationConfig

from tools.pretrain import text as texts
from tools.pretrain import vocabulary

POSITION_OFFSET = 2  # BART looks up position i in row i + 2
CAPTION_COUNT = 4  # rare words of the small corpora weigh more than Wikipedia's names


def bart_config(bert: BertConfig, pieces: list[str], decoder_layers: int) -> BartConfig:
    """A BART configuration of the encoder's shape over the cut vocabulary."""
    ids = {piece: pieces.index(piece) for piece in vocabulary.SPECIALS}
    return BartConfig(
        vocab_size=len(pieces),
        max_position_embeddings=bert.max_position_embeddings,
        d_model=bert.hidden_size,
        encoder_layers=bert.num_hidden_layers,
        encoder_ffn_dim=bert.intermediate_size,
        encoder_attention_heads=bert.num_attention_heads,
        decoder_layers=decoder_layers,
        decoder_ffn_dim=bert.intermediate_size,
        decoder_attention_heads=bert.num_attention_heads,
        activation_function="gelu",
        dropout=0.1,
        attention_dropout=0.0,
        activation_dropout=0.0,
        scale_embedding=False,
        tie_word_embeddings=True,
        pad_token_id=ids["[PAD]"],
        bos_token_id=ids["[CLS]"],
        eos_token_id=ids["[SEP]"],
        decoder_start_token_id=ids["[CLS]"],
        forced_bos_token_id=None,
        forced_eos_token_id=None,
        num_labels=3,
    )


def generation_config(pieces: list[str]) -> GenerationConfig:
    """Generation settings that never emit an unknown piece or another non-text special."""
    ids = {piece: pieces.index(piece) for piece in vocabulary.SPECIALS}
    return GenerationConfig(
        bos_token_id=ids["[CLS]"],
        eos_token_id=ids["[SEP]"],
        pad_token_id=ids["[PAD]"],
        decoder_start_token_id=ids["[CLS]"],
        suppress_tokens=[ids[piece] for piece in ("[PAD]", "[UNK]", "[CLS]", "[MASK]")],
        max_new_tokens=64,
    )


def layer_weights(bert: dict[str, Tensor], layer: int) -> dict[str, Tensor]:
    """One BERT layer's tensors under BART's names (as an encoder layer)."""
    names = {
        "attention.self.query": "self_attn.q_proj",
        "attention.self.key": "self_attn.k_proj",
        "attention.self.value": "self_attn.v_proj",
        "attention.output.dense": "self_attn.out_proj",
        "attention.output.LayerNorm": "self_attn_layer_norm",
        "intermediate.dense": "fc1",
        "output.dense": "fc2",
        "output.LayerNorm": "final_layer_norm",
    }
    return {
        f"{new}.{kind}": bert[f"encoder.layer.{layer}.{old}.{kind}"]
        for old, new in names.items()
        for kind in ("weight", "bias")
    }


def embedding_weights(bert: dict[str, Tensor], keep: list[int]) -> dict[str, Tensor]:
    """Word [V,H], position [M+2,H] and LayerNorm tensors; token type 0 folds into positions."""
    positions = bert["embeddings.position_embeddings.weight"]
    positions = positions + bert["embeddings.token_type_embeddings.weight"][0]
    shifted = torch.cat([positions[:1].expand(POSITION_OFFSET, -1), positions])
    return {
        "embed_tokens.weight": bert["embeddings.word_embeddings.weight"][keep],
        "embed_positions.weight": shifted,
        "layernorm_embedding.weight": bert["embeddings.LayerNorm.weight"],
        "layernorm_embedding.bias": bert["embeddings.LayerNorm.bias"],
    }


def convert(
    bert: dict[str, Tensor], config: BartConfig, keep: list[int]
) -> BartForConditionalGeneration:
    """The BART model whose encoder is ``bert`` over the rows ``keep`` of its vocabulary.

    Decoder layers start from evenly spaced encoder layers, the last one included; their
    attention to the encoder starts from the same layer's self-attention.
    """
    model = BartForConditionalGeneration(config)
    embeddings = embedding_weights(bert, keep)
    shared = embeddings.pop("embed_tokens.weight")
    state: dict[str, Tensor] = {"model.shared.weight": shared}
    depth = config.encoder_layers or 0
    for side, layers in (("encoder", depth), ("decoder", config.decoder_layers or 0)):
        state[f"model.{side}.embed_tokens.weight"] = shared
        state |= {f"model.{side}.{name}": tensor for name, tensor in embeddings.items()}
        stride = depth // layers
        for layer in range(layers):
            weights = layer_weights(bert, (layer + 1) * stride - 1)
            prefix = f"model.{side}.layers.{layer}."
            state |= {prefix + name: tensor for name, tensor in weights.items()}
            if side == "decoder":
                state |= {
                    prefix + name.replace("self_attn", "encoder_attn"): tensor
                    for name, tensor in weights.items()
                    if name.startswith("self_attn")
                }
    state["lm_head.weight"] = shared
    state["final_logits_bias"] = torch.zeros(1, config.vocab_size)
    model.load_state_dict(state)
    model.tie_weights()
    return model


def card_words(cards: dict[str, texts.Card]) -> tuple[list[str], list[str]]:
    """Label words (kept whole) and the other texts of the cards (their pieces kept)."""
    words = sorted({word for card in cards.values() for word in card.label_words.values()})
    others = sorted(
        {card.fill("", "") for card in cards.values()}
        | {prompt for card in cards.values() for prompt in card.label_prompts.values()}
    )
    return words, others


def main() -> None:
    """Cut the vocabulary, convert, write the untrained model folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("original", "corpora", "data", "cards", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--vocabulary", type=int, default=14_000)
    parser.add_argument("--decoder-layers", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    tokenizer = Tokenizer.from_file(str(arguments.original / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    cards = texts.read_cards(arguments.cards)
    words, others = card_words(cards)
    rows = [
        row for task in ("mnli", "qnli") for row in texts.read_training_pairs(arguments.data, task)
    ]
    small = [
        line
        for name in ("captions", "questions")
        for line in texts.read_corpus(texts.corpus_path(arguments.corpora, name))
    ]
    small += [part for row in rows for part in (row.text1, row.text2)]
    wikipedia = texts.read_corpus(texts.corpus_path(arguments.corpora, "wikipedia"), limit=200_000)
    counts = vocabulary.count_pieces(
        tokenizer, itertools.chain(wikipedia, *itertools.repeat(small, CAPTION_COUNT))
    )
    needed = [p for line in others for p in tokenizer.encode(line, add_special_tokens=False).tokens]
    full = tokenizer.get_vocab()
    pieces = vocabulary.choose_pieces(full, counts, arguments.vocabulary, [*words, *needed])
    covered = sum(counts[full[piece]] for piece in pieces) / counts.total()
    cut = vocabulary.cut_tokenizer(arguments.original / "tokenizer.json", pieces)
    bert_config = BertConfig.from_pretrained(str(arguments.original))
    config = bart_config(bert_config, pieces, arguments.decoder_layers)
    torch.manual_seed(arguments.seed)
    state = load_file(arguments.original / "model.safetensors")
    model = convert(state, config, [full[piece] for piece in pieces])
    model.generation_config = generation_config(pieces)
    arguments.out.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(str(arguments.out))
    vocabulary.save_tokenizer(cut, arguments.out)
    print(f"{len(pieces)} pieces cover {covered:.2%}; {model.num_parameters():,} parameters")


if __name__ == "__main__":
    main()
