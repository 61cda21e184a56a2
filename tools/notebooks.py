"""Execute the notebooks that show what comes out, and keep their outputs.

python -m tools.notebooks                         # both front doors
python -m tools.notebooks from-csv-to-classifier  # one of them

Cells are executed in this process, in a copy of docs/notebooks, so nothing is left there. An output
is what a cell prints and the value of its last line; messages on standard error are left out.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import io
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HOME = Path(__file__).resolve().parents[1] / "docs" / "notebooks"
FRONT_DOORS = ("from-csv-to-classifier", "rows-from-an-llm")


def main() -> int:
    """Execute the notebooks and write their outputs into them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=FRONT_DOORS, metavar="NAME")
    for name in parser.parse_args().names:
        path = HOME / f"{name}.ipynb"
        notebook = json.loads(path.read_text("utf-8"))
        with tempfile.TemporaryDirectory() as folder:
            copy = shutil.copytree(HOME, Path(folder) / "notebooks")
            with contextlib.chdir(copy):
                execute(notebook, name)
        text = json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
        path.write_text(text, "utf-8")
    return 0


def execute(notebook: dict[str, Any], name: str, given: Mapping[str, Any] | None = None) -> str:
    """Execute the code cells in turn and put their outputs in; gives back all that was printed.

    Args:
        given: values that take the place of those in the cell that is tagged ``parameters``.
    """
    scope: dict[str, Any] = {}
    said = ""
    codes = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    for number, cell in enumerate(codes, start=1):
        printed, value = _run("".join(cell["source"]), f"{name}, cell {number}", scope)
        said += printed + ("" if value is None else f"{value!r}\n")
        cell["execution_count"] = number
        cell["outputs"] = _outputs(printed, value, number)
        if given and "parameters" in cell["metadata"].get("tags", []):
            unknown = given.keys() - scope.keys()
            if unknown:
                raise ValueError(f"{name} has no parameter {', '.join(sorted(unknown))}")
            scope |= given
    return said


def _run(source: str, where: str, scope: dict[str, Any]) -> tuple[str, Any]:
    """Execute a cell: what it prints, and the value of its last line, if that is an expression."""
    tree = ast.parse(source, where)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    printed, value = io.StringIO(), None
    with contextlib.redirect_stdout(printed):
        exec(compile(tree, where, "exec"), scope)
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), where, "eval"), scope)
    return printed.getvalue(), value


def _outputs(printed: str, value: Any, number: int) -> list[dict[str, Any]]:
    """The outputs of a cell as a notebook keeps them."""
    found: list[dict[str, Any]] = []
    if printed:
        found.append({"name": "stdout", "output_type": "stream", "text": _lines(printed)})
    if value is not None:
        data = {"text/plain": _lines(repr(value))}
        if callable(getattr(value, "_repr_html_", None)):
            data["text/html"] = _lines(value._repr_html_())
        found.append(
            {
                "data": data,
                "execution_count": number,
                "metadata": {},
                "output_type": "execute_result",
            }
        )
    return found


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    sys.exit(main())
