"""GGUF exports: read back by transformers' reader, and by llama.cpp where it is installed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from dawgen.backbone import Backbone, load_backbone
from dawgen.backbone.gguf import read_header
from dawgen.backbone.load import check_head
from dawgen.errors import UserError
from dawgen.exporting import export_run
from dawgen.exporting.gguf import permuted
from dawgen.settings import BackboneSettings
from dawgen.tasks import Row
from dawgen.use.classifier import Classifier
from tests.backbone import toys
from tests.exporting.test_export import answers, label_elsewhere, write_data, write_run

TEXT = "a man runs 12 times . <dawgen-0> answer: é"


@pytest.fixture(scope="module")
def exported(tiny_llama: Backbone, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A run on a Llama whose tokenizer puts a mark first, and its export."""
    home = tmp_path_factory.mktemp("gguf")
    run = write_run(home, tiny_llama)
    return run, export_run(run, "gguf", home / "out")


def test_read_back_it_scores_as_the_run_does(exported: tuple[Path, Path]) -> None:
    """The prompt's tokens before a row's ids, by transformers' reader."""
    run, folder = exported
    classifier = Classifier.load(run)
    task = json.loads((folder / "task.json").read_text())
    back = load_backbone(BackboneSettings(path=str(folder / "model.gguf"), max_length=256))
    check_head(back)
    rows = [Row(f"a man runs {n} .", f"a dog eats {n * n} times", None) for n in range(40)]
    models = classifier._models
    ids = models.backbone.encode_rows(classifier.card, rows, task["prompt_length"])
    with torch.no_grad():
        scores = back.label_scores(
            None, [task["prompt_ids"] + row for row in ids], task["label_word_ids"]
        )
    ours = classifier.of_rows(rows)
    assert ours.std(axis=0).min() > 1e-3
    np.testing.assert_allclose(scores.softmax(-1), ours, atol=5e-3)  # of fp16


def test_its_tokenizer_is_the_backbones_with_the_prompt_as_tokens(
    exported: tuple[Path, Path], tiny_llama: Backbone, tmp_path: Path
) -> None:
    folder = exported[1]
    alone = shutil.copy(folder / "model.gguf", tmp_path)  # without the tokenizer beside it
    back = load_backbone(BackboneSettings(path=str(alone)))
    task = json.loads((folder / "task.json").read_text())
    assert back.text_ids(TEXT) == tiny_llama.text_ids(TEXT)
    names = "".join(f"<dawgen-{n}>" for n in range(5))
    assert back.tokenizer(names, add_special_tokens=False)["input_ids"] == task["prompt_ids"]
    assert not back.head.weight[task["prompt_ids"]].any()  # never written


def test_the_chat_template_is_untouched(tiny_chat: Backbone, tmp_path: Path) -> None:
    folder = export_run(write_run(tmp_path, tiny_chat), "gguf", tmp_path / "out")
    values = read_header(folder / "model.gguf").values
    assert values["tokenizer.chat_template"] == tiny_chat.tokenizer.chat_template
    assert values["tokenizer.ggml.pre"] == "smollm"
    assert values["general.license"] == "see the model's own page"
    assert str(tmp_path).encode() not in (folder / "model.gguf").read_bytes()


def test_rows_of_queries_are_as_llama_cpp_has_them() -> None:
    weight = np.arange(16 * 3, dtype=np.float32).reshape(16, 3)
    np.testing.assert_array_equal(permuted(weight, 2), toys.permuted(weight, 2))


def test_how_to_ask_is_said(exported: tuple[Path, Path]) -> None:
    folder = exported[1]
    text = (folder / "ask.md").read_text()
    names = "".join(f"<dawgen-{n}>" for n in range(5))
    assert f"\n{names}<bos>premise: {{text1}} hypothesis: {{text2}} answer:\n" in text
    assert "- `yes`: same\n- `no`: other\n" in text
    assert f'TEMPLATE "{names}<bos>{{{{ .Prompt }}}}"' in (folder / "Modelfile").read_text()


@pytest.mark.parametrize("name", ["bart", "gpt2", "qwen"])
def test_other_models_are_refused(
    request: pytest.FixtureRequest, tmp_path: Path, name: str
) -> None:
    run = write_run(tmp_path, request.getfixturevalue(f"tiny_{name}"))
    with pytest.raises(UserError, match=r"only plain Llamas such as smollm2 .*; export to hf"):
        export_run(run, "gguf", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_llama_cpp_labels_as_the_run_does(exported: tuple[Path, Path], tmp_path: Path) -> None:
    llama_cpp = pytest.importorskip("llama_cpp")
    run, folder = exported
    pairs = write_data(tmp_path / "rows.jsonl", 24)
    label_elsewhere({folder: [str(tmp_path / "rows.jsonl")]}, tmp_path)
    classifier = Classifier.load(run)
    ours = classifier.predict_proba(pairs)
    theirs = [[row["p_same"], row["p_other"]] for row in answers(folder)]
    np.testing.assert_allclose(theirs, ours, atol=1e-2)
    model = llama_cpp.Llama(str(folder / "model.gguf"), n_ctx=64, verbose=False)
    task = json.loads((folder / "task.json").read_text())
    names = "".join(f"<dawgen-{n}>" for n in range(5))
    found = model.tokenize(f"{names}a man runs 12".encode(), add_bos=False, special=True)
    assert found == task["prompt_ids"] + classifier._models.backbone.text_ids("a man runs 12")


@pytest.mark.slow
def test_two_hundred_rows_on_smollm2(tmp_path: Path) -> None:
    """Where SmolLM2 is in the cache; by llama.cpp where that is installed, else read back."""
    pytest.importorskip("llama_cpp")
    from dawgen.backbone.cache import cached
    from dawgen.backbone.registry import KNOWN

    if cached(KNOWN["smollm2"]) is None:
        pytest.skip("smollm2 is not in the cache: dawgen backbones get smollm2")
    run = write_run(tmp_path, load_backbone(BackboneSettings(path="smollm2")))
    (run / "config.yaml").write_text("seed: 7\nbackbone: {path: smollm2}\n")
    pairs = write_data(tmp_path / "rows.jsonl", 200)
    folder = export_run(run, "gguf", tmp_path / "out")
    label_elsewhere({folder: [str(tmp_path / "rows.jsonl")]}, tmp_path)
    ours = Classifier.load(run).predict(pairs)
    assert len(set(ours)) == 2
    assert [row["prediction"] for row in answers(folder)] == ours
