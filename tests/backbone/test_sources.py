"""What a generator reads: what the tokenizer puts before a text, then the text."""

from __future__ import annotations

import pytest
import torch

from dawgen.backbone import Backbone
from dawgen.decoding import Decoding, Request, TransformersEngine
from dawgen.decoding.base import allowed_tokens
from dawgen.tasks import Row, TaskCard

CARD = TaskCard(
    name="mood",
    columns={"text1": "text", "label": "label"},
    labels=["good", "bad"],
    template="{text1}\n",
    label_words={"good": "great", "bad": "bad"},
)


@pytest.mark.parametrize("name", ["tiny_llama", "tiny_gemma"])
def test_both_sides_begin_with_bos(name: str, request: pytest.FixtureRequest) -> None:
    backbone: Backbone = request.getfixturevalue(name)
    bos = backbone.tokenizer.bos_token_id
    assert backbone.encode_source("", 5) == [bos]
    source = backbone.encode_source("a man of 12", 5)
    assert source == backbone.tokenizer("a man of 12\n")["input_ids"]
    assert source[0] == bos
    assert [source] == backbone.encode_rows(CARD, [Row("a man of 12", None, None)], 5)


def test_without_bos_nothing_is_added(tiny_qwen: Backbone, tiny_gpt2: Backbone) -> None:
    for backbone in (tiny_qwen, tiny_gpt2):
        assert backbone.encode_source("", 5) == []
        assert backbone.encode_source("a 12", 5) == backbone.text_ids("a 12\n")


def test_a_long_source_is_cut_and_keeps_its_bos(tiny_llama: Backbone) -> None:
    source = tiny_llama.encode_source("x" * 999, 6)
    room = tiny_llama.max_length - 6
    assert source[0] == tiny_llama.tokenizer.bos_token_id
    assert len(source) == 1 + room // 2 + 1
    positions = tiny_llama.config.max_position_embeddings
    assert tiny_llama.text_room(6) == positions - 6 - len(source)


@pytest.mark.parametrize("name", ["tiny_llama", "tiny_gemma", "tiny_qwen"])
@pytest.mark.parametrize("source", ["", "a man of 12"])
@torch.no_grad()
def test_greedy_texts_are_plain_transformers(
    name: str, source: str, request: pytest.FixtureRequest
) -> None:
    backbone: Backbone = request.getfixturevalue(name)
    rng = torch.Generator().manual_seed(1)
    prompts = torch.randn(2, 3, backbone.hidden_size, generator=rng)
    decoding = Decoding(temperature=0, max_new_tokens=6)
    engine = TransformersEngine(backbone, prompts, decoding)
    (found,) = engine.generate([Request(source, 1, 0)])
    ids = backbone.tokenizer(f"{source}\n" if source else "")["input_ids"]
    forbidden = ~allowed_tokens(backbone)
    for _ in range(6):
        vectors = torch.cat([prompts[1], backbone.embed(torch.tensor(ids, dtype=torch.long))])
        logits = backbone.model(inputs_embeds=vectors[None]).logits[0, -1]
        ids.append(int(logits.masked_fill(forbidden, -torch.inf).argmax()))
        if ids[-1] == backbone.end_id:
            break
    written = ids[-found.tokens :]
    assert found.text == backbone.decode(written)


def test_added_tokens_that_are_not_special_can_be_written(tiny_gemma: Backbone) -> None:
    added = [tiny_gemma.tokenizer.convert_tokens_to_ids(text) for text in ("\n\n", "\n\n\n")]
    assert set(added) <= set(tiny_gemma.tokenizer.added_tokens_decoder)
    assert set(added) <= set(tiny_gemma.ordinary_token_ids())
    allowed = allowed_tokens(tiny_gemma)
    assert allowed[added].all()
    control = tiny_gemma.tokenizer.convert_tokens_to_ids(["<bos>", "<|im_end|>"])
    assert not allowed[control].any()
    target = tiny_gemma.encode_target("a\n\nb")
    assert added[0] in target
    assert allowed[target].all()
    assert tiny_gemma.decode(target) == "a\n\nb"
