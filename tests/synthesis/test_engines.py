from __future__ import annotations

import pytest
import torch

from dawgen.backbone import Backbone
from dawgen.synthesis.engines import Decoding, Request, TransformersEngine
from dawgen.synthesis.engines.sampling import Sampler
from dawgen.synthesis.engines.transformers import allowed_tokens
from tests.synthesis.helpers import random_prompts

SOURCES = ["", "a dog runs", "two young children and a woman", "no"]


@pytest.fixture(params=["writer", "tiny_t5", "tiny_gpt2"])
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


@torch.no_grad()
def next_logits(backbone, prompt, source, ids) -> torch.Tensor:
    """Logits [V] of the token after source and ids, without cache, batch or padding."""
    if not ids:
        every = [[i] for i in range(backbone.head.weight.shape[0])]
        return backbone.label_scores(prompt[None], [source], every)[0]
    scores = backbone.token_log_probs(prompt[None], [source], [ids])
    return backbone.head.logits(scores.hidden[0, -1:])[0]


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


def test_first_tokens_follow_the_models_own_probabilities(writer):
    prompts = random_prompts(writer, 1)
    engine = TransformersEngine(
        writer, prompts, Decoding(max_new_tokens=1, top_k=0, batch_size=500)
    )
    n = 3000
    written = engine.generate([Request("a dog", 0, seed) for seed in range(n)])
    ended = sum(w.finished for w in written)
    logits = next_logits(writer, prompts[0], writer.encode_source("a dog", 3), [])
    logits = logits.masked_fill(~allowed_tokens(writer), -torch.inf)
    p = logits.softmax(-1)[writer.end_id].item()
    assert abs(ended / n - p) < 4 * (p * (1 - p) / n) ** 0.5
    assert 0.02 < p < 0.98


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


# --- the choice of one token, by hand -------------------------------------------------

LOGITS = torch.tensor([[1.0, 5.0, 4.0, 3.0], [2.0, -1.0, 9.0, 0.0]])
ALLOWED = torch.tensor([True, True, False, True])


def sampler(seeds=(1, 2), start=0, **decoding) -> Sampler:
    return Sampler(ALLOWED, torch.tensor(seeds), Decoding(**decoding), start)


def nothing(rows: int) -> torch.Tensor:
    return torch.zeros(rows, 0, dtype=torch.long)


def test_greedy_choice_passes_over_what_is_not_allowed():
    assert sampler(temperature=0).choose(nothing(2), LOGITS).tolist() == [1, 0]


def test_top_1_is_greedy_at_any_temperature():
    assert sampler(temperature=7.0, top_k=1).choose(nothing(2), LOGITS).tolist() == [1, 0]


def test_penalty_divides_positive_and_multiplies_negative_logits():
    written = torch.tensor([[1, 1], [0, 1]])
    # row 0: 5 -> 2.5 < 3: token 3; row 1: 2 -> 1, still above -2 and 0
    chosen = sampler(temperature=0, repetition_penalty=2.0).choose(written, LOGITS)
    assert chosen.tolist() == [3, 0]
    # at 30, row 1 has 2 -> 0.07 and -1 -> -30: token 0 still; at logit 0 nothing changes
    chosen = sampler(temperature=0, repetition_penalty=30.0).choose(written, LOGITS)
    assert chosen.tolist() == [3, 0]


def test_the_decoders_start_mark_is_not_penalised():
    start = torch.tensor([[1], [1]])
    scores = sampler(temperature=0, repetition_penalty=9.0, start=1)(start, LOGITS)
    assert scores.argmax(-1).tolist() == [1, 0]
    assert torch.isinf(scores).sum() == 6


def test_sampling_stays_within_top_k_and_reaches_all_of_it():
    rows = 400
    logits = torch.tensor([[0.0, 0.2, 9.0, 0.1]]).expand(rows, -1)
    two = sampler(seeds=range(rows), top_k=2).choose(nothing(rows), logits)
    assert set(two.tolist()) == {1, 3}
    everything = sampler(seeds=range(rows), top_k=0).choose(nothing(rows), logits)
    assert set(everything.tolist()) == {0, 1, 3}


def test_low_temperature_sharpens():
    rows = 400
    logits = torch.tensor([[0.0, 0.5, 0.0, 0.0]]).expand(rows, -1)
    share = [
        (sampler(seeds=range(rows), top_k=0, temperature=t).choose(nothing(rows), logits) == 1)
        .float()
        .mean()
        for t in (0.1, 1.0, 10.0)
    ]
    assert share[0] > 0.95 > share[1] > share[2] > 0.25
