"""Few shots of the label that a row reads as earlier turns."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from dawgen.backbone import Backbone
from dawgen.decoding import Generation, Request
from dawgen.decoding.choose import decoding_of
from dawgen.errors import UserError
from dawgen.settings import SynthesisSettings
from dawgen.streams import Streams
from dawgen.synthesis.sources import GENERATED, FirstSentence
from dawgen.synthesis.writer import TURNS_SHARED_BY, Attempt, Writer
from dawgen.tasks import Row, TaskCard, load_card

SINGLE, PAIRS = load_card("sst2"), load_card("sick")


class Recorder:
    """An engine that writes one word, and keeps what it was asked for."""

    name = "recorder"

    def __init__(self) -> None:
        self.requests: list[Request] = []

    def generate(self, requests: list[Request]) -> list[Generation]:
        self.requests += requests
        return [Generation("word", 1, True) for _ in requests]


def asked(card: TaskCard, shots: list[Row], first: FirstSentence, turns: int) -> list[Request]:
    engine = Recorder()
    cleaner: Any = SimpleNamespace(
        text_reason=lambda text, label: None,
        first_reason=lambda text, finished: None,
        judge=lambda rows, scorer: rows,
    )
    scorer: Any = None
    writer = Writer(card, engine, cleaner, scorer, Streams(1), shots, turns)
    labels = range(len(card.labels))
    writer.write([Attempt(c, n, first, 0) for n in range(3 * TURNS_SHARED_BY) for c in labels])
    return engine.requests


def test_single_texts_read_shots_of_their_label_drawn_anew_for_some_attempts() -> None:
    shots = [Row(f"{label} {n}", None, label) for label in SINGLE.labels for n in range(16)]
    requests = asked(SINGLE, shots, GENERATED, 4)
    draws: dict[int, list[tuple[Any, ...]]] = {}
    for request in requests:
        label = SINGLE.labels[request.label]
        assert len(set(request.turns)) == 4
        words = SINGLE.label_prompts[label]
        assert request.source == words
        assert all(said == words and text.startswith(label) for said, text in request.turns)
        draws.setdefault(request.label, []).append(request.turns)
    for turns in draws.values():
        groups = [turns[i : i + TURNS_SHARED_BY] for i in range(0, len(turns), TURNS_SHARED_BY)]
        assert all(len(set(group)) == 1 for group in groups)
        assert len(set(turns)) == len(groups) == 3
    assert requests == asked(SINGLE, shots, GENERATED, 4)


def test_pairs_read_pairs_and_first_texts_read_first_texts() -> None:
    shots = [Row(f"first {n}", f"{c} {n}", c) for c in PAIRS.labels for n in range(2)]
    for request in asked(PAIRS, shots, GENERATED, 4):  # more than there are
        label = PAIRS.labels[request.label]
        words = PAIRS.label_prompts[label]
        pairs = {(f"{words} first {n}", f"{label} {n}") for n in range(2)}
        firsts = {(words, f"first {n}") for n in range(2)}
        behind_a_first_text = request.source == f"{words} word"
        assert behind_a_first_text or request.source == words
        assert set(request.turns) == (pairs if behind_a_first_text else firsts)


def test_without_the_setting_there_are_no_turns() -> None:
    shots = [Row("a", None, label) for label in SINGLE.labels]
    assert not any(request.turns for request in asked(SINGLE, shots, GENERATED, 0))


def test_a_sequence_to_sequence_model_has_no_turns(tiny_t5: Backbone) -> None:
    settings = SynthesisSettings(shots_in_context=2)
    rows = [Row("a dog", None, label) for label in SINGLE.labels]
    with pytest.raises(UserError, match=r"set synthesis\.shots_in_context to 0"):
        decoding_of(settings, SINGLE, rows, tiny_t5, 4, writes_first=False)
