"""Exports, loaded in a fresh process that cannot import dawgen, give the run's own labels."""

from __future__ import annotations

import csv
import json
import os
import resource
import runpy
import subprocess
import sys
import tempfile
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from huggingface_hub import ModelCard
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

from dawgen.backbone import Backbone, load_backbone
from dawgen.errors import UserError
from dawgen.exporting import export_run, planned_uploads, push
from dawgen.exporting.checkpoint import with_prefix
from dawgen.exporting.export import local_base
from dawgen.prompts import random_normal, save_prompt
from dawgen.settings import BackboneSettings
from dawgen.storage.folder import write_json
from dawgen.storage.seals import set_seal
from dawgen.use.classifier import Classifier
from tests.invariants.jobs import CARD, dawgen, rows

KINDS = ("peft", "hf", "ctranslate2")
COUNT = 24
"""Rows that are compared; 200 in the slow test."""


def write_run(folder: Path, backbone: Backbone, tail: str = "", end: str = "") -> Path:
    """A finished run around a random model and a random prompt, strong enough to matter.

    Args:
        tail: what each label word has behind it, so that it is of several tokens.
        end: what the template has behind ``answer:``, in YAML.
    """
    model = folder / "model"
    backbone.model.save_pretrained(model)
    backbone.tokenizer.save_pretrained(model)
    run = folder / "run"
    prompt = random_normal(backbone.table().detach(), 5, np.random.default_rng(0))
    save_prompt(4 * prompt, run / "prompt", backbone)
    (run / "task.yaml").write_text(
        CARD.replace('"yes"', f'"yes{tail}"')
        .replace('"no"', f'"no{tail}"')
        .replace("answer:", f"answer:{end}")
    )
    (run / "config.yaml").write_text(
        f"seed: 7\nbackbone: {{path: {model}, max_length: {backbone.max_length}, dtype: fp32}}\n"
    )
    scores = {
        "scored_on": "test rows",
        "seed": 7,
        "accuracy": 0.625,
        "accuracy_95": [0.3, 0.86],
        "n": 8,
        "baseline": {"accuracy": 0.5, "accuracy_95": [0.2, 0.8], "n": 8},
    }
    write_json(run / "scores.json", scores)
    write_json(run / "run.json", {"dawgen": "0.1.0", "rows": {"train": 8}})
    return run


DRIVER = """
import contextlib, json, runpy, sys

assert "dawgen" not in sys.modules
for export, arguments in json.load(open(sys.argv[1])).items():
    sys.argv = [export, *arguments]
    sys.path[0] = export  # as where the script is called by its name
    sys.modules.pop("rows", None)
    with open(export + "/answers.jsonl", "w") as out, contextlib.redirect_stdout(out):
        runpy.run_path(export + "/predict.py", run_name="__main__")
"""


def label_elsewhere(jobs: dict[Path, list[str]], folder: Path) -> None:
    """Run the exports' own scripts in one fresh process where dawgen cannot be imported.

    Args:
        jobs: the arguments of each export's script, whose answers come to lie beside it.
    """
    (folder / "dawgen.py").write_text("raise ImportError('not here')\n")
    (folder / "driver.py").write_text(DRIVER)
    (folder / "jobs.json").write_text(json.dumps({str(k): v for k, v in jobs.items()}))
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = str(folder)
    found = subprocess.run(
        [sys.executable, str(folder / "driver.py"), str(folder / "jobs.json")],
        capture_output=True,
        text=True,
        env=environment,
        cwd=folder,
        check=False,
    )
    assert found.returncode == 0, found.stderr


def answers(export: Path) -> list[dict[str, Any]]:
    """What an export's script said, row by row."""
    lines = (export / "answers.jsonl").read_text("utf-8").splitlines()
    found = [json.loads(line) for line in lines]
    empty = found.pop(1)
    assert set(empty) == {"prediction", "p_same", "p_other"}
    assert set(empty.values()) == {None}
    return found


SPECIAL = "[SEP] </s> <|endoftext|> [PAD] <bos> <|im_end|> <pad>"
"""Special tokens of some tokenizer each; in a text they are text."""


def write_data(path: Path, count: int) -> list[tuple[str, str]]:
    """Rows to label as a JSONL and a CSV file, and as pairs; the second row has no premise."""
    data = rows(0, count)
    for row in data[:4]:
        row["premise"] += SPECIAL
        row["hypothesis"] = f"{SPECIAL} {row['hypothesis']}"
    data.insert(1, data[0] | {"premise": " "})
    with path.with_suffix(".csv").open("w", newline="") as file:
        table = csv.DictWriter(file, list(data[0]))
        table.writeheader()
        table.writerows(data)
    path.write_text("".join(json.dumps(row) + "\n" for row in data))
    return [(row["premise"], row["hypothesis"]) for row in data if row["premise"] != " "]


@pytest.fixture(scope="session")
def exported(
    tiny_bart: Backbone,
    tiny_t5: Backbone,
    tiny_gpt2: Backbone,
    tiny_llama: Backbone,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, list[tuple[str, str]]]:
    """Runs on four kinds of backbone, each exported in every way and asked elsewhere."""
    home = tmp_path_factory.mktemp("exported")
    pairs = write_data(home / "rows.jsonl", COUNT)
    jobs = {}
    runs = {
        "bart": (tiny_bart, "", ""),
        "t5": (tiny_t5, "", ""),
        "gpt2": (tiny_gpt2, " man", ""),
        "gpt2-line": (tiny_gpt2, "", r" \n "),
        "llama": (tiny_llama, "", ""),
    }
    for name, (backbone, tail, end) in runs.items():
        run = write_run(home / name, backbone, tail, end)
        for to in KINDS:
            base = [str(home / name / "model")] if to == "peft" else []
            export = export_run(run, to, home / name / to)
            jobs[export] = [str(home / ("rows.csv" if name == "bart" else "rows.jsonl")), *base]
    label_elsewhere(jobs, home)
    return home, pairs


@pytest.mark.parametrize("to", KINDS)
@pytest.mark.parametrize("name", ["bart", "t5", "gpt2", "gpt2-line", "llama"])
def test_an_export_labels_as_the_run_does(
    exported: tuple[Path, list[tuple[str, str]]], name: str, to: str
) -> None:
    home, pairs = exported
    classifier = Classifier.load(home / name / "run")
    ours = classifier.predict_proba(pairs)
    theirs = answers(home / name / to)
    assert ours.std(axis=0).min() > 1e-4  # the rows do not all get one score
    np.testing.assert_allclose(
        [[row["p_same"], row["p_other"]] for row in theirs], ours, rtol=2e-3, atol=2e-5
    )
    assert [row["prediction"] for row in theirs] == classifier.names(ours)


@pytest.mark.slow
def test_two_hundred_rows_on_the_shipped_backbone(tmp_path: Path) -> None:
    run = write_run(tmp_path, load_backbone(BackboneSettings()))
    (run / "config.yaml").write_text("seed: 7\n")
    pairs = write_data(tmp_path / "rows.jsonl", 200)
    exports = [export_run(run, to, tmp_path / to) for to in KINDS]
    base = {"peft": [str(local_base(run))]}
    label_elsewhere(
        {export: [str(tmp_path / "rows.jsonl"), *base.get(export.name, [])] for export in exports},
        tmp_path,
    )
    ours = Classifier.load(run).predict(pairs)
    assert len(set(ours)) == 2
    for export in exports:
        assert [row["prediction"] for row in answers(export)] == ours


def test_the_baked_checkpoint_never_writes_its_prompt(tiny_bart: Backbone, tmp_path: Path) -> None:
    folder = export_run(write_run(tmp_path, tiny_bart), "hf", tmp_path / "export")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSeq2SeqLM.from_pretrained(folder)
    ids = tokenizer("the dog runs", return_tensors="pt").input_ids
    start = len(tiny_bart.tokenizer)
    plain = tiny_bart.tokenizer("the dog runs")["input_ids"]
    assert ids[0].tolist() == [*range(start, start + 5), *plain]
    written = model.generate(input_ids=ids, max_new_tokens=12)
    assert int(written.max()) < start


@pytest.mark.parametrize(
    ("processor", "expected"),
    [
        (None, ["p0", "p1", "A"]),
        ({"type": "ByteLevel"}, ["p0", "p1", "A"]),
        ({"type": "RobertaProcessing", "sep": ["</s>", 2], "cls": ["<s>", 0]}, None),
    ],
)
def test_the_prompt_goes_before_what_a_tokenizer_adds(
    processor: dict[str, Any] | None, expected: list[str] | None
) -> None:
    found = with_prefix(processor, ["p0", "p1"], [7, 8])
    template = found["processors"][-1] if found["type"] == "Sequence" else found
    pieces = [next(iter(piece.values()))["id"] for piece in template["single"]]
    assert pieces == (expected or ["p0", "p1", "<s>", "A", "</s>"])
    assert template["special_tokens"]["p1"]["ids"] == [8]


def test_an_unknown_post_processor_is_refused() -> None:
    with pytest.raises(UserError, match="Strange"):
        with_prefix({"type": "Strange"}, ["p0"], [7])


def test_the_card_says_how_well_and_with_which_seed(tiny_bart: Backbone, tmp_path: Path) -> None:
    folder = export_run(write_run(tmp_path, tiny_bart), "peft", tmp_path / "export")
    card = ModelCard.load(folder / "README.md")  # the hub's own reader
    assert card.data.library_name == "peft"
    (result,) = card.data.eval_results or []
    assert (result.metric_type, result.metric_value) == ("accuracy", 0.625)
    assert "seed 7" in (result.metric_name or "")
    assert "| this prompt | 62.5% | 30.0% to 86.0% | 8 |" in card.text
    assert str(tmp_path) not in card.content  # paths are nobody else's business
    assert card.data.base_model is None
    assert "| columns | premise, hypothesis |" in card.text


def test_the_card_says_whether_written_rows_helped(tiny_bart: Backbone, tmp_path: Path) -> None:
    run = write_run(tmp_path, tiny_bart)
    scores = json.loads((run / "scores.json").read_text())
    scores["baseline"] = {"accuracy": 0.5, "accuracy_95": [0.2, 0.8], "n": 8}
    (run / "scores.json").write_text(json.dumps(scores))
    (run / "synthetic").mkdir(exist_ok=True)
    account = {"attempted": 100, "kept": 90, "rejected": 10, "reasons": {}}
    labels = {"a | b": account, "c": account | {"kept": 2}}
    ledger = {"attempted": 200, "kept": 92, "rejected": 108, "reasons": {}, "labels": labels}
    (run / "synthetic" / "ledger.json").write_text(json.dumps(ledger))
    card = ModelCard.load(export_run(run, "peft", tmp_path / "export") / "README.md")
    part = card.text.split("## The written rows\n\n")[1].split("\n\n")[0].splitlines()
    assert part[0].startswith("- Written rows helped the prompt by 12.5 points: 62.5% of 8")
    assert part[1].startswith("- Label c has 2 written rows of 100 tries")


@pytest.mark.parametrize("to", KINDS)
def test_no_export_claims_a_classification_head(
    exported: tuple[Path, list[tuple[str, str]]], to: str
) -> None:
    """`pipeline("text-classification")` would put an untrained one on the backbone."""
    for name in ("bart", "t5", "gpt2"):
        folder = exported[0] / name / to
        card = ModelCard.load(folder / "README.md")
        assert card.data.pipeline_tag is None
        config = json.loads((folder / "config.json").read_text()) if to == "hf" else {}
        assert not any("Classification" in kind for kind in config.get("architectures", []))
        assert ("has no classification head" in card.text) == (to == "hf")


def enter(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Import an export's own modules, and forget them when the test ends."""
    monkeypatch.syspath_prepend(folder)
    for name in ("predict", "rows"):
        monkeypatch.setitem(sys.modules, name, None)
        del sys.modules[name]


def test_the_cards_lines_of_python_label_a_row(
    exported: tuple[Path, list[tuple[str, str]]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    home, pairs = exported
    folder = home / "gpt2" / "hf"
    lines = ModelCard.load(folder / "README.md").text.split("```python\n")[1].split("```")[0]
    for text in pairs[0]:
        lines = lines.replace('"..."', json.dumps(text), 1)
    enter(folder, monkeypatch)
    exec(lines, {})
    found, expected = json.loads(capsys.readouterr().out), answers(folder)[0]
    assert found.pop("prediction") == expected.pop("prediction")
    assert found == pytest.approx(expected)


def test_a_peft_export_holds_the_prompt_and_no_backbone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also of the backbone that comes with dawgen; the command says where that one is."""
    run = write_run(tmp_path, load_backbone(BackboneSettings()))
    (run / "config.yaml").write_text("seed: 7\n")
    folder = tmp_path / "export"
    outcome = dawgen("export", run, "--to", "peft", "--out", folder)
    assert outcome.code == 0, outcome.err
    assert outcome.out.endswith(f"ROWS.csv {local_base(run)}\n")
    assert all(path.is_file() for path in folder.iterdir())
    assert (
        json.loads((folder / "adapter_config.json").read_text())["base_model_name_or_path"] is None
    )
    assert sum(path.stat().st_size for path in folder.iterdir()) < 100_000
    assert "python predict.py rows.csv BASE\n" in (folder / "README.md").read_text()
    enter(folder, monkeypatch)
    monkeypatch.setattr(sys, "argv", ["predict.py", "rows.jsonl"])
    with pytest.raises(
        SystemExit, match=r"backbone dawgen/tiny is not on the hub; name its folder"
    ):
        runpy.run_path(str(folder / "predict.py"))


def test_no_export_has_a_path_of_this_machine(
    exported: tuple[Path, list[tuple[str, str]]],
) -> None:
    home, _ = exported
    for name, to in ((name, to) for name in ("bart", "gpt2") for to in KINDS):
        for path in (home / name / to).rglob("*"):
            if path.is_file() and path.name != "answers.jsonl":
                assert str(home).encode() not in path.read_bytes(), path


def test_what_is_wrong_is_said(tiny_bart: Backbone, tmp_path: Path) -> None:
    run = write_run(tmp_path, tiny_bart)
    with pytest.raises(UserError, match="no export 'tflite'; choose one of choice, peft"):
        export_run(run, "tflite", tmp_path / "out")
    with pytest.raises(UserError, match="exists already"):
        export_run(run, "peft", run)
    with pytest.raises(UserError, match="no finished run folder"):
        export_run(tmp_path, "peft", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("to", KINDS)
def test_the_weights_are_as_readable_as_the_rest(
    exported: tuple[Path, list[tuple[str, str]]], to: str
) -> None:
    files = [path for path in (exported[0] / "bart" / to).rglob("*") if path.is_file()]
    mine = exported[0] / "rows.csv"  # written with this process's own umask
    assert {path.stat().st_mode for path in files} == {mine.stat().st_mode}


@pytest.mark.parametrize(
    ("to", "largest"), [("peft", 300), ("hf", 300), ("hf", 60_000), ("ctranslate2", 60_000)]
)
def test_a_full_disk_is_told_at_export(
    tiny_bart: Backbone, tmp_path: Path, to: str, largest: int
) -> None:
    """safetensors raises an error of its own, in which the system's number is part of a text."""
    run = write_run(tmp_path, tiny_bart)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, before[1]))
    try:
        outcome = dawgen("export", run, "--to", to, "--out", tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert outcome.code == 2
    assert "a file may not grow that large here" in outcome.err
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob(".out*"))


@pytest.mark.parametrize("command", ["export --to ctranslate2 --out out", "push --model me/mood"])
def test_no_folder_for_temporary_files_is_told(
    tiny_bart: Backbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    run = write_run(tmp_path, tiny_bart)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: [str(tmp_path / "none")])
    name, *options = command.split()
    outcome = dawgen(name, run, *options)
    assert outcome.code == 2
    assert "There is no folder for temporary files" in outcome.err


# --- the hub ---------------------------------------------------------------------------


def test_a_dry_run_asks_nobody(
    tiny_bart: Backbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = write_run(tmp_path, tiny_bart)
    monkeypatch.setattr("dawgen.exporting.hub.HfApi", None)  # whoever calls it fails
    outcome = dawgen("push", run, "--model", "me/mood", "--dry-run")
    assert outcome.code == 0, outcome.err
    assert "model me/mood: 7 files" in outcome.out
    assert "adapter_model.safetensors" in outcome.out
    assert outcome.out.endswith("Nothing was uploaded.\n")


def test_a_push_makes_the_repository_and_uploads_the_folder(
    tiny_bart: Backbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[str, dict[str, Any]]] = []

    class Hub:
        def create_repo(self, repo: str, **options: Any) -> str:
            calls.append(("create", {"repo": repo, **options}))
            return f"hub:{repo}"

        def upload_folder(self, **options: Any) -> None:
            calls.append(("upload", options))

    monkeypatch.setattr("dawgen.exporting.hub.HfApi", Hub)
    run = write_run(tmp_path, tiny_bart)
    uploads = planned_uploads(run, tmp_path / "work", model="me/mood", dataset=None)
    assert push(uploads, private=True) == ["hub:me/mood"]
    (_, made), (_, sent) = calls
    assert made == {"repo": "me/mood", "repo_type": "model", "private": True, "exist_ok": True}
    assert sent["folder_path"] == tmp_path / "work" / "model"
    assert "README.md" in sent["allow_patterns"]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"model": None, "dataset": None}, "Name where to push"),
        ({"model": "me/mo od", "dataset": None}, "is no name of a repository"),
        ({"model": None, "dataset": "me/rows"}, "holds no synthetic rows"),
    ],
)
def test_a_wrong_push_is_refused(
    tiny_bart: Backbone, tmp_path: Path, options: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        planned_uploads(write_run(tmp_path, tiny_bart), tmp_path / "work", **options)


def test_the_scripts_read_what_predict_reads(tmp_path: Path) -> None:
    source = resources.files("dawgen.exporting") / "scripts" / "rows.py"
    (tmp_path / "rows.py").write_text(source.read_text("utf-8"))
    columns = {
        "columns": {"text1": "a"},
        "prompt_length": 4,
        "encoder_decoder": True,
        "labels": ["x", "y"],
    }
    (tmp_path / "task.json").write_text(json.dumps(columns))
    names = runpy.run_path(str(tmp_path / "rows.py"))

    def texts(name: str, content: str) -> list[str]:
        (tmp_path / name).write_text(content, "utf-8", newline="")
        return [names["text_of"](row, "text1") for row in names["rows_of"](tmp_path / name)]

    odd = "one\u2028line\u0085still"
    assert texts("x.jsonl", json.dumps({"a": odd}, ensure_ascii=False) + "\n\n") == [odd]
    assert texts("x.json", '[{"a": 3}]') == ["3"]
    assert texts("x.csv", "\ufeff\na;b\n 1,5 ;2\n") == ["1,5"]
    assert texts("x.csv", f"a\n{'y' * 200_000}\n") == ["y" * 200_000]
    assert texts("x.csv", 'a,b\n"two\r\nlines",2\n') == ["two\r\nlines"]
    assert texts("x.csv", "a;b, c\n1, 2, 3;x\n4;y\n") == ["1, 2, 3", "4"]
    for name, content in (
        ("x.csv", 'a\n0\n\n""\nb\n\n'),
        ("x.jsonl", '{"a": 0}\n{"b": 1}\n{"a": null}\n{"a": "b"}\n'),
    ):
        (tmp_path / name).write_text(content)
        rows = names["rows_of"](tmp_path / name)
        assert [row and str(row["a"]) for row in rows] == ["0", None, None, "b"]
    assert json.loads(names["answer"](None)) == {"prediction": None, "p_x": None, "p_y": None}
    assert texts("x.tsv", 'a\tb\n"two\nlines"\t2\n') == ["two\nlines"]
    (tmp_path / "latin.csv").write_bytes(b"a\n\xfc\n")
    with pytest.raises(SystemExit, match=r"latin\.csv is not text in UTF-8"):
        names["rows_of"](tmp_path / "latin.csv")
    for name, content, sentence in (
        ("x.parquet", "a\tb\n", "its ending must be"),
        ("x.json", "[1]", "does not hold rows of cells"),
        ("x.jsonl", "{\n", "does not hold rows of cells: Expecting property name"),
        ("x.json", "[" * 100_000, "does not hold rows of cells"),
        ("x.csv", "b\n1\n", "has no rows with a column 'a'"),
    ):
        with pytest.raises(SystemExit, match=sentence):
            texts(name, content)


@pytest.mark.parametrize("to", KINDS)
@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--help"], 0, "python predict.py ROWS.csv"),
        ([], 2, "python predict.py ROWS.csv"),
        (["--rows", "a.csv"], 2, "python predict.py ROWS.csv"),
        (["a.csv", "b", "c"], 2, "python predict.py ROWS.csv"),
        (["none.csv"], 1, "There is no file none.csv."),
        (["."], 1, "There is no file .."),
    ],
)
def test_a_script_says_how_it_is_called_before_it_loads_its_model(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    to: str,
    arguments: list[str],
    code: int,
    says: str,
) -> None:
    """There is no model here."""
    scripts = resources.files("dawgen.exporting") / "scripts"
    for name, source in (("predict.py", f"{to}.py"), ("rows.py", "rows.py")):
        (tmp_path / name).write_text((scripts / source).read_text("utf-8"))
    about = {"columns": {"text1": "a"}, "prompt_length": 4, "encoder_decoder": True}
    (tmp_path / "task.json").write_text(json.dumps(about))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "argv", ["predict.py", *arguments])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(tmp_path / "predict.py"), run_name="__main__")
    said = capsys.readouterr()
    assert says in (said.out if code == 0 else f"{said.err}{end.value.code}")
    assert (end.value.code or 0) == (says if code == 1 else code)


def test_a_damaged_run_is_told_and_not_published(tiny_bart: Backbone, tmp_path: Path) -> None:
    run = write_run(tmp_path, tiny_bart)
    (run / "scores.json").write_text('{"accuracy"')
    with pytest.raises(UserError, match=r"scores\.json: this is not JSON"):
        export_run(run, "peft", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    (run / "synthetic").mkdir()
    (run / "synthetic" / "shard-00000.parquet").write_bytes(b"half")
    set_seal(run / "synthetic", "mark", {})
    (run / "synthetic" / "shard-00000.parquet").write_bytes(b"hal")
    with pytest.raises(UserError, match=r"shard-00000\.parquet is not as it was written"):
        planned_uploads(run, tmp_path / "work", model=None, dataset="me/rows")
