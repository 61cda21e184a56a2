"""ONNX exports, run by onnxruntime in a process that has neither dawgen nor PyTorch's model."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from dawgen.backbone import Backbone
from dawgen.errors import UserError
from dawgen.exporting import export_run
from dawgen.selection.parts import Kind
from dawgen.use.classifier import Classifier
from tests.exporting.test_export import answers, label_elsewhere, write_data, write_run
from tests.selection.conftest import encoder_folder
from tests.serving.runs import choosing

__all__ = ["encoder_folder"]


def compare(run: Path, home: Path) -> None:
    pairs = write_data(home / "rows.jsonl", 24)
    export = export_run(run, "onnx", home / "out")
    label_elsewhere({export: [str(home / "rows.jsonl")]}, home)
    classifier = Classifier.load(run)
    ours, theirs = classifier.predict_proba(pairs), answers(export)
    assert ours.std(axis=0).min() > 1e-4  # the rows do not all get one score
    found = [[row["p_same"], row["p_other"]] for row in theirs]
    np.testing.assert_allclose(found, ours, rtol=2e-3, atol=2e-5)
    assert [row["prediction"] for row in theirs] == classifier.names(ours)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "tail"), [("bart", " man"), ("t5", ""), ("llama", ""), ("gpt2", " man")]
)
def test_a_prompt_labels_as_the_run_does(
    request: pytest.FixtureRequest, tmp_path: Path, name: str, tail: str
) -> None:
    compare(write_run(tmp_path, request.getfixturevalue(f"tiny_{name}"), tail), tmp_path)


@pytest.mark.parametrize("kind", [pytest.param("embeddings", marks=pytest.mark.slow), "tuned"])
def test_a_head_on_sentence_embeddings_does(
    kind: Kind, tiny_bart: Backbone, encoder_folder: Path, tmp_path: Path
) -> None:
    run = write_run(tmp_path, tiny_bart)
    with (run / "config.yaml").open("a") as file:
        file.write(f"selection: {{encoder: {encoder_folder}}}\n")
    compare(choosing(run, "embedded", kind), tmp_path)


def test_without_its_package_the_extra_is_named(
    tiny_bart: Backbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(UserError, match=r"needs onnxscript; .* 'dawgen\[onnx\]'"):
        export_run(write_run(tmp_path, tiny_bart), "onnx", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_another_head_is_refused(tiny_bart: Backbone, tmp_path: Path) -> None:
    run = choosing(write_run(tmp_path, tiny_bart), "counted", "words")
    with pytest.raises(UserError, match=r"ships counted; .* Export it with --to choice"):
        export_run(run, "onnx", tmp_path / "out")
