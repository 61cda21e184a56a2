"""Where the prompt starts."""

from __future__ import annotations

import pytest
import torch

from dawgen.tuning.start import frequent_words, start_prompt
from tests.tuning.toy import toy_card, toy_settings


def test_label_words_first_then_frequent_words(tiny_t5):
    words = tiny_t5.label_word_ids(toy_card())
    prompt = start_prompt(tiny_t5, toy_card(), toy_settings(prompt_length=6), 13)
    table = tiny_t5.table()
    assert prompt.shape == (6, 32)
    assert torch.equal(prompt[:2], table[[words[0][0], words[1][0]]])
    allowed = table[frequent_words(tiny_t5)]
    for vector in prompt[2:]:
        assert (allowed == vector).all(dim=1).any()


def test_a_short_prompt_holds_label_words_alone(tiny_t5):
    words = tiny_t5.label_word_ids(toy_card())
    prompt = start_prompt(tiny_t5, toy_card(), toy_settings(prompt_length=1), 13)
    assert torch.equal(prompt, tiny_t5.table()[[words[0][0]]])


@pytest.mark.parametrize("name", ["tiny_t5", "tiny_gpt2"])
def test_the_instruction_is_cycled(name, request):
    backbone = request.getfixturevalue(name)
    card = toy_card().model_copy(update={"instruction": "is it good or bad"})
    ids = backbone.text_ids(card.instruction)
    prompt = start_prompt(backbone, card, toy_settings(init="instruction", prompt_length=12), 13)
    cycled = torch.tensor([ids[place % len(ids)] for place in range(12)])
    assert torch.equal(prompt, backbone.embed(cycled))


def test_frequent_words_are_words(tiny_t5, tiny_bart, tiny_gpt2):
    for backbone in (tiny_t5, tiny_bart, tiny_gpt2):
        words = frequent_words(backbone, 20)
        assert words
        assert all(backbone.decode([token]).isalpha() for token in words)
        assert set(words) <= set(backbone.ordinary_token_ids())


@pytest.mark.parametrize("init", ["label-words", "vocabulary", "random"])
def test_the_seed_decides_the_start(tiny_bart, init):
    def start(seed: int) -> torch.Tensor:
        return start_prompt(tiny_bart, toy_card(), toy_settings(init=init), seed)

    assert torch.equal(start(13), start(13))
    assert not torch.equal(start(13), start(21))


def test_the_start_shares_no_memory_with_the_backbone(tiny_bart):
    before = tiny_bart.table().clone()
    start_prompt(tiny_bart, toy_card(), toy_settings(), 13).add_(1.0)
    assert torch.equal(tiny_bart.table(), before)


def test_random_numbers_are_on_the_scale_of_what_the_model_reads(tiny_gemma, tiny_bart):
    """Gemma multiplies what it looks up by the square root of its width."""
    for backbone, factor in ((tiny_gemma, 32**0.5), (tiny_bart, 1.0)):
        prompt = start_prompt(backbone, [[7]], toy_settings(init="random", prompt_length=200), 13)
        expected = factor * backbone.table().std()
        assert prompt.std() == pytest.approx(float(expected), rel=0.05)
