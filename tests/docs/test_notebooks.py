"""The notebooks run from top to bottom, on a small model with few steps."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.invariants.conftest import model_folder  # noqa: F401
from tests.invariants.jobs import SETTINGS, write_job
from tools.notebooks import FRONT_DOORS, HOME, execute

NAMES = (*FRONT_DOORS, "inside-the-generator")


def notebook(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((HOME / f"{name}.ipynb").read_text("utf-8"))
    return found


def cells(name: str) -> list[dict[str, Any]]:
    return [cell for cell in notebook(name)["cells"] if cell["cell_type"] == "code"]


def test_every_notebook_is_tested() -> None:
    assert {path.stem for path in HOME.glob("*.ipynb")} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_the_settings_of_a_notebook_exist(name: str) -> None:
    from dawgen.settings.layers import as_overrides, build_settings

    scope: dict[str, Any] = {}
    exec(compile(ast.parse("".join(cells(name)[0]["source"])), name, "exec"), scope)
    settings = scope["settings"]
    build_settings(overrides=as_overrides(settings) if isinstance(settings, dict) else settings)


@pytest.mark.parametrize("name", FRONT_DOORS)
def test_a_front_door_shows_what_came_out(name: str) -> None:
    """As a whole run left it: every cell in turn, and nothing of the machine it ran on."""
    assert [cell["execution_count"] for cell in cells(name)] == [*range(1, len(cells(name)) + 1)]
    outputs = json.dumps([cell["outputs"] for cell in cells(name)])
    assert "text/html" in outputs
    assert re.findall(r"/(?:home|tmp|work|root|Users)/", outputs) == []
    assert "Error" not in outputs


def test_the_third_holds_no_outputs() -> None:
    for cell in cells("inside-the-generator"):
        assert cell["outputs"] == []
        assert cell["execution_count"] is None


def small(model: Path, **more: Any) -> dict[str, Any]:
    return SETTINGS | more | {"backbone.path": str(model)}


@pytest.fixture(autouse=True)
def beside_the_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(HOME)


def test_from_csv_to_classifier(
    tmp_path: Path,
    model_folder: Path,  # noqa: F811
) -> None:
    settings = small(model_folder, **{"synthesis.first_sentences": "generator"})
    name = "from-csv-to-classifier"
    said = execute(notebook(name), name, {"work": tmp_path, "settings": settings})
    assert "labels: the 3 values of that column, account (16), delivery (16), payment (16)" in said
    assert "% right on 24 test rows" in said
    assert "Classifier(task 'messages'" in said
    assert (tmp_path / "run" / "report.html").is_file()
    assert (tmp_path / "hf" / "predict.py").is_file()


def test_rows_from_an_llm(
    tmp_path: Path,
    model_folder: Path,  # noqa: F811
) -> None:
    name = "rows-from-an-llm"
    given = {"work": tmp_path, "settings": small(model_folder)}
    said = execute(notebook(name), name, given)
    assert "Write 20 new rows for each of the 3 labels" in said
    found = re.search(r"(\d+) of 60 rows were kept; (\d+) rejected", said)
    assert found is not None
    assert int(found[1]) + int(found[2]) == 60
    assert int(found[1]) > 30
    assert not (tmp_path / "run" / "generator").exists()


def test_inside_the_generator(
    tmp_path: Path,
    model_folder: Path,  # noqa: F811
) -> None:
    job = write_job(tmp_path, model_folder)
    files = {name: str(job.data(name)) for name in ("train", "dev")}
    settings = [f"{key}={value}" for key, value in small(model_folder).items()]
    given = {"settings": settings, "task": str(job.card), "files": files}
    said = execute(notebook("inside-the-generator"), "inside-the-generator", given)
    assert "dawgen: loss (1)" in said
    assert "fewgen: loss (1)" in said
    assert said.count("heaviest:") == 2
