"""Engines, scores, spreading and imports read a source in the frame that it was tuned in."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from dawgen.backbone import Backbone
from dawgen.backbone.choose_frame import frame_for
from dawgen.backbone.frame import Frame
from dawgen.decoding import Decoding, Engine, Request, TransformersEngine
from dawgen.decoding.base import allowed_tokens
from dawgen.decoding.ctranslate2 import CTranslate2Engine
from dawgen.generator import Generator
from dawgen.settings import BackboneSettings, SynthesisSettings
from dawgen.streams import Streams
from dawgen.synthesis import spread as spreading
from dawgen.synthesis import synthesize
from dawgen.synthesis.rows import SyntheticRow
from dawgen.synthesis.scoring import Scorer, log_likelihoods
from dawgen.tasks import Row, TaskCard, load_card
from tests.synthesis.helpers import random_prompts

CARD = load_card("sick")
TEXTS = [("a dog runs", "a dog is old"), ("", "a man"), ("two", "no")]


@pytest.fixture
def frame(tiny_chat: Backbone) -> Frame:
    found = frame_for(CARD, tiny_chat)
    assert found is not None
    return found


@pytest.fixture(params=[TransformersEngine, CTranslate2Engine])
def engine(request, tiny_chat: Backbone, frame: Frame) -> Engine:
    if request.param is CTranslate2Engine:
        pytest.importorskip("ctranslate2")
    decoding = Decoding(temperature=0, max_new_tokens=6, frame=frame)
    return request.param(tiny_chat, random_prompts(tiny_chat, 2), decoding)


def chat_ids(backbone: Backbone, source: str) -> list[int]:
    """What the chat template puts before the model's answer, its system turn left out."""
    user = source or CARD.request
    return backbone.tokenizer(
        f"<|im_start|>user\n{user}<|im_end|>\n<|im_start|>assistant\n", add_special_tokens=False
    )["input_ids"]


@torch.no_grad()
def plain_logits(backbone: Backbone, prompt: torch.Tensor, ids: list[int]) -> torch.Tensor:
    vectors = torch.cat([prompt, backbone.embed(torch.tensor(ids))])
    return backbone.model(inputs_embeds=vectors[None]).logits[0]


def test_greedy_texts_are_plain_transformers(tiny_chat: Backbone, frame: Frame, engine) -> None:
    """They end at the template's end of turn; the model's own end mark is not written."""
    end = tiny_chat.tokenizer.convert_tokens_to_ids("<|im_end|>")
    allowed = allowed_tokens(tiny_chat, frame)
    assert allowed[end]
    assert not allowed[tiny_chat.end_id]
    prompts = random_prompts(tiny_chat, 2)
    asked = [Request(source, label, 0) for source in ("", "a dog runs") for label in (0, 1)]
    for request, found in zip(asked, engine.generate(asked), strict=True):
        ids, written = chat_ids(tiny_chat, request.source), []
        while len(written) < 6 and end not in written:
            logits = plain_logits(tiny_chat, prompts[request.label], [*ids, *written])[-1]
            written.append(int(logits.masked_fill(~allowed, -torch.inf).argmax()))
        assert found.text == tiny_chat.decode([i for i in written if i != end])
        assert found.finished == (end in written)
        assert CARD.request not in found.text


def test_texts_end_with_the_turn(tiny_chat: Backbone, frame: Frame) -> None:
    prompts = random_prompts(tiny_chat, 2)
    decoding = Decoding(top_k=0, temperature=3.0, max_new_tokens=60, frame=frame)
    engine = TransformersEngine(tiny_chat, prompts, decoding)
    found = engine.generate([Request("a dog", 0, seed) for seed in range(64)])
    assert any(text.finished for text in found)


def test_log_probabilities_agree(tiny_chat: Backbone, frame: Frame, engine) -> None:
    end = tiny_chat.end_of(frame)
    target = [*tiny_chat.text_ids("no dog"), end]
    forbidden = ~allowed_tokens(tiny_chat, frame)
    for source in ("a dog runs", ""):
        ids = chat_ids(tiny_chat, source)
        assert tiny_chat.encode_source(source, 3, frame) == ids
        logits = plain_logits(tiny_chat, random_prompts(tiny_chat, 2)[1], [*ids, *target])
        scores = logits[-len(target) - 1 : -1].masked_fill(forbidden, -torch.inf).log_softmax(-1)
        expected = scores[torch.arange(len(target)), target].tolist()
        assert engine.log_probs(1, ids, target) == pytest.approx(expected, abs=1e-3)


def expected_score(backbone: Backbone, prompt: torch.Tensor, source: str, text: str) -> float:
    end = int(backbone.tokenizer.convert_tokens_to_ids("<|im_end|>"))  # type: ignore[arg-type]
    target = [*backbone.text_ids(text), end]
    logits = plain_logits(backbone, prompt, [*chat_ids(backbone, source), *target])
    log_probs = logits[-len(target) - 1 : -1].log_softmax(-1)
    return float(log_probs[torch.arange(len(target)), target].sum())


def test_scores_are_of_the_framed_texts(tiny_chat: Backbone, frame: Frame) -> None:
    prompts = random_prompts(tiny_chat, 2)
    found = log_likelihoods(tiny_chat, prompts, TEXTS, frame)
    for i, (source, text) in enumerate(TEXTS):
        for label in range(2):
            expected = expected_score(tiny_chat, prompts[label], source, text)
            assert found[i, label] == pytest.approx(expected, abs=1e-3)


class Here:
    """A cluster of this process."""

    def spread(self, work, pieces, *, ordered: bool):  # type: ignore[no-untyped-def]
        return [work(piece) for piece in pieces]


def test_a_cluster_reads_in_the_frame_too(
    tiny_chat: Backbone, frame: Frame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spreading, "worker_backbone", lambda _: tiny_chat)
    spread = spreading.Spread(Here(), BackboneSettings())  # type: ignore[arg-type]
    prompts = random_prompts(tiny_chat, 2)
    local = TransformersEngine(tiny_chat, prompts, Decoding(max_new_tokens=5, frame=frame))
    asked = [Request(source, 1, seed) for seed, source in enumerate(("a dog", "", "two"))]
    assert spread.engine(local).generate(asked) == local.generate(asked)
    here = log_likelihoods(tiny_chat, prompts, TEXTS, frame)
    assert torch.equal(log_likelihoods(tiny_chat, prompts, TEXTS, frame, spread.score), here)


def test_foreign_rows_are_scored_in_the_generators_frame(
    tiny_chat: Backbone, frame: Frame, tmp_path: Path
) -> None:
    prompts = random_prompts(tiny_chat, 3)
    Generator(prompts, frame=frame).save(tmp_path, tiny_chat, CARD.labels)
    assert Generator.load(tmp_path, CARD.labels, tiny_chat).frame == frame
    row = SyntheticRow("a dog runs", "a dog", "neutral", first_sentence="there")
    (found,) = Scorer.load(tmp_path, CARD, tiny_chat)([row])
    expected = expected_score(tiny_chat, prompts[1], "a dog runs", "a dog")
    assert found.log_likelihood == pytest.approx(expected, abs=1e-3)


def test_no_row_holds_its_request(tiny_chat: Backbone, tmp_path: Path) -> None:
    """Single texts are written behind a request, which is in no row, and is no first text."""
    card = TaskCard(**{**load_card("sst2").model_dump(), "hub": None})
    frame = frame_for(card, tiny_chat)
    shots = [
        Row(f"{text} film", None, label) for text, label in zip("ab", card.labels, strict=True)
    ]
    rules = ["cut off", "broken text", "too short", "too long", "other script", "empty"]
    settings = SynthesisSettings(
        rows_per_label=3, max_new_tokens=12, cleaning={"skip": rules}, keep_rejected=True
    )
    made = synthesize(
        card, shots, random_prompts(tiny_chat, 2), tiny_chat, settings, Streams(1), tmp_path,
        frame=frame,
    )  # fmt: skip
    assert made.rows
    for row in made.rows:
        assert row.text2 is None
        assert "Write a text" not in row.text1
