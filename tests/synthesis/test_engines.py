from __future__ import annotations

import copy
import dataclasses
from contextlib import contextmanager

import pytest
import torch
from transformers import (
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    MambaConfig,
    MambaForCausalLM,
)

from dawgen.backbone import Backbone, load_backbone
from dawgen.backbone.calls import CallLimits
from dawgen.decoding import Decoding, Generation, Request, TransformersEngine, states
from dawgen.decoding import transformers as engine_module
from dawgen.decoding.base import allowed_tokens, encode_sources, read_ids
from dawgen.decoding.sampling import Sampler
from dawgen.decoding.states import PlainCausalState
from dawgen.errors import UserError
from dawgen.settings import BackboneSettings
from tests.conftest import word_tokenizer
from tests.synthesis.helpers import next_logits, random_prompts

SOURCES = ["", "a dog runs", "two young children and a woman", "no"]


@pytest.fixture(params=["writer", "small_t5", "tiny_gpt2", "sliding"])
def backbone(request) -> Backbone:
    return request.getfixturevalue(request.param)


def requests(labels: int = 2, seeds: int = 4) -> list[Request]:
    return [
        Request(source, label, 1000 * seed + label)
        for source in SOURCES
        for label in range(labels)
        for seed in range(seeds)
    ]


def test_greedy_texts_are_what_step_by_step_scoring_finds(backbone):
    """The engine (cache, batch, padding) against argmax over teacher-forced probabilities."""
    prompts = random_prompts(backbone, 2)
    engine = TransformersEngine(backbone, prompts, Decoding(temperature=0, max_new_tokens=6))
    asked = [Request(source, label, 0) for source in SOURCES for label in range(2)]
    for request, written in zip(asked, engine.generate(asked), strict=True):
        source = backbone.encode_source(request.source, prompts.shape[1])
        ids: list[int] = []
        while len(ids) < 6 and backbone.end_id not in ids:
            ids.append(best_next(backbone, prompts[request.label], source, ids))
        finished = ids[-1] == backbone.end_id
        assert written.finished == finished
        assert written.tokens == len(ids)
        assert written.text == backbone.decode(ids[:-1] if finished else ids)


def best_next(backbone, prompt, source, ids) -> int:
    allowed = allowed_tokens(backbone).nonzero().flatten()
    return int(allowed[next_logits(backbone, prompt, source, ids)[allowed].argmax()])


def test_a_batch_that_memory_does_not_hold_is_written_in_parts(backbone, monkeypatch):
    """The texts are the same, and the batch is not tried whole again."""
    monkeypatch.setattr(backbone, "limits", CallLimits())
    decoding = Decoding(max_new_tokens=5)
    engine = TransformersEngine(backbone, random_prompts(backbone, 2), decoding)
    whole = engine.generate(requests())
    monkeypatch.setattr(backbone, "limits", CallLimits())
    inner, sizes = engine._write, []

    def limited(asked, sources):  # type: ignore[no-untyped-def]
        sizes.append(len(asked))
        if len(asked) > 6:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return inner(asked, sources)

    monkeypatch.setattr(engine, "_write", limited)
    assert engine.generate(requests()) == whole
    first = max(sizes)
    assert first > 6
    assert sum(size for size in sizes if size <= 6) == len(whole)
    sizes.clear()
    assert engine.generate(requests()) == whole
    assert max(sizes) < first


def test_sampled_texts_depend_on_their_own_seed_only(backbone):
    prompts = random_prompts(backbone, 2)
    asked = requests()
    decoding = Decoding(max_new_tokens=5, top_k=10, batch_size=8)
    texts = TransformersEngine(backbone, prompts, decoding).generate(asked)
    alone = Decoding(max_new_tokens=5, top_k=10, batch_size=1)
    for i in (0, 5, 17, 31):
        assert TransformersEngine(backbone, prompts, alone).generate([asked[i]]) == [texts[i]]
    assert len({t.text for t in texts}) > 2 * len(SOURCES)


def test_the_same_requests_give_the_same_texts_whatever_torchs_own_state(writer):
    prompts = random_prompts(writer, 2)
    engine = TransformersEngine(writer, prompts, Decoding(max_new_tokens=8, top_k=0))
    torch.manual_seed(1)
    first = engine.generate(requests())
    state = torch.get_rng_state()
    torch.manual_seed(2)
    assert engine.generate(requests()) == first
    torch.manual_seed(1)
    assert torch.equal(torch.get_rng_state(), state)  # nor is that state used


def test_a_checkpoints_own_decoding_settings_stay_out(writer):
    prompts = random_prompts(writer, 2)
    engine = TransformersEngine(writer, prompts, Decoding(max_new_tokens=6))
    plain = engine.generate(requests())
    config = writer.model.generation_config
    before = config.to_dict()
    try:
        config.update(forced_eos_token_id=writer.end_id, min_new_tokens=6, num_beams=3)
        assert engine.generate(requests()) == plain
        assert writer.model.generation_config is config
    finally:
        config.update(
            **{k: before.get(k) for k in ("forced_eos_token_id", "min_new_tokens", "num_beams")}
        )


def test_specials_and_padding_rows_are_never_written(backbone):
    allowed = allowed_tokens(backbone)
    assert allowed[backbone.end_id]
    specials = set(backbone.tokenizer.all_special_ids) - {backbone.end_id}
    assert not any(allowed[i] for i in specials)
    assert not allowed[len(backbone.tokenizer) :].any()
    assert allowed.sum() == len(backbone.ordinary_token_ids()) + 1


def test_a_text_does_not_depend_on_when_finished_rows_leave(backbone, monkeypatch):
    prompts = random_prompts(backbone, 2)
    asked = requests(seeds=8)
    ended = TransformersEngine(backbone, prompts, Decoding(max_new_tokens=1, top_k=0)).sampler
    monkeypatch.setattr(ended.__class__, "choose", _ends_often(ended.__class__.choose))
    written = []
    for share in (0.0, 1 / 8, 2.0):  # at once; as it is; never
        monkeypatch.setattr(engine_module, "DROP", share)
        engine = TransformersEngine(backbone, prompts, Decoding(max_new_tokens=9, top_k=10))
        written.append(engine.generate(asked))
    assert written[0] == written[1] == written[2]
    assert len({text.tokens for text in written[0]}) > 4


def _ends_often(choose):
    """Every third row or so ends at a step of its own, whatever the model says."""

    def chosen(self, scores, written, labels, seeds):
        found = choose(self, scores, written, labels, seeds)
        return torch.where((seeds + written.shape[1]) % 7 == 0, self.end_id, found)

    return chosen


class _Choice(LogitsProcessor):
    """The sampler inside `generate`, which then takes the one token left."""

    def __init__(self, sampler: Sampler, labels, seeds, start: int) -> None:
        self.sampler, self.labels, self.seeds, self.start = sampler, labels, seeds, start

    def __call__(self, input_ids, scores):
        written = input_ids[:, self.start :]
        chosen = self.sampler.choose(scores.float(), written, self.labels, self.seeds)
        return torch.full_like(scores, -torch.inf).scatter_(1, chosen[:, None], 0.0)


def by_generate(backbone, prompts, decoding, asked) -> list[Generation]:
    """The texts as transformers' own loop decodes them, all in one padded batch."""
    sources = [backbone.encode_source(r.source, prompts.shape[1]) for r in asked]
    labels = torch.tensor([r.label for r in asked])
    seeds = torch.tensor([r.seed for r in asked])
    start = len(backbone.decoder_start) if backbone.is_encoder_decoder else 0
    sampler = Sampler(allowed_tokens(backbone), backbone.end_id, decoding)
    config = GenerationConfig(
        max_new_tokens=decoding.max_new_tokens,
        do_sample=False,
        eos_token_id=backbone.end_id,
        pad_token_id=backbone.end_id,
    )
    ids = backbone.model.generate(
        **backbone.generation_inputs(prompts[labels], sources),
        generation_config=config,
        logits_processor=LogitsProcessorList([_Choice(sampler, labels, seeds, start)]),
    )
    return [read_ids(backbone, row) for row in ids[:, start:].tolist()]


def test_the_shipped_backbone_writes_what_generate_would():
    """The loop, the caches and the leaving of rows change no text."""
    backbone = load_backbone(BackboneSettings())
    prompts = random_prompts(backbone, 2, length=5)
    asked = [
        Request(f"a man {verb} a dog", i % 2, i)
        for i, verb in enumerate(("is", "has", "sees and feeds", "walks", "plays with", "the"))
    ]
    decoding = Decoding(temperature=0.7, max_new_tokens=12)
    written = TransformersEngine(backbone, prompts, decoding).generate(asked)
    assert written == by_generate(backbone, prompts, decoding, asked)


def test_what_is_read_is_counted(tiny_gpt2, tiny_bart):
    """Label prompts once; equal (label, source) pairs once; then a token for each row."""
    prompts = random_prompts(tiny_gpt2, 2, length=6)
    asked = [Request(source, label, 0) for source in ("a", "a", "the") for label in (0, 1)]
    with positions_read(tiny_gpt2.model.base_model) as read:
        engine = TransformersEngine(tiny_gpt2, prompts, Decoding(max_new_tokens=1))
        assert read[0] == 2 * 5  # all but the last vector of each; then comes the engine's check
        read.clear()
        engine.generate(asked)
    longest = max(len(tiny_gpt2.encode_source(text, 6)) for text in ("a", "the"))
    assert read == [4 * (1 + longest)]
    engine = TransformersEngine(
        tiny_bart, random_prompts(tiny_bart, 2, length=6), Decoding(max_new_tokens=3)
    )
    with positions_read(tiny_bart.model.get_encoder()) as read:
        engine.generate(asked)
    longest = max(len(tiny_bart.encode_source(text, 6)) for text in ("a", "the"))
    assert read == [4 * (6 + longest)]


@contextmanager
def positions_read(module):
    """Rows times columns of each call of the module."""
    read: list[int] = []

    def note(_module, _args, kwargs):
        vectors, ids = kwargs.get("inputs_embeds"), kwargs.get("input_ids")
        read.append(ids.numel() if vectors is None else vectors.shape[:2].numel())

    hook = module.register_forward_pre_hook(note, with_kwargs=True)
    try:
        yield read
    finally:
        hook.remove()


def test_finished_rows_are_read_no_more(tiny_gpt2, monkeypatch):
    monkeypatch.setattr(Sampler, "choose", _ends_often(Sampler.choose))
    monkeypatch.setattr(engine_module, "DROP", 0.0)
    engine = TransformersEngine(tiny_gpt2, random_prompts(tiny_gpt2, 1), Decoding(max_new_tokens=9))
    asked = [Request("a", 0, seed) for seed in range(7)]  # they end with token 7, 6, ... 1
    with positions_read(tiny_gpt2.model.base_model) as read:
        tokens = [text.tokens for text in engine.generate(asked)]
    assert tokens == [1, 7, 6, 5, 4, 3, 2]
    assert read[1:] == [6, 5, 4, 3, 2, 1]


def test_rows_wider_than_a_sliding_window_are_left_to_transformers(sliding):
    engine = TransformersEngine(sliding, random_prompts(sliding, 1), Decoding())
    assert isinstance(engine._start([(0, (5, 6))], 3), PlainCausalState)


@pytest.mark.parametrize("longest", [4, 9])  # 16 columns: all rows fit, and the longest do not
def test_within_a_sliding_window_texts_are_those_of_one_row_at_a_time(tiny_gemma, longest):
    """Rows of any lengths are written together where the narrowest window holds them, and by
    length where it does not; transformers writes each alone with a cache of its own."""
    prompts = random_prompts(tiny_gemma, 2)
    decoding = Decoding(max_new_tokens=longest, temperature=0)
    engine = TransformersEngine(tiny_gemma, prompts, decoding)
    asked = [Request(text, label, 0) for text in ("a", "a b c", "b a") for label in (0, 1)]
    together = engine.generate(asked)
    engine.label_prompts = None  # nothing fits
    engine.one_length = True
    assert together == engine.generate(asked)
    engine = TransformersEngine(tiny_gemma, prompts, decoding)
    sources = encode_sources(tiny_gemma, asked, 3, engine.frame)
    rows = [(each.label, source) for each, source in zip(asked, sources, strict=True)]
    kinds = {type(engine._start([row], longest)) for row in rows}
    assert PlainCausalState not in kinds if longest == 4 else PlainCausalState in kinds


def test_no_text_ends_before_its_least_length(backbone):
    prompts = random_prompts(backbone, 2)
    decoding = Decoding(max_new_tokens=6, min_new_tokens=4, top_k=0, temperature=5.0)
    written = TransformersEngine(backbone, prompts, decoding).generate(requests(seeds=8))
    assert {text.tokens for text in written if text.finished} <= {5, 6}
    assert all(text.tokens == 6 for text in written if not text.finished)


def test_the_penalty_is_the_rows_own_labels(backbone):
    prompts = random_prompts(backbone, 1).repeat(2, 1, 1)  # labels differ in nothing else
    both = Decoding(temperature=0, max_new_tokens=12, repetition_penalty=(1.0, 5.0))
    asked = [Request(source, label, 0) for source in SOURCES for label in (0, 1)]
    written = TransformersEngine(backbone, prompts, both).generate(asked)
    for label, penalty in ((0, 1.0), (1, 5.0)):
        one = Decoding(temperature=0, max_new_tokens=12, repetition_penalty=penalty)
        alone = TransformersEngine(backbone, prompts, one).generate(asked)
        assert written[label::2] == alone[label::2]
    assert written[0::2] != written[1::2]


def test_a_model_that_forgets_what_it_wrote_is_refused(tiny_bart, tiny_gpt2, monkeypatch):
    """Its memory ends with the first token, so the second is told behind nothing."""
    for backbone, state in (
        (tiny_bart, states.EncoderDecoderState),
        (tiny_gpt2, states.CausalState),
    ):

        def forget(self, ids, read=state.read):
            return read(self, ids.roll(1) * 0 + 4)

        prompts = random_prompts(backbone, 2, length=6)
        with monkeypatch.context() as patch:
            patch.setattr(state, "read", forget)
            with pytest.raises(UserError, match="something else token by token"):
                TransformersEngine(backbone, prompts, Decoding())
        TransformersEngine(backbone, prompts, Decoding())


def test_bf16_may_round_what_a_model_would_never_write(tiny_gpt2, monkeypatch):
    """Gemma 3 with label prompts of TREC, by steps and in one pass: log p of tokens 50 nats away
    were 2.7 nats apart, those of likely ones 0.1."""
    sure = copy.deepcopy(tiny_gpt2.model).to(torch.bfloat16)
    sure.lm_head.weight = torch.nn.Parameter(20 * sure.lm_head.weight.detach().clone())
    names = {"name": "tests/sure", "fingerprint": "sure", "max_length": 256}
    backbone = Backbone(sure, tiny_gpt2.tokenizer, **names)
    whole = backbone.token_log_probs

    def rounded(*arguments, **more):
        found = whole(*arguments, **more)
        return dataclasses.replace(found, log_probs=1.15 * found.log_probs)

    monkeypatch.setattr(backbone, "token_log_probs", rounded)
    prompts = random_prompts(backbone, 2, length=6)
    engine = TransformersEngine(backbone, prompts, Decoding())
    unlikely = backbone.ordinary_token_ids()[:40]
    assert min(engine.log_probs(0, backbone.encode_source("a", 6), unlikely)) < -90
    monkeypatch.setattr(engine, "_likeliest", lambda rows, _: torch.tensor([unlikely] * 2))
    with pytest.raises(UserError, match="something else token by token"):
        engine._check()


def test_a_state_space_model_is_refused(tmp_path):
    tokenizer = word_tokenizer()
    config = MambaConfig(vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=1)
    MambaForCausalLM(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    for dtype in ("fp32", "bf16"):
        backbone = load_backbone(BackboneSettings(path=str(tmp_path), dtype=dtype))
        with pytest.raises(UserError, match=r"keeps what it has read .* \(a mamba\)"):
            TransformersEngine(backbone, random_prompts(backbone, 2, length=4), Decoding())
