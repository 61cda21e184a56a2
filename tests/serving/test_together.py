"""Rows of several tasks that are read together get what each task alone gives them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dawgen.backbone import Backbone
from dawgen.errors import UserError
from dawgen.selection.parts import HeadPart, PromptPart
from dawgen.serving.models import Shelf
from dawgen.serving.tasks import open_tasks
from dawgen.serving.together import Reading, read_together
from dawgen.use.classifier import Classifier
from tests.exporting.test_export import write_run
from tests.selection.conftest import cross_folder, encoder_folder
from tests.serving.runs import PAIRS, choosing, other_prompt

__all__ = ["cross_folder", "encoder_folder"]


def compare(folders: list[Path]) -> None:
    """All runs at once, each with other rows, against one run at a time."""
    tasks = list(open_tasks(folders).values())
    asked = [task.as_rows(PAIRS[n : 30 - n]) for n, task in enumerate(tasks)]
    found = read_together(
        [Reading(task.choice, rows) for task, rows in zip(tasks, asked, strict=True)]
    )
    for n, (folder, chances) in enumerate(zip(folders, found, strict=True)):
        alone = Classifier.load(folder).predict_proba(PAIRS[n : 30 - n])
        np.testing.assert_allclose(chances, alone, rtol=1e-4, atol=1e-6)
    assert np.abs(found[0][1:20] - found[1][:19]).max() > 1e-3  # each task's own prompt was read


def test_tasks_of_all_kinds(runs: list[Path]) -> None:
    compare(runs)


@pytest.fixture
def first(tiny_llama: Backbone, cross_folder: Path, tmp_path: Path) -> Path:
    """A run whose sentence encoder has a cross-encoder."""
    run = write_run(tmp_path / "first", tiny_llama)
    with (run / "config.yaml").open("a") as file:
        file.write(f"selection: {{encoder: {cross_folder}}}\n")
    return run


def test_vectors_and_words_of_pairs(first: Path) -> None:
    compare(
        [
            choosing(first, "vectors", "embeddings"),
            choosing(first, "words", "alignment"),
            choosing(first, "tuned", "tuned"),  # by changes of the encoder that all of them share
            choosing(first, "cross", "cross"),
            choosing(first, "tuned across", "tuned-cross"),
            choosing(first, "across", "cross", "embeddings", groups=[0, 0]),
            choosing(first, "all", "alignment", "embeddings", groups=[0, 0]),
        ]
    )


def test_tasks_share_their_cross_encoder(first: Path) -> None:
    runs = [choosing(first, name, "cross") for name in ("one", "other")]
    parts = [task.choice.parts[0] for task in open_tasks(runs).values()]
    heads = [part for part in parts if isinstance(part, HeadPart)]
    assert heads[0].features.read is heads[1].features.read


@pytest.mark.parametrize(
    ("name", "tail"), [("bart", ""), ("bart", " man"), ("gpt2", ""), ("llama", " man")]
)
def test_prompts_on_every_kind_of_backbone(
    request: pytest.FixtureRequest, tmp_path: Path, name: str, tail: str
) -> None:
    """Read end to end, or padded; label words of one token or several."""
    backbone: Backbone = request.getfixturevalue(f"tiny_{name}")
    first = write_run(tmp_path, backbone, tail)
    compare([first, other_prompt(first, "other", 3)])


def test_a_model_is_loaded_once(runs: list[Path], tmp_path: Path) -> None:
    shelf = Shelf()
    tasks = open_tasks(runs, shelf=shelf)
    assert shelf.count == 1
    shorter = open_tasks(runs[:1], ["backbone.max_length=64"], shelf)["run"]
    assert shelf.count == 1
    one, other = (task.choice.parts[0] for task in (tasks["run"], shorter))
    assert isinstance(one, PromptPart)
    assert isinstance(other, PromptPart)
    assert other.models.backbone.max_length == 64
    assert one.models.backbone.max_length != 64
    assert other.models.backbone.table() is one.models.backbone.table()


def test_two_runs_of_one_name_are_refused(runs: list[Path], tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with pytest.raises(UserError, match="would both be served as 'run'; rename one"):
        open_tasks([runs[0], tmp_path / "run"])
    with pytest.raises(UserError, match="no finished run folder"):
        open_tasks([tmp_path / "run"])


def test_scores_that_are_not_finite_are_an_error(runs: list[Path]) -> None:
    task = open_tasks(runs[:1])["run"]
    (part,) = task.choice.parts
    assert isinstance(part, PromptPart)
    assert part.prompt is not None
    part.prompt[0, 0] = float("nan")
    with pytest.raises(UserError, match="scores of prompt are not finite"):
        read_together([Reading(task.choice, task.as_rows(PAIRS[:2]))])
