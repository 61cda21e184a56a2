"""The converted encoder is the original one."""

from __future__ import annotations

import pytest
import torch
from tokenizers import Tokenizer
from torch import nn

from tests.tools.conftest import LINES, bert, converted


@pytest.mark.parametrize(("epsilon", "tolerance"), [(1e-12, 2e-6), (1e-5, 2e-2)])
def test_hidden_states_equal_the_originals(
    original_tokenizer: Tokenizer, pieces: list[str], epsilon: float, tolerance: float
) -> None:
    """Equal with the original's LayerNorm epsilon; within its effect with BART's own 1e-5."""
    original = bert(original_tokenizer.get_vocab_size())
    model = converted(original, original_tokenizer, pieces)
    for module in model.modules():
        if isinstance(module, nn.LayerNorm):
            module.eps = epsilon
    old = original_tokenizer.encode(LINES[0])
    assert all(token in pieces for token in old.tokens)
    new_ids = torch.tensor([[pieces.index(token) for token in old.tokens]])
    with torch.inference_mode():
        expected = original(input_ids=torch.tensor([old.ids])).last_hidden_state
        found = model.model.encoder(input_ids=new_ids).last_hidden_state
    assert torch.allclose(found, expected, atol=tolerance)


def test_padding_changes_nothing(original_tokenizer: Tokenizer, pieces: list[str]) -> None:
    """A padded row's hidden states are the unpadded ones."""
    model = converted(bert(original_tokenizer.get_vocab_size()), original_tokenizer, pieces)
    ids = torch.tensor([[2, 40, 41, 42, 3]])
    padded = torch.cat([ids, torch.zeros(1, 4, dtype=torch.long)], dim=1)
    mask = (torch.arange(9) < 5).long()[None]
    with torch.inference_mode():
        alone = model.model.encoder(input_ids=ids)[0]
        beside = model.model.encoder(input_ids=padded, attention_mask=mask)[0][:, :5]
    assert torch.allclose(alone, beside, atol=1e-6)


def test_embeddings_are_tied(original_tokenizer: Tokenizer, pieces: list[str]) -> None:
    """One table serves encoder, decoder and output."""
    model = converted(bert(original_tokenizer.get_vocab_size()), original_tokenizer, pieces)
    shared = model.model.shared.weight
    assert model.model.encoder.embed_tokens.weight is shared
    assert model.model.decoder.embed_tokens.weight is shared
    assert model.lm_head.weight is shared
