"""The docs: generated pages are what the code says, and the way for newcomers can be gone."""

from __future__ import annotations

import csv
import io
import re
import shlex
from contextlib import redirect_stdout
from functools import cache
from pathlib import Path

import pytest

from tests.invariants.conftest import model_folder  # noqa: F401
from tests.invariants.jobs import SETTINGS, dawgen, sentence
from tools import make_docs

DOCS = Path(__file__).resolve().parents[2] / "docs"


@cache
def generated() -> dict[str, str]:
    """All pages, which take seconds to make."""
    return make_docs.pages()


@pytest.mark.parametrize("name", ["settings.md", "commands.md", "results.md", "../README.md"])
def test_a_generated_page_has_not_drifted(name: str) -> None:
    assert (DOCS / name).read_text("utf-8") == generated()[name], "run: python -m tools.make_docs"


def test_every_page_is_in_the_navigation() -> None:
    listed = re.findall(r": ([\w-]+\.md)$", (DOCS.parent / "mkdocs.yml").read_text(), re.MULTILINE)
    assert sorted(listed) == sorted(path.name for path in DOCS.glob("*.md"))


def test_every_picture_is_there() -> None:
    for page in DOCS.glob("*.md"):
        for name in re.findall(r"!\[[^]]+\]\(([^)]+)\)", page.read_text("utf-8")):
            assert (DOCS / name).is_file(), f"{page.name}: {name}"


def contributing(section: str) -> str:
    page = (DOCS.parent / "CONTRIBUTING.md").read_text("utf-8")
    return page.split(f"## {section}\n")[1].split("\n## ")[0]


def test_the_map_has_every_package_and_every_file_named_is_there() -> None:
    root = DOCS.parent
    packages = {path.parent.name for path in root.glob("src/dawgen/*/__init__.py")}
    mapped = re.findall(r"^\| `src/dawgen/(\w+)/` \|", contributing("The map"), re.MULTILINE)
    assert sorted(mapped) == sorted(packages)
    page = (root / "CONTRIBUTING.md").read_text("utf-8")
    named = re.findall(r"`((?:src|tests|docs|tools)/[\w./-]*)`", page)
    assert [path for path in named if "NAME" not in path and not (root / path).exists()] == []
    for path in (path for path in named if "NAME" in path):
        assert list((root / path).parent.iterdir())


def test_a_glossary_term_has_one_meaning() -> None:
    terms = re.findall(r"^\| ([a-z ]+) \| ", contributing("Glossary"), re.MULTILINE)[1:]
    assert len(terms) == len(set(terms)) == 20
    assert terms == sorted(terms)


def write_csv(path: Path, start: int, count: int, *, labelled: bool = True) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["review", "sentiment"] if labelled else ["review"])
        for n in range(start, start + count):
            text = f"{sentence(n)} , {'funny' if n % 2 else 'boring'}"
            writer.writerow([text, "positive" if n % 2 else "negative"][: 1 + labelled])


def test_your_own_data_in_five_minutes(
    tmp_path: Path,
    model_folder: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every command and every line of Python of the page, on a small model with few steps."""
    monkeypatch.chdir(tmp_path)
    write_csv(tmp_path / "reviews.csv", 0, 64)
    write_csv(tmp_path / "held-out.csv", 64, 20)
    write_csv(tmp_path / "new-rows.csv", 90, 5, labelled=False)
    page = (DOCS / "own-data.md").read_text("utf-8")
    small = [f"backbone.path={model_folder}", "synthesis.first_sentences=generator"]
    small += [f"{k}={v}" for k, v in SETTINGS.items() if not k.endswith(".first_sentences")]
    small.append("selection.candidates=[tfidf, states]")
    ran = []
    for block in re.findall(r"^ *```sh\n(.*?)^ *```", page, re.DOTALL | re.MULTILINE):
        for line in block.splitlines():
            _, *arguments = shlex.split(line, comments=True)
            ran.append(arguments[0])
            if arguments[0] == "run":
                arguments += [part for setting in small for part in ("-s", setting)]
            outcome = dawgen(*arguments)
            assert outcome.code == 0, f"{line}: {outcome.err}"
    assert ran == ["tasks", "validate", "run", "predict"]
    assert (tmp_path / "runs" / "reviews" / "report.html").is_file()
    with (tmp_path / "labelled.csv").open() as file:
        found = list(csv.DictReader(file))
    assert len(found) == 5
    assert {row["prediction"] for row in found} <= {"positive", "negative"}

    (program,) = re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    said = io.StringIO()
    with redirect_stdout(said):
        exec(compile(program, "own-data.md", "exec"), {})
    assert len(said.getvalue().splitlines()) == 2
