"""What all commands share: -h, -q, -v, plain names of values, and help in groups."""

from __future__ import annotations

import logging
from typing import Annotated, Any, Literal, get_args, get_origin

from typer import CallbackParam, Option, Typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from dawgen.commands.standard_input import read_standard_input
from dawgen.terminal import progress

GROUPS = {
    "Everyday": (
        "run",
        "predict",
        "report",
        "validate",
        "tasks",
        "backbones",
        "export",
        "serve",
        "push",
    ),
    "Data": ("synthesize", "import", "prompt-for"),
    "Research": (
        *("fit-generator", "tune", "evaluate", "bench", "tables", "plan", "inspect", "settings"),
    ),
}
"""Sections of `dawgen --help`, and the commands in their order."""
SHARED = ("quiet", "verbose")
"""Options that every command has."""

_FILES = {"train", "dev", "test", "config", "data", "rows", "unlabelled", "source_rows"}
_FOLDERS = {"folder", "folders", "out", "generator", "classifier", "prompt"}


def app(**settings: Any) -> Typer:
    """A Typer whose commands have our manners."""
    return _App(
        cls=Group,
        context_settings={"help_option_names": ["-h", "--help"]},
        rich_markup_mode=None,
        **settings,
    )


class Command(TyperCommand):
    """A command with -q and -v, whose values have plain names, and ``-`` for standard input."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.params = [*map(_named, self.params), *_loudness_options()]

    def invoke(self, ctx: Any) -> Any:
        """Run the command, with the rows of standard input where an option is ``-``."""
        options = [each.name for each in self.params if each.param_type_name == "option"]
        with read_standard_input(ctx.params, options):
            return super().invoke(ctx)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Without the braces in which typer puts arguments."""
        found: list[str] = super().collect_usage_pieces(ctx)
        return [piece.replace("{", "").replace("}", "") for piece in found]


class Group(TyperGroup):
    """A group of commands, listed under the headings of ``GROUPS``."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.params = [*map(_named, self.params), *_loudness_options()]

    def list_commands(self, ctx: Any) -> list[str]:
        """The names in the order of the help."""
        order = [name for names in GROUPS.values() for name in names]
        return sorted(self.commands, key=lambda n: order.index(n) if n in order else -1)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write each section with its commands."""
        left = dict.fromkeys(self.list_commands(ctx))
        width = max(map(len, left), default=0)
        for title, names in (*GROUPS.items(), ("Commands", tuple(left))):
            rows = []
            for name in names:
                if name in left and (ctx.parent is None or title == "Commands"):
                    del left[name]
                    first = (self.commands[name].help or "").partition(". ")[0].rstrip(".")
                    rows.append((name.ljust(width), f"{first}."))
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)


class _App(Typer):
    def command(self, name: str | None = None, **settings: Any) -> Any:
        """As Typer's, with :class:`Command`."""
        return super().command(name, **{"cls": Command} | settings)


def _choose(parameter: CallbackParam, value: bool) -> None:
    if value:
        progress.set_loudness(str(parameter.name))
    if value and parameter.name == "verbose":
        logging.basicConfig(level=logging.INFO)


def _shared(
    quiet: Annotated[
        bool,
        Option(
            "--quiet",
            "-q",
            callback=_choose,
            expose_value=False,
            is_eager=True,
            help="Print results, warnings and errors only.",
        ),
    ] = False,
    verbose: Annotated[
        bool,
        Option(
            "--verbose",
            "-v",
            callback=_choose,
            expose_value=False,
            is_eager=True,
            help="Print more: where an error was raised, and what libraries log.",
        ),
    ] = False,
) -> None:
    """The options that every command has."""


def _loudness_options() -> list[Any]:
    one = Typer(add_completion=False)
    one.command()(_shared)
    return list(get_command(one).params)


def _named(parameter: Any) -> Any:
    """The parameter with a plain name for its value, where it has none."""
    if parameter.metavar is None and not getattr(parameter, "is_flag", False):
        parameter.metavar = _kind(parameter)
    if parameter.param_type_name == "argument":
        parameter.display_type_rich = _no_type
    return parameter


def _no_type(ctx: Any) -> None:
    """An argument's name says what it is."""


def _kind(parameter: Any) -> str:
    name = str(parameter.name)
    kind = parameter.type_descriptor.annotation
    if get_origin(kind) is Literal:
        return "|".join(get_args(kind))
    if kind in (int, float):
        return "N"
    if name in _FILES:
        return "FILE"
    if name in _FOLDERS:
        return "DIR"
    return name.upper().replace("_", "-")
