"""Write the pages that come from the code and the results: settings, commands, tables.

python -m tools.make_docs            # writes docs/settings.md, commands.md, results.md, a picture,
                                     # and a table of the README
python -m tools.make_docs --check    # says what has drifted, writes nothing
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main
from pydantic import BaseModel

from dawgen.cli import app
from dawgen.commands.manners import SHARED
from dawgen.settings import Settings
from dawgen.settings.layers import preset_names
from tools.expect_page import expect_table
from tools.expect_picture import picture
from tools.results_page import results_page

DOCS = Path(__file__).resolve().parents[1] / "docs"
README = DOCS.parent / "README.md"
_BEGIN, _END = "<!-- made by tools.make_docs: expect -->\n", "\n<!-- end -->"


def pages() -> dict[str, str]:
    """The generated pages by name."""
    return {
        "settings.md": settings_page(),
        "commands.md": commands_page(),
        "results.md": results_page(),
        "images/expect.svg": picture(),
        "../README.md": _readme(),
    }


def _readme() -> str:
    """The README with the table of what to expect as the cells say."""
    before, _, rest = README.read_text("utf-8").partition(_BEGIN)
    _, _, after = rest.partition(_END)
    table = "\n".join(expect_table(deviations=False))
    return f"{before}{_BEGIN}{table}{_END}{after}"


# --- settings --------------------------------------------------------------------------


def settings_page() -> str:
    """Every setting: its name, its default, what it does."""
    head = f"""# Settings

*Generated from `src/dawgen/settings/tree.py` by `python -m tools.make_docs`.*

Settings come from these layers; later ones override earlier ones:

1. the defaults below,
2. the `decoding` section of the task card,
3. a preset ({", ".join(f"`{name}`" for name in preset_names())}),
4. `--config settings.yaml`,
5. `-s name=value`.

`dawgen settings` prints the resulting values. A default is published if its text names the source;
the others are ours.

A list or a mapping is one value, so a later one replaces an earlier one. A dotted name changes one
entry: `-s synthesis.first_sentences.captions=0.5`. With `-s`, a setting of type text takes the
whole value (`-s tracking.project=123`), without outer quotes. Other values are read as YAML without
comments.
"""
    return "\n".join([head, *_section(Settings, "", "The whole")])


def _section(model: type[BaseModel], prefix: str, title: str) -> Iterator[str]:
    yield f"## {title}\n"
    if prefix and model.__doc__:
        yield _plain(model.__doc__) + "\n"
    yield "| setting | default | what it does |\n| --- | --- | --- |"
    inner = []
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            inner.append((kind, f"{prefix}{name}."))
            continue
        what = _plain(field.description or "")
        yield f"| `{prefix}{name}` | `{_value(field.default)}` | {what} |"
    yield ""
    for kind, place in inner:
        yield from _section(kind, place, f"`{place.rstrip('.')}`")


def _value(value: Any) -> str:
    if value is None:
        return "none"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _plain(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


# --- commands --------------------------------------------------------------------------


def commands_page() -> str:
    """Every command: what it does, its arguments and options."""
    head = """# Command line

*Generated from the commands by `python -m tools.make_docs`. `dawgen COMMAND -h` prints the same.*

Every command also has `-q` (`--quiet`: results, warnings and errors only), `-v` (`--verbose`:
more) and `-h` (`--help`). `dawgen --install-completion` sets up completion for your shell.

| exit code | meaning |
| --- | --- |
| 0 | done |
| 1 | a bug in dawgen |
| 2 | an error that you can fix; the message says how |
| 130, 143 | stopped by Ctrl-C or SIGTERM |
"""
    return "\n".join([head, *_commands(typer.main.get_command(app), ("dawgen",))])


def _commands(command: Any, path: tuple[str, ...]) -> Iterator[str]:
    subs = getattr(command, "commands", {})
    if len(path) > 1 and (not subs or command.invoke_without_command):
        yield from _command(command, path)
    for name in sorted(subs):
        yield from _commands(subs[name], (*path, name))


def _command(command: Any, path: tuple[str, ...]) -> Iterator[str]:
    parts = [_argument(p) for p in command.params if p.param_type_name == "argument"]
    yield f"## {' '.join(path)}\n"
    yield f"```text\n{' '.join([*path, *parts])} [OPTIONS]\n```\n"
    yield _plain(command.help) + "\n"
    own = [parameter for parameter in command.params if parameter.name not in SHARED]
    if own:
        yield "| | |\n| --- | --- |"
    for parameter in own:
        yield f"| {_names(parameter)} | {_plain(parameter.help)}{_default(parameter)} |"
    yield ""


def _argument(parameter: Any) -> str:
    name = str(parameter.metavar or parameter.name).upper()
    return f"{name}..." if parameter.nargs == -1 else name


def _names(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return f"`{_argument(parameter)}`"
    value = "" if parameter.is_flag else f" {parameter.metavar}".replace("|", "\\|")
    return ", ".join(f"`{name}{value}`" for name in parameter.opts)


def _default(parameter: Any) -> str:
    default = parameter.default
    shown = isinstance(default, str | int | float | Path) and not isinstance(default, bool)
    return f" Default: `{default}`." if shown and parameter.param_type_name == "option" else ""


def main(arguments: list[str] | None = None) -> int:
    """Write the pages, or with ``--check`` only compare them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args(arguments).check
    drifted = []
    for name, text in pages().items():
        path = DOCS / name
        if not path.is_file() or path.read_text("utf-8") != text:
            drifted.append(name)
            if not check:
                path.write_text(text, "utf-8")
    for name in drifted:
        print(f"docs/{name} {'has drifted' if check else 'written'}")
    return 1 if check and drifted else 0


if __name__ == "__main__":
    sys.exit(main())
