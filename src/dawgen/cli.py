"""The command line: each command is a few lines over the library.

Exit codes: 0 done, 2 an error that the user can fix, 1 a bug, 130 or 143 stopped by Ctrl-C or
SIGTERM.
"""

from __future__ import annotations

import io
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated, Any

import typer

import dawgen
from dawgen.bench import commands as bench_commands
from dawgen.commands import (
    backbones,
    export,
    inspect,
    manners,
    plan,
    predict,
    prompt_for,
    report,
    run,
    scoring,
    serve,
    synthesize,
    tasks,
    tuning,
    validate,
)
from dawgen.commands.options import Config, Preset, Set, read_settings
from dawgen.errors import UserError, disk_trouble, explain_value
from dawgen.machine.limits import choose_threads
from dawgen.machine.offline import go_offline
from dawgen.storage.stopping import SENTENCE, Stopped, leave, stoppable
from dawgen.terminal.harmless import on_terminal, without_secrets
from dawgen.terminal.progress import NORMAL, is_verbose, set_loudness

app = manners.app(
    help="Turn 16 labelled examples per class into a synthetic dataset and a tuned prompt.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.command("settings")
def show_settings(over: Set = None, preset: Preset = None, config: Config = None) -> None:
    """Print all settings and their values, as YAML for --config."""
    from dawgen.settings.layers import dump_settings

    typer.echo(dump_settings(read_settings(preset, config, over)), nl=False)


for command in (
    run.run,
    tuning.fit_generator,
    tuning.tune,
    scoring.evaluate,
    validate.validate,
    predict.predict,
    report.report,
    export.export,
    export.push,
    serve.serve,
    synthesize.synthesize,
    synthesize.import_rows,
    prompt_for.prompt_for,
    plan.plan,
    bench_commands.bench,
    bench_commands.tables,
):
    app.command({"import_rows": "import"}.get(command.__name__))(command)
app.add_typer(tasks.tasks_app, name="tasks")
app.add_typer(inspect.inspect_app, name="inspect")
app.add_typer(backbones.backbones_app, name="backbones")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"dawgen {dawgen.__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    offline: Annotated[
        bool, typer.Option("--offline", help="Block network access by dawgen and its libraries.")
    ] = False,
) -> None:
    """Turn a few labelled examples into a synthetic dataset and a tuned prompt."""
    if offline:
        go_offline()


# What typer raises on wrong usage; it brings its own copy of click in some releases.
_UsageError: Any = typer.BadParameter.__base__
_INTERRUPTED, _TERMINATED = 130, 143


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; gives back the exit code."""
    set_loudness(NORMAL)
    try:
        with stoppable():
            code = app(args=arguments, standalone_mode=False)
    except UserError as error:
        if is_verbose():
            traceback.print_exception(error)
        _complain(str(error))
        return 2
    except Stopped as stop:
        code = stop.exit_code
    except typer.Exit as stop:
        code = stop.exit_code
    except _UsageError as error:
        error.message = on_terminal(without_secrets(_usage_message(error)))
        error.show()
        return 2
    except (typer.Abort, KeyboardInterrupt):
        code = _INTERRUPTED
    except BrokenPipeError:
        return 1
    except Exception as error:
        if (sentence := _machine_trouble(error)) is None:
            raise
        _complain(sentence)
        return 2
    if code in (_INTERRUPTED, _TERMINATED):  # typer may turn Ctrl-C into this code by itself
        typer.echo(SENTENCE, err=True)
    return code if isinstance(code, int) else 0


def _usage_message(error: Any) -> str:
    """What is wrong with the usage; a value that pydantic refuses is explained in our words."""
    from pydantic import ValidationError

    cause = error.__cause__
    return explain_value(cause) if isinstance(cause, ValidationError) else str(error.message)


def _machine_trouble(error: Exception) -> str | None:
    """The sentence for a full disk or memory; None for anything else, which is our fault."""
    sentence = disk_trouble(error)
    if sentence is not None or isinstance(error, OSError):
        return sentence
    from dawgen.backbone.memory import memory_trouble  # torch takes a second to import

    return memory_trouble(error)


def _complain(sentence: str) -> None:
    """One line on standard error; names from files and the hub in it cannot move the terminal."""
    typer.echo(f"dawgen: {on_terminal(without_secrets(sentence))}", err=True)


def _write_any_text() -> None:
    """Let no character end a command, whatever the locale.

    Files and pipes get UTF-8, unless PYTHONIOENCODING names another; what a terminal's encoding
    does not have is written as an escape.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            as_is = stream.isatty() or "PYTHONIOENCODING" in os.environ
            encoding = stream.encoding if as_is else "utf-8"
            stream.reconfigure(encoding=encoding, errors="backslashreplace")


def entry() -> None:
    """What the installed ``dawgen`` command calls."""
    _write_any_text()
    choose_threads()
    code = main()
    if code in (_INTERRUPTED, _TERMINATED):
        sys.stdout.flush()
        sys.stderr.flush()
        leave(code)
    sys.exit(code)


if __name__ == "__main__":
    entry()
