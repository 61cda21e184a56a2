"""The shipped backbone's folder."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

from tests.tools.conftest import ROOT
from tools.pretrain import convert, text

TINY = ROOT / "src" / "dawgen" / "backbone" / "tiny"
pytestmark = pytest.mark.skipif(
    not (TINY / "model.safetensors").exists(), reason="no weights in this checkout"
)


def test_size() -> None:
    """At most 48 MB of weights, and no pickle."""
    assert (TINY / "model.safetensors").stat().st_size <= 48_000_000
    assert not [path for path in TINY.iterdir() if path.suffix in (".bin", ".pt", ".pkl")]


def test_loads_with_transformers_alone_and_writes(cards: dict[str, text.Card]) -> None:
    """``Auto`` classes load it; plain ``generate`` emits no special piece but the end."""
    tokenizer = AutoTokenizer.from_pretrained(str(TINY))
    model = AutoModelForSeq2SeqLM.from_pretrained(str(TINY), dtype=torch.float32)
    words, others = convert.card_words(cards)
    for word in words:
        assert len(tokenizer(word, add_special_tokens=False)["input_ids"]) == 1
    for line in others:
        assert tokenizer.unk_token_id not in tokenizer(line)["input_ids"]
    batch = tokenizer(["a man is playing a guitar.", "dogs."], padding=True, return_tensors="pt")
    torch.manual_seed(0)
    out = model.generate(**batch, do_sample=True, max_new_tokens=12)
    assert (out[:, 0] == model.config.decoder_start_token_id).all()
    specials = {tokenizer.unk_token_id, tokenizer.mask_token_id, tokenizer.cls_token_id}
    assert not specials & set(out[:, 1:].flatten().tolist())
