"""What a run ships is exported, be it a prompt, nothing but the backbone, or linear heads."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from huggingface_hub import ModelCard

from dawgen.backbone import Backbone
from dawgen.errors import UserError
from dawgen.exporting import export_run
from dawgen.use.classifier import Classifier
from tests.exporting.test_export import answers, label_elsewhere, write_data, write_run
from tests.invariants.jobs import dawgen
from tests.selection.conftest import cross_folder, encoder_folder
from tests.serving.runs import choosing

__all__ = ["cross_folder", "encoder_folder"]

Made = tuple[dict[str, Path], dict[str, Path], list[tuple[str, str]]]


@pytest.fixture(scope="module")
def made(
    tiny_bart: Backbone,
    tiny_llama: Backbone,
    cross_folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Made:
    """Runs that ship different things, and their exports, each asked elsewhere."""
    home = tmp_path_factory.mktemp("choices")
    bart, llama = (
        write_run(home / name, backbone)
        for name, backbone in (("bart", tiny_bart), ("llama", tiny_llama))
    )
    for run in (bart, llama):
        with (run / "config.yaml").open("a") as file:
            file.write(f"selection: {{encoder: {cross_folder}}}\n")
        card = yaml.safe_load((run / "task.yaml").read_text())  # whose rows fit with it
        (run / "task.yaml").write_text(yaml.safe_dump(card | {"instruction": "Same or other?"}))
    runs = {
        "prompt": bart,
        "words": choosing(bart, "words", "words"),
        "embeddings": choosing(bart, "embeddings", "embeddings"),
        "alignment": choosing(bart, "alignment", "alignment"),
        "pair": choosing(bart, "pair", "alignment", "embeddings", "answers", groups=[0, 0, 0]),
        "tuned": choosing(bart, "tuned", "alignment", "tuned", groups=[0, 0]),
        "cross": choosing(bart, "cross", "alignment", "cross", groups=[0, 0]),
        "tuned cross": choosing(bart, "tuned cross", "tuned-cross", "alignment", groups=[0, 0]),
        "encoder": choosing(bart, "encoder", "answers"),
        "decoder": choosing(llama, "decoder", "answers"),
        "mean": choosing(bart, "mean", "words", "embeddings", "answers"),
        "product": choosing(bart, "product", "words", "embeddings", "answers", groups=[4, 1, 4]),
        "zero-shot": choosing(bart, "zero-shot", "prompt"),
    }
    pairs = write_data(home / "rows.jsonl", 24)
    exports = {name: export_run(run, "choice", home / f"to-{name}") for name, run in runs.items()}
    label_elsewhere({export: [str(home / "rows.jsonl")] for export in exports.values()}, home)
    return runs, exports, pairs


@pytest.mark.parametrize(
    "name",
    [
        *("prompt", "words", "embeddings", "alignment", "pair", "encoder", "decoder", "mean"),
        *("tuned", "cross", "tuned cross", "product", "zero-shot"),
    ],
)
def test_the_shipped_choice_labels_as_the_run_does(made: Made, name: str) -> None:
    runs, exports, pairs = made
    classifier = Classifier.load(runs[name])
    ours, theirs = classifier.predict_proba(pairs), answers(exports[name])
    assert ours.std(axis=0).min() > 1e-4  # the rows do not all get one score
    found = [[row["p_same"], row["p_other"]] for row in theirs]
    np.testing.assert_allclose(found, ours, rtol=2e-3, atol=2e-5)
    assert [row["prediction"] for row in theirs] == classifier.names(ours)


def test_heads_multiplied_are_not_their_mean(made: Made) -> None:
    runs, _, pairs = made
    mean, product = (
        Classifier.load(runs[name]).predict_proba(pairs) for name in ("mean", "product")
    )
    assert np.abs(mean - product).max() > 1e-2


def test_the_card_is_of_what_is_shipped(made: Made) -> None:
    exports = made[1]
    card = ModelCard.load(exports["words"] / "README.md")
    assert "| this classifier | 62.5% |" in card.text
    assert "soft prompt, vectors" not in card.text
    assert "prompt-tuning" not in (card.data.tags or [])
    assert card.data.library_name is None
    home = exports["words"].parent
    for path in exports["mean"].rglob("*"):
        if path.is_file() and path.name != "answers.jsonl":
            assert str(home).encode() not in path.read_bytes(), path
    assert sorted(path.name for path in exports["words"].iterdir()) == [
        *("README.md", "answers.jsonl", "head.safetensors", "predict.py", "rows.py", "task.json"),
        *("text_tokenizer.py", "words.json"),
    ]


def test_the_command_exports_what_is_shipped(made: Made, tmp_path: Path) -> None:
    outcome = dawgen("export", made[0]["words"], "--out", tmp_path / "out")
    assert outcome.code == 0, outcome.err
    assert "warning" not in outcome.err
    assert json.loads((tmp_path / "out" / "task.json").read_text())["kinds"] == ["words"]
    outcome = dawgen("export", made[0]["words"], "--to", "peft", "--out", tmp_path / "peft")
    assert outcome.code == 0, outcome.err
    assert "ships words, which was better" in outcome.err
    assert "--to choice exports what it ships" in outcome.err


def test_a_mean_with_a_prompt_is_refused(made: Made, tmp_path: Path) -> None:
    run = choosing(made[0]["prompt"], "mixed", "words", "prompt")
    with pytest.raises(UserError, match="ships mixed, of which zero-shot is not exported"):
        export_run(run, "choice", tmp_path / "out")
    assert not (tmp_path / "out").exists()
