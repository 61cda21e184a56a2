"""Rows are chosen by the best classifier that the few shots alone give."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from dawgen.backbone import Backbone
from dawgen.pipeline.reader import BASELINE, HeadReader, PromptReader, reader_of
from dawgen.pipeline.stage import Context
from dawgen.prompts import save_prompt
from dawgen.settings import Settings
from dawgen.settings.layers import build_settings
from dawgen.storage.folder import RunFolder
from dawgen.tasks import Row, Shots
from dawgen.tasks.job import Job
from tests.tuning.toy import toy_card

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
    reader = reader_of(context, settings_of(["tfidf", "prompt"]))
    assert isinstance(reader, HeadReader)
    assert "rows are chosen by tfidf, on held-out shots 100% right" in capsys.readouterr().err
    rows = [Row(f"{WORDS['negative']} a", None, "positive"), Row(WORDS["positive"], None, None)]
    scores = reader(rows)
    assert scores.dtype == torch.float64
    labels = [context.job.card.labels[i] for i in scores.argmax(dim=1)]
    assert labels == ["negative", "positive"]
    np.testing.assert_allclose(scores.exp().sum(dim=1), 1, atol=1e-5)


def test_its_fingerprint_is_of_the_head(context: Context) -> None:
    first, again = (reader_of(context, settings_of(["tfidf"])) for _ in range(2))
    assert first.fingerprint == again.fingerprint
    rows = [*context.job.shots.train[1:], Row("lovely new", None, "positive")]
    other = Context(
        context.folder, Job(toy_card(), Shots(rows, []), None), context.backbone, context.seed
    )
    other.job.shots.dev.extend(context.job.shots.dev)
    assert reader_of(other, settings_of(["tfidf"])).fingerprint != first.fingerprint


def test_a_head_reads_nothing_of_the_development_shots(context: Context) -> None:
    """Else the rows that it chooses would know what the run is compared on."""
    settings, job = settings_of(["tfidf"]), context.job
    first = reader_of(context, settings)
    dev = [Row(f"{row.text1} unseen{n}", None, row.label) for n, row in enumerate(job.shots.dev)]
    other = Job(job.card, Shots(job.shots.train, dev), None)
    again = reader_of(Context(context.folder, other, context.backbone, context.seed), settings)
    assert isinstance(first, HeadReader)
    assert again.fingerprint == first.fingerprint


def test_paper_is_the_prompt_alone(context: Context) -> None:
    reader = reader_of(context, settings_of("paper"))
    assert isinstance(reader, PromptReader)
    torch.testing.assert_close(reader.prompt, PromptReader.of(context, 512).prompt, rtol=0, atol=0)
