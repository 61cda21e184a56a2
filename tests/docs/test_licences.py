"""The page of licences: nothing that dawgen needs, holds or fetches is missing from it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import dawgen
from dawgen.backbone.registry import KNOWN
from tools import licences

ROOT = licences.ROOT
PAGE = licences.PAGE.read_text("utf-8")
ROWS = dict(re.findall(r"^\| `([^`]+)` \|.* \| ([^|]+) \|$", PAGE, re.MULTILINE))


def test_every_dependency_has_a_row_with_a_licence() -> None:
    names = licences.dependencies()
    assert {"torch", "ray", "mkdocs", "ruff"} <= set(names)
    assert [name for name in names if ROWS.get(name, "unknown") == "unknown"] == []


def test_the_page_is_what_the_metadata_say() -> None:
    assert licences.page(PAGE) == PAGE, "run: python -m tools.licences"


def test_no_versions_are_pinned_in_the_page() -> None:
    packages = PAGE.partition("## Packages")[2].partition("## Works")[0]
    assert re.findall(r"[=<>]=|\| \d", packages) == []


def test_a_new_dependency_would_be_missed() -> None:
    assert licences.page("", ask=False).count("unknown") >= 1  # no extra with ray here


def test_every_data_file_of_the_package_has_a_row_and_is_in_the_notice() -> None:
    data = [
        path.relative_to(ROOT).as_posix()
        for ending in ("*.xz", "*.jsonl", "*.safetensors")
        for path in (ROOT / "src" / "dawgen").rglob(ending)
    ]
    assert len(data) >= 7
    held = [each.path for each in licences.HELD]
    assert [name for name in data if not name.startswith(tuple(held))] == []
    notice = " ".join((ROOT / "NOTICE").read_text("utf-8").split())
    for each in licences.HELD:
        assert (ROOT / each.path).exists()
        folder = each.path.rpartition("/")[0] if each.path.endswith(".xz") else each.path
        assert folder in notice
        for licence in each.licence.split("; "):
            long = {"Apache-2.0": "Apache License 2.0"}.get(licence, licence)
            words = long.replace("CC BY-SA 4.0", "Attribution-ShareAlike 4.0")
            assert long in notice or words in notice, f"{each.path}: {licence}"


def test_every_fetched_model_has_a_row() -> None:
    for known in KNOWN.values():
        if not known.is_packaged:
            assert known.licence in ROWS[known.name]


@pytest.mark.parametrize(
    ("expression", "classifiers", "text", "licence"),
    [
        ("MIT AND Zlib", [], "MIT", "MIT AND Zlib"),
        (None, ["License :: OSI Approved :: MIT License"], None, "MIT"),
        (None, [], "Apache 2.0 License", "Apache-2.0"),
        (None, ["License :: OSI Approved :: BSD License"], "Copyright (c) us\nAll rights", "BSD"),
        (None, [], None, "unknown"),
    ],
)
def test_a_licence_is_read_from_the_most_exact_entry(
    expression: str | None, classifiers: list[str], text: str | None, licence: str
) -> None:
    assert licences.licence_of(expression, classifiers, text) == licence


def test_the_version_is_the_same_everywhere() -> None:
    toml = (ROOT / "pyproject.toml").read_text("utf-8")
    (version,) = re.findall(r'^version = "([^"]+)"', toml, re.MULTILINE)
    citation = (ROOT / "CITATION.cff").read_text("utf-8")
    assert f"\nversion: {version}\n" in citation
    changes = (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert re.findall(r"^## (\S+)", changes, re.MULTILINE)[0] == version
    others = [
        path
        for path in Path(dawgen.__file__).parent.rglob("*.py")
        if f'"{version}"' in path.read_text("utf-8")
    ]
    assert others == []
