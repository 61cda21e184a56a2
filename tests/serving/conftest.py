"""Finished runs of several kinds over one random model."""

from __future__ import annotations

from pathlib import Path

import pytest

from dawgen.backbone import Backbone
from tests.exporting.test_export import write_run
from tests.serving.runs import choosing, other_prompt


@pytest.fixture(scope="session")
def runs(tiny_llama: Backbone, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two prompts, no prompt, words, states, and a mean of two, over one Llama."""
    first = write_run(tmp_path_factory.mktemp("served"), tiny_llama)
    return [
        first,
        other_prompt(first, "other", 3),
        choosing(first, "nothing", "prompt"),
        choosing(first, "counted", "words"),
        choosing(first, "read", "answers"),
        choosing(first, "both", "words", "prompt"),
        choosing(first, "product", "words", "answers", groups=[0, 0]),
    ]
