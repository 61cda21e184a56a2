"""The backbone's scores against the models' own forward passes."""

from __future__ import annotations

import copy

import pytest
import torch

from dawgen.backbone import Backbone
from dawgen.errors import UserError
from dawgen.tasks import Row, TaskCard
from dawgen.terminal.progress import hushed

SHAPES = ("tiny_bart", "tiny_t5", "tiny_gpt2")

CARD = TaskCard(
    name="toy",
    columns={"text1": "a", "text2": "b", "label": "y"},
    labels=["entailment", "neutral", "contradiction"],
    template="premise: {text1} hypothesis: {text2} answer:",
    label_words={"entailment": "yes", "neutral": "maybe", "contradiction": "no"},
)
ROWS = [
    Row("a man sleeps in the park.", "a dog runs and eats with the old woman.", None),
    Row("a dog", "two children", None),
    Row("the film was funny", "it is not boring", None),
]


@pytest.fixture(params=SHAPES)
def backbone(request: pytest.FixtureRequest) -> Backbone:
    found: Backbone = request.getfixturevalue(request.param)
    return found


def _prompts(backbone: Backbone, rows: int, length: int = 5) -> torch.Tensor:
    rng = torch.Generator().manual_seed(3)
    return torch.randn(rows, length, backbone.hidden_size, generator=rng)


def _own_logits(backbone: Backbone, prompt: torch.Tensor, ids: list[int], target: list[int]):
    """The model's own logits [1,T,V] where it predicts ``target``, one row, no padding."""
    tokens = torch.tensor(ids, dtype=torch.long)
    vectors = torch.cat([prompt, backbone.embed(tokens)])[None]
    if backbone.is_encoder_decoder:
        lead = backbone.decoder_start
        decoder = torch.tensor([[*lead, *target[:-1]]])
        return backbone.model(inputs_embeds=vectors, decoder_input_ids=decoder).logits[
            :, len(lead) - 1 :
        ]
    more = backbone.embed(torch.tensor(target[:-1], dtype=torch.long))[None]
    out = backbone.model(inputs_embeds=torch.cat([vectors, more], dim=1)).logits
    return out[:, vectors.shape[1] - 1 :]


def test_label_scores_are_the_models_own_logits(backbone: Backbone) -> None:
    inputs = backbone.encode_rows(CARD, ROWS, prompt_length=5)
    words = backbone.label_word_ids(CARD)
    assert all(len(word) == 1 for word in words)
    prompts = _prompts(backbone, len(ROWS))
    scores = backbone.label_scores(prompts, inputs, words)
    for row, (prompt, ids) in enumerate(zip(prompts, inputs, strict=True)):
        own = _own_logits(backbone, prompt, ids, words[0])[0, 0]
        expected = own[[word[0] for word in words]]
        torch.testing.assert_close(scores[row], expected, atol=2e-5, rtol=1e-5)


def test_words_of_several_tokens_are_summed_log_probabilities(backbone: Backbone) -> None:
    inputs = backbone.encode_rows(CARD, ROWS, prompt_length=5)
    yes, maybe, no = (word[0] for word in backbone.label_word_ids(CARD))
    words = [[yes], [maybe, no, yes], [no, no]]
    prompts = _prompts(backbone, len(ROWS))
    scores = backbone.label_scores(prompts, inputs, words)
    for row, (prompt, ids) in enumerate(zip(prompts, inputs, strict=True)):
        for column, word in enumerate(words):
            log_probs = _own_logits(backbone, prompt, ids, word)[0].log_softmax(-1)
            expected = sum(log_probs[t, token] for t, token in enumerate(word))
            torch.testing.assert_close(scores[row, column], expected, atol=5e-5, rtol=1e-5)


def test_padding_and_companions_do_not_change_a_row(backbone: Backbone) -> None:
    inputs = backbone.encode_rows(CARD, ROWS, prompt_length=5)
    words = backbone.label_word_ids(CARD)
    prompts = _prompts(backbone, len(ROWS))
    together = backbone.label_scores(prompts, inputs, words)
    for row in range(len(ROWS)):
        alone = backbone.label_scores(prompts[row : row + 1], inputs[row : row + 1], words)
        torch.testing.assert_close(together[row : row + 1], alone, atol=2e-5, rtol=1e-5)


def test_token_log_probs_are_the_models_own(backbone: Backbone) -> None:
    sources = [backbone.encode_source(text, 5) for text in ("", "a man sleeps", "two dogs")]
    targets = [backbone.encode_target(text) for text in ("yes", "the man is not old", "a dog runs")]
    prompts = _prompts(backbone, 3)
    scores = backbone.token_log_probs(prompts, sources, targets)
    assert scores.mask.sum(1).tolist() == [len(target) for target in targets]
    for row, (prompt, source, target) in enumerate(zip(prompts, sources, targets, strict=True)):
        own = _own_logits(backbone, prompt, source, target)[0].log_softmax(-1)
        expected = own[range(len(target)), target]
        torch.testing.assert_close(
            scores.log_probs[row, : len(target)], expected, atol=5e-5, rtol=1e-5
        )
    assert (scores.log_probs[~scores.mask] == 0).all()
    assert (scores.hidden[~scores.mask] == 0).all()


def test_pieces_score_as_one_call_does(backbone: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["a man sleeps", "", "two dogs run and a man sleeps", "a"]
    sources = [backbone.encode_source(text, 5) for text in texts]
    targets = [backbone.encode_target(text) for text in ("a", "two dogs", "yes", "a man is old")]
    prompts = _prompts(backbone, 4)
    monkeypatch.setattr("dawgen.backbone.model.call_cost", lambda _device: 10**6)
    whole = backbone.token_log_probs(prompts, sources, targets)
    monkeypatch.setattr("dawgen.backbone.model.call_cost", lambda _device: 0)
    calls: list[int] = []
    once = backbone._token_log_probs
    monkeypatch.setattr(
        backbone, "_token_log_probs", lambda p, s, t: (calls.append(len(s)), once(p, s, t))[1]
    )
    cut = backbone.token_log_probs(prompts, sources, targets)
    assert len(calls) > 1
    assert sum(calls) == 4
    assert cut.mask.tolist() == whole.mask.tolist()
    torch.testing.assert_close(cut.log_probs, whole.log_probs, atol=2e-5, rtol=1e-5)
    torch.testing.assert_close(cut.hidden, whole.hidden, atol=2e-5, rtol=1e-5)


def test_hidden_states_have_read_their_token(backbone: Backbone) -> None:
    """Changing token t changes the state at t and after it, never before."""
    source = [backbone.encode_source("a man sleeps", 5)]
    words = backbone.text_ids("the dog runs and eats")
    other = [*words[:2], *backbone.text_ids("old")[-1:], *words[3:]]
    prompts = _prompts(backbone, 1)
    one = backbone.token_log_probs(prompts, source, [words]).hidden[0]
    two = backbone.token_log_probs(prompts, source, [other]).hidden[0]
    moved = (one - two).abs().amax(dim=1) > 1e-4
    assert moved.tolist()[:3] == [False, False, True]


def test_decoding_follows_the_scored_probabilities(backbone: Backbone) -> None:
    """What greedy decoding writes is, token for token, likelier than any other word."""
    sources = [backbone.encode_source(text, 5) for text in ("a man sleeps", "two")]
    prompts = _prompts(backbone, 2)
    settings = {"max_new_tokens": 4, "min_new_tokens": 4, "do_sample": False, "num_beams": 1}
    out = backbone.model.generate(**backbone.generation_inputs(prompts, sources), **settings)
    written = out[:, len(backbone.decoder_start) :] if backbone.is_encoder_decoder else out
    for row in range(2):
        ids = written[row, :4].tolist()
        scores = backbone.token_log_probs(
            prompts[row : row + 1], sources[row : row + 1], [ids]
        ).log_probs[0]
        own = _own_logits(backbone, prompts[row], sources[row], ids)[0]
        own[:, backbone.end_id] = -torch.inf
        assert own.argmax(-1).tolist() == ids
        assert scores.exp().min() > 1 / len(own[0])


def test_long_texts_are_cut_and_the_template_is_not(backbone: Backbone) -> None:
    row = Row("a man " * 200, "a dog runs", None)
    (ids,) = backbone.encode_rows(CARD, [row], prompt_length=20)
    assert len(ids) <= backbone.max_length - 20
    text = backbone.decode(ids).replace(" :", ":")
    assert text.startswith("premise:")
    assert text.endswith("hypothesis: a dog runs answer:")


def test_cut_rows_are_told_once_and_nothing_else_is(tiny_t5, capfd, monkeypatch) -> None:
    """transformers' own warning, of indexing errors to come, would be wrong."""
    monkeypatch.setattr(tiny_t5, "_told", set())
    monkeypatch.setattr(tiny_t5.tokenizer, "model_max_length", 16)
    monkeypatch.setattr(tiny_t5.tokenizer, "deprecation_warnings", {})  # it warns once
    monkeypatch.setattr("transformers.tokenization_utils_base.logger.warning", pytest.fail)
    monkeypatch.setattr(tiny_t5, "max_length", 40)
    long, short = Row("a man " * 200, "a dog runs", None), Row("a man", "a dog", None)
    with hushed():
        tiny_t5.encode_rows(CARD, [long], 20)
    assert capfd.readouterr().err == ""
    tiny_t5.encode_rows(CARD, [short, long, long], 20)
    told = capfd.readouterr().err
    assert told.startswith("warning: 2 of 3 rows are longer than the 20 tokens that backbone.max_")
    tiny_t5.encode_rows(CARD, [long], 20)
    assert capfd.readouterr().err == ""


def test_template_longer_than_the_model_is_refused(backbone: Backbone) -> None:
    card = CARD.model_copy(update={"template": "word " * 300 + "{text1} {text2}"})
    with pytest.raises(UserError, match="template alone"):
        backbone.encode_rows(card, ROWS, prompt_length=5)


def test_ordinary_tokens_leave_specials_out(backbone: Backbone) -> None:
    ordinary = set(backbone.ordinary_token_ids())
    assert not ordinary & set(backbone.tokenizer.all_special_ids)
    assert max(ordinary) < backbone.table().shape[0]
    assert set(backbone.text_ids("a man")) <= ordinary


def test_nothing_in_the_model_can_be_trained(backbone: Backbone) -> None:
    assert not any(weight.requires_grad for weight in backbone.model.parameters())
    assert not backbone.model.training


def test_eager_attention_gives_the_same_scores_and_is_undone(backbone: Backbone) -> None:
    inputs = backbone.encode_rows(CARD, ROWS, prompt_length=5)
    words = backbone.label_word_ids(CARD)
    before = backbone.model.config._attn_implementation
    plain = backbone.label_scores(None, inputs, words)
    with backbone.eager_attention():
        eager = backbone.label_scores(None, inputs, words)
    torch.testing.assert_close(plain, eager, atol=2e-5, rtol=1e-5)
    assert backbone.model.config._attn_implementation == before


@torch.no_grad()
def test_label_words_are_read_in_fp32_where_the_model_is_in_bf16(backbone: Backbone) -> None:
    """bf16 rounds to eight bits: scores of different rows would fall on the same few numbers."""
    half = Backbone(
        copy.deepcopy(backbone.model).bfloat16(),
        backbone.tokenizer,
        name="tests/half",
        fingerprint="half",
        max_length=backbone.max_length,
    )
    inputs = half.encode_rows(CARD, ROWS, prompt_length=5)
    words = half.label_word_ids(CARD)
    prompts = _prompts(half, len(ROWS))
    hidden = half.label_hidden(prompts, inputs).float()
    rows = half.head.weight[[word[0] for word in words]].float()
    expected = half.head.scale * hidden @ rows.T
    if half.head.bias is not None:
        expected += half.head.bias[[word[0] for word in words]].float()
    torch.testing.assert_close(half.label_scores(prompts, inputs, words), expected)
