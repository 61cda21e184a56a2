"""The notebooks run from top to bottom, on a small model with few steps, and hold no outputs."""

from __future__ import annotations

import ast
import io
import json
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from tests.invariants.conftest import model_folder  # noqa: F401
from tests.invariants.jobs import SETTINGS, write_job

NOTEBOOKS = Path(__file__).resolve().parents[2] / "docs" / "notebooks"
NAMES = ("from-csv-to-classifier", "inside-the-generator")


def cells(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((NOTEBOOKS / f"{name}.ipynb").read_text())["cells"]
    return [cell for cell in found if cell["cell_type"] == "code"]


def run(name: str, given: dict[str, Any]) -> str:
    """Execute the code cells in turn; ``given`` takes the place of the cell of parameters."""
    scope: dict[str, Any] = {}
    said = io.StringIO()
    for number, cell in enumerate(cells(name)):
        code = compile("".join(cell["source"]), f"{name}, cell {number}", "exec")
        with redirect_stdout(said):
            exec(code, scope)
        if "parameters" in cell["metadata"].get("tags", []):
            assert given.keys() <= scope.keys()  # it still names what is replaced
            scope |= given
    return said.getvalue()


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_holds_no_outputs_and_its_settings_exist(name: str) -> None:
    from dawgen.settings.layers import build_settings

    for cell in cells(name):
        assert cell["outputs"] == []
        assert cell["execution_count"] is None
    scope: dict[str, Any] = {}
    exec(compile(ast.parse("".join(cells(name)[0]["source"])), name, "exec"), scope)
    build_settings(overrides=scope["settings"])


def small(model: Path, **more: Any) -> list[str]:
    settings = SETTINGS | more | {"backbone.path": model}
    return [f"{key}={value}" for key, value in settings.items()]


def test_from_csv_to_classifier(
    tmp_path: Path,
    model_folder: Path,  # noqa: F811
) -> None:
    settings = small(model_folder, **{"synthesis.first_sentences": "generator"})
    said = run("from-csv-to-classifier", {"work": tmp_path, "settings": settings})
    assert "labels: the 2 values of that column, negative (16), positive (16)" in said
    assert "of 8, plain prompt tuning" in said
    assert (tmp_path / "run" / "report.html").is_file()
    assert (tmp_path / "hf" / "predict.py").is_file()


def test_inside_the_generator(
    tmp_path: Path,
    model_folder: Path,  # noqa: F811
) -> None:
    job = write_job(tmp_path, model_folder)
    files = {name: str(job.data(name)) for name in ("train", "dev")}
    given = {"settings": small(model_folder), "task": str(job.card), "files": files}
    said = run("inside-the-generator", given)
    assert "dawgen: loss (1)" in said
    assert "fewgen: loss (1)" in said
    assert said.count("heaviest:") == 2
