from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from dawgen.decoding import Decoding, choose_engine, decoding_of
from dawgen.decoding.base import Request
from dawgen.decoding.ctranslate2 import UnsupportedError
from dawgen.decoding.transformers import TransformersEngine
from dawgen.errors import UserError
from dawgen.settings import SynthesisSettings
from dawgen.tasks import TaskCard
from tests.synthesis.helpers import random_prompts


def chosen(backbone, decoding=Decoding(), **settings) -> str:  # noqa: B008
    prompts = random_prompts(backbone, 1)
    return choose_engine(SynthesisSettings(**settings), backbone, prompts, decoding).name


def test_the_engine_that_is_named_decodes(writer, capsys):
    pytest.importorskip("ctranslate2")
    assert chosen(writer, engine="transformers") == "transformers"
    assert chosen(writer, engine="ctranslate2") == "ctranslate2"
    assert chosen(writer, engine="ctranslate2", quantization="int8") == "ctranslate2"
    assert capsys.readouterr().err == ""


def test_auto_says_in_one_line_what_it_takes(writer, capsys):
    pytest.importorskip("ctranslate2")
    assert chosen(writer) == "transformers"
    assert capsys.readouterr().err.count("decoding with transformers") == 1
    assert chosen(writer, quantization="int8") == "ctranslate2"
    assert capsys.readouterr().err.count("decoding with ctranslate2") == 1


def test_auto_does_without_int8_where_it_cannot_be_had(writer, capsys, monkeypatch):
    def none(*_: object) -> None:
        raise UnsupportedError("CTranslate2 cannot run it.")

    monkeypatch.setattr("dawgen.decoding.choose.CTranslate2Engine", none)
    assert chosen(writer, quantization="int8") == "transformers"
    said = capsys.readouterr().err
    assert "without int8" in said
    assert "CTranslate2 cannot run it." in said


def test_int8_by_transformers_is_refused(writer):
    with pytest.raises(UserError, match="does not quantize"):
        chosen(writer, engine="transformers", quantization="int8")


# --- the settings of the decoding ---------------------------------------------------------


def decoding(backbone, card, shots, writes_first=False, length=6, **settings) -> Decoding:
    named = SynthesisSettings(**settings)
    return decoding_of(named, card, shots, backbone, length, writes_first=writes_first)


def test_lengths_are_bounded_by_the_few_shots(writer, pair_card, pair_shots):
    # second sentences have 4, 10, 8 and 2 words, and an end mark each
    found = decoding(writer, pair_card, pair_shots, shortest_text=0.5)
    assert (found.min_new_tokens, found.max_new_tokens) == (1, 17)
    assert decoding(writer, pair_card, pair_shots).min_new_tokens == 0
    assert decoding(writer, pair_card, pair_shots, longest_text=2.0).max_new_tokens == 22
    short = decoding(writer, pair_card, pair_shots, max_new_tokens=2, shortest_text=1.0)
    assert (short.min_new_tokens, short.max_new_tokens) == (1, 2)


def test_texts_fit_the_positions_that_prompt_and_source_leave(tiny_gpt2, pair_card, pair_shots):
    prompts = torch.zeros(len(pair_card.labels), 200, 32)
    room = tiny_gpt2.text_room(200)
    ways = {"longest_text": 100.0}
    with pytest.raises(UserError, match=f"lower synthesis.max_new_tokens to {room}"):
        decoding(tiny_gpt2, pair_card, pair_shots, length=200, max_new_tokens=room + 1, **ways)
    found = decoding(tiny_gpt2, pair_card, pair_shots, length=200, max_new_tokens=room, **ways)
    engine = TransformersEngine(tiny_gpt2, prompts, replace(found, min_new_tokens=room - 1))
    (text,) = engine.generate([Request("a dog runs " * 100, 0, 1)])
    assert text.tokens in {room - 1, room}
    # the longest source, a text of that length and the prompt: not a position is left
    source = tiny_gpt2.encode_source("a dog runs " * 100, 200)
    assert 200 + len(source) + room == 256


def test_a_prompt_that_leaves_no_position_to_write_in_is_refused(tiny_gpt2, pair_card, pair_shots):
    with pytest.raises(UserError, match=r"generator.prompt_length = 255 leaves"):
        decoding(tiny_gpt2, pair_card, pair_shots, length=255)


def test_the_penalty_is_one_number_or_one_by_label(writer, pair_card, pair_shots):
    assert decoding(writer, pair_card, pair_shots, repetition_penalty=2).penalty(1) == 2
    by_label = decoding(writer, pair_card, pair_shots, repetition_penalty={"does_not": 1.5})
    assert by_label.repetition_penalty == (1.0, 1.5)
    with pytest.raises(UserError, match="'maybe', which is no label of pairs; its labels are"):
        decoding(writer, pair_card, pair_shots, repetition_penalty={"maybe": 1.5})


def test_the_card_decides_where_the_settings_are_silent(writer, pair_card, pair_shots):
    own = {"temperature": 0.5, "top_p": 0.9, "repetition_penalty": {"does_not": 1.5}}
    card = TaskCard(**{**pair_card.model_dump(), "decoding": own})
    found = decoding(writer, card, pair_shots, temperature=1.0)
    assert (found.temperature, found.top_p) == (1.0, 0.9)
    assert found.repetition_penalty == (1.0, 1.5)
