"""What is written about the command line and the library is true of them."""

from __future__ import annotations

import ast
import inspect
import pydoc
import re
import shlex
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import typer.main

import dawgen
from dawgen.cli import app
from tests.invariants.jobs import dawgen as call

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
GROUP = typer.main.get_command(app)


def blocks(language: str) -> list[tuple[str, str]]:
    """(page, text) of every fenced block of a language in the README and the docs."""
    fence = re.compile(rf"^( *)```{language}\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
    return [
        (page.name, "\n".join(line.removeprefix(indent) for line in text.splitlines()))
        for page in PAGES
        for indent, text in fence.findall(page.read_text("utf-8"))
    ]


COMMANDS = [
    (page, line)
    for page, text in blocks("sh")
    for line in text.splitlines()
    if re.match(r"(\.venv/bin/)?dawgen ", line)
]


def parse(command: Any, arguments: list[str], name: str) -> None:
    """Parse as the command line would, down to the last sub-command, and run nothing."""
    context = command.make_context(name, list(arguments))
    if hasattr(command, "commands"):
        rest = [*context._protected_args, *context.args]
        sub_name, sub, left = command.resolve_command(context, rest)
        parse(sub, left, sub_name)


def test_there_are_commands_to_check() -> None:
    assert len(COMMANDS) >= 15
    assert {page for page, _ in COMMANDS} >= {"README.md", "quickstart.md", "howto.md"}


@pytest.mark.parametrize(("page", "line"), COMMANDS)
def test_a_written_command_parses(page: str, line: str) -> None:
    arguments = shlex.split(line, comments=True)[1:]
    if arguments == ["--help"]:
        assert call("--help").code == 0
    else:
        parse(GROUP, arguments, "dawgen")


def test_a_wrong_command_would_not_parse() -> None:
    with pytest.raises(Exception, match="--nonsense"):
        parse(GROUP, ["run", "demo", "--nonsense"], "dawgen")


@pytest.mark.parametrize(("page", "text"), blocks("python"))
def test_written_python_uses_names_that_exist(page: str, text: str) -> None:
    used = {
        node.attr
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "dawgen"
    }
    assert used <= set(dawgen.__all__)


def test_every_exported_name_is_there() -> None:
    for name in dawgen.__all__:
        assert getattr(dawgen, name) is not None


def test_every_function_that_the_method_page_names_exists() -> None:
    names = re.findall(r"`(dawgen\.[\w.]+)`", (ROOT / "docs" / "method.md").read_text("utf-8"))
    assert len(names) >= 8
    for name in names:
        module, _, function = name.rpartition(".")
        assert callable(getattr(import_module(module), function)), name


def test_every_name_of_the_python_page_is_documented() -> None:
    names = re.findall(r"^::: (.+)$", (ROOT / "docs" / "api.md").read_text("utf-8"), re.MULTILINE)
    assert len(names) >= 15
    for name in names:
        assert pydoc.locate(name) is not None, name
        assert inspect.getdoc(pydoc.locate(name)), name


def test_links_between_the_pages_lead_somewhere() -> None:
    for page in [*PAGES, ROOT / "CONTRIBUTING.md"]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text("utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def commands(group: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The path of every command and sub-command."""
    found = [path]
    for name, command in getattr(group, "commands", {}).items():
        found += commands(command, (*path, name))
    return found


@pytest.mark.parametrize("path", commands(GROUP))
def test_help_explains_the_command_and_every_option(path: tuple[str, ...]) -> None:
    outcome = call(*path, "--help")
    assert outcome.code == 0
    assert "Usage:" in outcome.out
    command: Any = GROUP
    for name in path:
        command = command.commands[name]
    assert command.help
    for parameter in command.params:
        assert getattr(parameter, "help", None), f"{' '.join(path)}: {parameter.name}"


def test_version() -> None:
    assert call("--version").out == f"dawgen {dawgen.__version__}\n"


def test_importing_dawgen_is_quick_and_loads_no_torch() -> None:
    program = (
        "import sys, time; start = time.perf_counter(); import dawgen;"
        "print(time.perf_counter() - start);"
        "print(sorted({'torch', 'transformers', 'datasets', 'peft'} & set(sys.modules)))"
    )
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    seconds, loaded = found.stdout.splitlines()
    assert loaded == "[]"
    assert float(seconds) < 1
