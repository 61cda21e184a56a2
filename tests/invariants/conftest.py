"""The small job as fixtures."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest

from dawgen.backbone import Backbone
from tests.invariants.jobs import Outcome, SmallJob, write_job


@pytest.fixture(scope="session")
def model_folder(tiny_bart: Backbone, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BART-shaped model on disk that ends its sentences after a few words."""
    folder = tmp_path_factory.mktemp("model")
    model = copy.deepcopy(tiny_bart.model)
    model.final_logits_bias[0, tiny_bart.end_id] = 4.0
    model.save_pretrained(folder)
    tiny_bart.tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def job(tmp_path: Path, model_folder: Path) -> SmallJob:
    """A job whose files a test may spoil."""
    return write_job(tmp_path, model_folder)


@pytest.fixture(scope="session")
def finished(
    tmp_path_factory: pytest.TempPathFactory, model_folder: Path
) -> tuple[SmallJob, Path, Outcome]:
    """A finished run that tests only read: its job, its folder, what it printed."""
    folder = tmp_path_factory.mktemp("finished")
    job = write_job(folder, model_folder)
    outcome = job.run(folder / "run")
    assert outcome.code == 0, outcome.err
    return job, folder / "run", outcome
