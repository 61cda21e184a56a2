"""Rows are chosen by the best classifier that the few shots alone give."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dawgen.backbone import Backbone
from dawgen.pipeline.reader import BASELINE, HeadReader, PromptReader, RunReader, reader_of
from dawgen.pipeline.stage import Context
from dawgen.prompts import save_prompt
from dawgen.selection import tuning
from dawgen.selection.candidates import Made
from dawgen.selection.parts import Models
from dawgen.selection.select import select
from dawgen.selection.tuning import Reading
from dawgen.settings import Settings
from dawgen.settings.layers import build_settings
from dawgen.storage.folder import RunFolder
from dawgen.tasks import Row, Shots, TaskCard
from dawgen.tasks.job import Job
from tests.selection.conftest import encoder_folder
from tests.tuning.toy import toy_card

__all__ = ["encoder_folder"]

WORDS = {"positive": "lovely", "negative": "dreadful"}


def shots(told: bool) -> Shots:
    """Rows whose words tell the label, or rows whose labels cannot be foretold."""
    rows = [
        Row(f"{WORDS[label] if told else 'plain'} word{n}", None, label)
        for n in range(16)
        for label in WORDS
    ]
    return Shots(rows[:16], rows[16:])


@pytest.fixture
def context(tmp_path: Path, tiny_gpt2: Backbone) -> Context:
    """A run whose first prompt is random, so that it reads nothing."""
    save_prompt(torch.randn(3, tiny_gpt2.hidden_size), tmp_path / BASELINE, tiny_gpt2)
    job = Job(toy_card(), shots(told=True), None)
    return Context(RunFolder(tmp_path), job, tiny_gpt2, 13)


def settings_of(candidates: str | list[str]) -> Settings:
    return build_settings(overrides=[("selection.candidates", candidates)])[0]


def test_a_head_that_reads_better_than_the_prompt_chooses(
    context: Context, capsys: pytest.CaptureFixture[str]
) -> None:
    reader = made_of(context, settings_of(["tfidf", "prompt"]))
    assert isinstance(reader, HeadReader)
    assert "rows are chosen by tfidf, on held-out shots 100% right" in capsys.readouterr().err
    rows = [Row(f"{WORDS['negative']} a", None, "positive"), Row(WORDS["positive"], None, None)]
    scores = reader(rows)
    assert scores.dtype == torch.float64
    labels = [context.job.card.labels[i] for i in scores.argmax(dim=1)]
    assert labels == ["negative", "positive"]
    np.testing.assert_allclose(scores.exp().sum(dim=1), 1, atol=1e-5)


def made_of(context: Context, settings: Settings) -> PromptReader | HeadReader:
    """With models of its own."""
    return reader_of(context, settings, Models(context.job.card, settings, context.backbone))


def test_its_fingerprint_is_of_what_it_is_made_of(context: Context) -> None:
    """And nothing is fitted for it."""
    settings, rows = settings_of(["tfidf"]), context.job.shots.train
    first, again = (RunReader.of(context, settings) for _ in range(2))
    before = first.fingerprint
    assert again.fingerprint == before
    assert "_reader" not in vars(first)
    new = [*rows[1:], Row("lovely new", None, "positive")]
    job = Job(toy_card(), Shots(new, context.job.shots.dev), None)
    other = Context(context.folder, job, context.backbone, context.seed)
    assert RunReader.of(other, settings).fingerprint != before
    assert RunReader.of(context, settings_of("paper")).fingerprint != before
    more = settings_of(["tfidf", "prompt", "average"])  # which do not read
    assert RunReader.of(context, more).fingerprint == before
    prompt = torch.randn(3, context.backbone.hidden_size)
    save_prompt(prompt, context.path / BASELINE, context.backbone)
    assert RunReader.of(context, settings).fingerprint != before


def test_a_head_reads_nothing_of_the_development_shots(context: Context) -> None:
    """Else the rows that it chooses would know what the run is compared on."""
    settings, job = settings_of(["tfidf"]), context.job
    dev = [Row(f"{row.text1} unseen{n}", None, row.label) for n, row in enumerate(job.shots.dev)]
    other = Job(job.card, Shots(job.shots.train, dev), None)
    changed = Context(context.folder, other, context.backbone, context.seed)
    first, again = (RunReader.of(each, settings)(dev) for each in (context, changed))
    torch.testing.assert_close(first, again, rtol=0, atol=0)


def test_the_choice_tunes_no_encoder_again_that_the_reader_has_tuned(
    context: Context, encoder_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One on the training shots, which reads, one on the development shots, and one on both."""
    seen: list[int] = []
    tune = tuning.tune

    def counted(reading: Reading, card: TaskCard, rows: Sequence[Row], seed: int) -> Any:
        seen.append(len(rows))
        return tune(reading, card, rows, seed)

    monkeypatch.setattr(tuning, "tune", counted)
    settings = settings_of(["tuned-embeddings"])
    chosen = settings.selection.model_copy(update={"encoder": str(encoder_folder)})
    settings, shots = settings.model_copy(update={"selection": chosen}), context.job.shots
    models = Models(context.job.card, settings, context.backbone)
    reader = reader_of(context, settings, models)
    assert isinstance(reader, HeadReader)
    assert seen == [16, 16]
    found = select(shots, Made(), models)
    assert seen == [16, 16]
    chances = found.shipped.ship().probabilities(shots.dev)
    assert seen == [16, 16, 32]
    assert np.abs(chances - reader.choice.probabilities(shots.dev)).max() > 1e-6


def test_paper_is_the_prompt_alone(context: Context) -> None:
    reader = made_of(context, settings_of("paper"))
    assert isinstance(reader, PromptReader)
    torch.testing.assert_close(reader.prompt, PromptReader.of(context, 512).prompt, rtol=0, atol=0)
