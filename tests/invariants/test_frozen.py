"""What other people's code and files rely on: it may grow, but nothing is removed or renamed.

``frozen.json`` holds the public signatures, the names of the settings, and the layout and file
formats of a run folder of version 0.1. ``run-0.1/`` is such a folder, which must go on being read.
With ``FREEZE=1`` in the environment the test of a part adds what is new to the file.
"""

from __future__ import annotations

import inspect
import json
import os
import shutil
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from pydantic import BaseModel
from safetensors import safe_open

import dawgen as package
from tests.invariants.jobs import Outcome, SmallJob, dawgen, write_rows

Finished = tuple[SmallJob, Path, Outcome]

HERE = Path(__file__).parent
OLD, FROZEN = HERE / "run-0.1", HERE / "frozen.json"
DATA = {"reasons", "rejected", "files", "versions", "inputs", "rejected_examples"}
"""Keys below which the names are data."""
LABELS = {"same", "other"}
REPEATED = ("baseline/", "evaluation/", "generator/label-prompts/")
"""Folders whose files have the formats of others, which are looked into."""


def check(part: str, found: list[str]) -> None:
    """Everything frozen is still there."""
    frozen: dict[str, list[str]] = json.loads(FROZEN.read_text("utf-8"))
    if os.environ.get("FREEZE"):
        frozen[part] = sorted({*frozen.get(part, []), *found})
        FROZEN.write_text(json.dumps(frozen, indent=1, ensure_ascii=False) + "\n", "utf-8")
    assert frozen[part]
    assert [line for line in frozen[part] if line not in set(found)] == []


# --- names and signatures ---------------------------------------------------------------------


def parameters(name: str, call: Any) -> Iterator[str]:
    """A line for each parameter, with its place where that counts, and its default."""
    found = inspect.signature(call).parameters.values()
    for number, parameter in enumerate(p for p in found if p.name != "self"):
        place = "*" if parameter.kind is inspect.Parameter.KEYWORD_ONLY else number
        yield f"{name}({place}: {parameter.replace(annotation=inspect.Parameter.empty)})"


def public_names() -> Iterator[str]:
    """All names of the package, and how those are called that users call."""
    for name in package.__all__:
        thing = getattr(package, name)
        yield name
        if inspect.isfunction(thing):
            yield from parameters(name, thing)
    for kind in (package.Result, package.Classifier, package.DawgenClassifier):
        yield from parameters(kind.__name__, kind)
        for member, value in vars(kind).items():
            name = f"{kind.__name__}.{member}"
            if member.startswith(("_", "set_")) or not hasattr(value, "__get__"):
                continue  # "set_": scikit-learn's own
            yield name
            if not isinstance(value, property | cached_property):
                yield from parameters(name, getattr(kind, member))


def test_public_names_take_what_they_took() -> None:
    found = list(public_names())
    assert "run(*: test=None)" in found
    assert "Classifier.predict(1: abstain_below=None)" in found
    check("public names", found)


def test_a_new_parameter_of_a_public_function_has_a_default() -> None:
    known = set(json.loads(FROZEN.read_text("utf-8"))["public names"])
    new = [line for line in public_names() if "(" in line and line not in known]
    assert [line for line in new if "=" not in line and "*" not in line] == []


def fields(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield f"{prefix}{name}"
        if inspect.isclass(field.annotation) and issubclass(field.annotation, BaseModel):
            yield from fields(field.annotation, f"{prefix}{name}.")


@pytest.mark.parametrize("name", ["Settings", "TaskCard"])
def test_settings_and_cards_have_the_fields_that_they_had(name: str) -> None:
    found = list(fields(getattr(package, name)))
    assert {"tuning.steps", "label_words"} & set(found)
    check(name, found)


# --- the run folder ---------------------------------------------------------------------------


def keys(value: Any, prefix: str = "") -> Iterator[str]:
    """The dotted names of all keys; those of the elements of a list are its own."""
    if isinstance(value, list):
        for part in value:
            yield from keys(part, prefix)
    elif isinstance(value, dict):
        for key, part in value.items():
            name = f"{prefix}.{'LABEL' if key in LABELS else key}"
            yield name
            if key not in DATA:
                yield from keys(part, name)


def contents(path: Path) -> list[str]:
    """The columns, tensors or keys of a file, by its ending."""
    if path.suffix == ".parquet":
        return [f"{field.name}: {field.type}" for field in pq.read_schema(path)]
    if path.suffix == ".safetensors":
        with safe_open(path, framework="pt") as file:
            return sorted(file.keys())
    if path.suffix in (".json", ".jsonl"):
        lines = path.read_text("utf-8").splitlines()
        whole = path.suffix == ".json"
        return list(keys(json.loads("\n".join(lines)) if whole else [*map(json.loads, lines)]))
    return []


def formats(run: Path) -> list[str]:
    """A line for each file of a run folder, and for each column, tensor or key in it."""
    found: list[str] = []
    for path in sorted(path for path in run.rglob("*") if path.is_file()):
        name = path.relative_to(run).as_posix()
        inside = [] if name.startswith(REPEATED) else contents(path)
        found += [name, *dict.fromkeys(f"{name} {line}" for line in inside)]
    return found


def test_a_run_folder_has_the_files_columns_and_keys_that_it_had(finished: Finished) -> None:
    found = formats(finished[1])
    assert "synthetic/shard-00000.parquet label_ratio: double" in found or "FREEZE" in os.environ
    check("run folder", found)


def test_the_old_run_folder_is_what_is_frozen() -> None:
    """Else the folder that is read below would be no example of it."""
    frozen = json.loads(FROZEN.read_text("utf-8"))["run folder"]
    added = {f"run.json .{name}" for name in ("choice", "rows.used", "synthetic", "template")}
    added |= {f"scores.json {part}.metric" for part in ("", ".baseline", ".zero_shot")}
    added.add("synthetic/shard-00000.parquet written_for: string")
    added.add("synthetic/shard-00000.parquet reader_probability: double")
    parts = ("", ".dtype", ".fingerprint", ".name", ".quantization")
    added |= {f"run.json .writer{part}" for part in parts}
    figures = ("real_rows", "relabelled", "telling_words", "text1_alone")
    figures += ("by_label.LABEL.reader_probability",)
    more = {
        name
        for name in frozen
        if name.startswith(tuple(f"synthetic/quality.json .{f}" for f in figures))
    }
    assert set(frozen) - set(formats(OLD)) <= {"report.html", ".lock"} | added | more


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return shutil.copytree(OLD, tmp_path / "old")


def test_an_old_run_folder_still_predicts(old: Path, tmp_path: Path) -> None:
    texts = pq.read_table(old / "predictions.parquet").to_pylist()
    rows = [{name: row[name] for name in ("premise", "hypothesis")} for row in texts]
    out = tmp_path / "out.jsonl"
    outcome = dawgen("predict", old, write_rows(tmp_path / "rows.jsonl", rows), "--out", out)
    assert outcome.code == 0, outcome.err
    assert "warning" not in outcome.err  # the backbone of the package is the one of then
    labelled = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    for then, now in zip(texts, labelled, strict=True):
        assert now["p_same"] == pytest.approx(then["p_same"], abs=1e-3)


def test_an_old_run_folder_still_has_a_report_and_an_export(old: Path, tmp_path: Path) -> None:
    outcome = dawgen("report", old)
    assert outcome.code == 0, outcome.err
    page = (old / "report.html").read_text("utf-8")
    for title in ("Accuracy, with 95 % intervals", "Losses of the label prompts", "Norm of the"):
        assert title in page
    assert dawgen("inspect", "weights", old).code == 0
    outcome = dawgen("export", old, "--to", "peft", "--out", tmp_path / "peft")
    assert outcome.code == 0, outcome.err
