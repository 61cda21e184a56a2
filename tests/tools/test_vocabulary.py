"""The cut tokenizer."""

from __future__ import annotations

from pathlib import Path

import pytest
from tokenizers import Tokenizer
from transformers import AutoTokenizer

from tests.tools.conftest import LINES
from tools.pretrain import convert, text, vocabulary


def test_pieces_are_chosen_by_frequency(original_tokenizer: Tokenizer) -> None:
    """Specials and characters first, then required pieces, then the frequent ones."""
    full = original_tokenizer.get_vocab()
    counts = vocabulary.count_pieces(original_tokenizer, ["guitar guitar beach"])
    fixed = len(vocabulary.choose_pieces(full, counts, 10_000, [])) - 2
    pieces = vocabulary.choose_pieces(full, counts, fixed + 2, ["maybe"])
    assert pieces[:5] == list(vocabulary.SPECIALS)
    assert "maybe" in pieces
    assert "guitar" in pieces
    assert "beach" not in pieces
    assert "neverseen" not in pieces


def test_required_pieces_must_exist(original_tokenizer: Tokenizer) -> None:
    """A label word that is not one piece is an error, and so is too small a size."""
    full = original_tokenizer.get_vocab()
    counts = vocabulary.count_pieces(original_tokenizer, [])
    with pytest.raises(ValueError, match="not single pieces"):
        vocabulary.choose_pieces(full, counts, 300, ["incomprehensibilities"])
    with pytest.raises(ValueError, match="required"):
        vocabulary.choose_pieces(full, counts, 10, ["maybe"])


def test_decoding_closes_gaps(start: Path) -> None:
    """Decoded text has English spacing, and encodes to the same pieces again."""
    tokenizer = AutoTokenizer.from_pretrained(str(start))
    line = "i don't, (a b-c) x."
    ids = tokenizer(line)["input_ids"]
    assert tokenizer.decode(ids, skip_special_tokens=True) == line
    assert tokenizer(tokenizer.decode(ids, skip_special_tokens=True))["input_ids"] == ids


def test_auto_tokenizer_loads_it(start: Path, cards: dict[str, text.Card]) -> None:
    """``AutoTokenizer`` gives ``[CLS] x [SEP]``, lower case, BART's inputs, single label words."""
    tokenizer = AutoTokenizer.from_pretrained(str(start))
    encoded = tokenizer("A Man in a red shirt")
    tokens = tokenizer.convert_ids_to_tokens(encoded["input_ids"])
    assert tokens == ["[CLS]", "a", "man", "in", "a", "red", "shirt", "[SEP]"]
    assert set(encoded) == {"input_ids", "attention_mask"}
    assert (tokenizer.pad_token, tokenizer.eos_token, tokenizer.bos_token) == (
        "[PAD]",
        "[SEP]",
        "[CLS]",
    )
    words, others = convert.card_words(cards)
    for word in words:
        assert len(tokenizer(word, add_special_tokens=False)["input_ids"]) == 1
    for line in [*others, *LINES]:
        assert tokenizer.unk_token_id not in tokenizer(line)["input_ids"]
