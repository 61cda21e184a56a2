"""The command line: each command is a few lines over the library.

Exit codes: 0 done, 2 an error that the user can fix, 1 a bug, 130 or 143 stopped by Ctrl-C or
SIGTERM.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

import dawgen
from dawgen.bench import commands as bench_commands
from dawgen.commands import backbones, export, inspect, plan, predict, report, synthesize
from dawgen.commands.options import (
    Config,
    Dev,
    MaxHours,
    MaxKwh,
    Out,
    Preset,
    Set,
    Task,
    Test,
    Train,
    open_stage,
    read_settings,
)
from dawgen.errors import UserError, disk_trouble
from dawgen.machine.limits import choose_threads
from dawgen.machine.offline import go_offline
from dawgen.storage.stopping import SENTENCE, Stopped, leave, stoppable
from dawgen.terminal.harmless import in_shell, on_terminal, without_secrets

app = typer.Typer(
    help="Turn 16 labelled examples per class into a synthetic dataset and a tuned prompt.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
tasks_app = typer.Typer(help="List the built-in tasks, or write a task card for your own data.")
app.add_typer(tasks_app, name="tasks")


@app.command()
def run(
    task: Task,
    train: Train = None,
    dev: Dev = None,
    test: Test = None,
    out: Out = Path("runs/latest"),
    over: Set = None,
    preset: Preset = None,
    config: Config = None,
    max_hours: MaxHours = None,
    max_kwh: MaxKwh = None,
) -> None:
    """Run all stages: generator, synthetic rows, tuned prompt, scores and report."""
    from dawgen.pipeline import run as pipeline
    from dawgen.pipeline.limits import Limits
    from dawgen.pipeline.summary import summary
    from dawgen.settings.layers import build_settings
    from dawgen.terminal import screen

    settings, used = build_settings(preset=preset, file=config, overrides=over or [])
    result = pipeline.run(
        task,
        train=train,
        dev=dev,
        test=test,
        out=out,
        settings=settings,
        preset=used,
        command=["dawgen", *sys.argv[1:]],
        limits=Limits(max_hours, max_kwh),
    )
    screen.show(summary(result.folder, screen.width()))


@app.command("fit-generator")
def fit_generator(
    task: Task,
    train: Train = None,
    dev: Dev = None,
    out: Out = Path("runs/latest"),
    over: Set = None,
    preset: Preset = None,
    config: Config = None,
) -> None:
    """Tune one soft prompt per label on the few shots, and write OUT/generator."""
    from dawgen.pipeline import stages
    from dawgen.pipeline.stage import held, make

    settings = read_settings(preset, config, over)
    context = open_stage(task, settings, out, train=train, dev=dev)
    with held(context.folder):
        make(stages.generator(context, settings.generator, settings.synthesis), context)
    typer.echo(f"Label prompts: {out / 'generator'}")


@app.command()
def tune(
    task: Task,
    train: Train = None,
    dev: Dev = None,
    synthetic: Annotated[
        str | None,
        typer.Option(help="Folder or file of synthetic rows. Default: real rows alone."),
    ] = None,
    out: Out = Path("runs/latest"),
    over: Set = None,
    preset: Preset = None,
    config: Config = None,
) -> None:
    """Tune the task's soft prompt on real and synthetic rows; fills OUT/prompt, OUT/baseline."""
    from dawgen.pipeline import stages
    from dawgen.pipeline.reader import chosen_rows, reader_of
    from dawgen.pipeline.stage import held, make
    from dawgen.settings.choosing import ChoosingSettings
    from dawgen.synthesis import load_synthetic
    from dawgen.terminal.progress import say

    settings = read_settings(preset, config, over)
    context = open_stage(task, settings, out, train=train, dev=dev)
    rows = load_synthetic(Path(synthetic), context.job.card) if synthetic else []
    if not rows:
        say("no synthetic rows were named, so the prompt is tuned on the real rows alone.")
        real = settings.tuning.model_copy(update={"combine": "real"})
        all_rows = settings.synthesis.model_copy(update={"choose": ChoosingSettings()})
        settings = settings.model_copy(update={"tuning": real, "synthesis": all_rows})
    arms = stages.arms_of(settings)
    with held(context.folder):
        if stages.BASELINE in arms:
            say("first a prompt on the few shots alone")
            alone = stages.baseline(context, settings.tuning, arms[stages.BASELINE])
            make(alone, context)
        if synthetic and settings.synthesis.chooses:
            reader, card = reader_of(context, settings), context.job.card
            rows = chosen_rows(reader, card, settings.synthesis, rows, Path(synthetic))
        make(stages.tuning(context, settings, lambda: rows), context)
    typer.echo(f"Prompt: {out / 'prompt'}")


@app.command()
def evaluate(
    task: Task,
    train: Train = None,
    dev: Dev = None,
    test: Test = None,
    prompt: Annotated[
        Path | None, typer.Option(help="Folder of a tuned prompt, or a run folder.")
    ] = None,
    method: Annotated[
        str | None, typer.Option(help="Method to run and score, such as zero-shot.")
    ] = None,
    source: Annotated[str | None, typer.Option(help="Source task for transfer methods.")] = None,
    source_rows: Annotated[
        str | None, typer.Option(help="Labelled rows of the source task.")
    ] = None,
    unlabelled: Annotated[
        str | None, typer.Option(help="Rows whose labels are not read; for optima.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for scores and predictions.")] = Path(
        "runs/evaluation"
    ),
    over: Set = None,
    preset: Preset = None,
    config: Config = None,
) -> None:
    """Score a tuned prompt, or run and score a method that dawgen is compared with."""
    from dawgen.commands.evaluate import score_method, score_prompt

    settings = read_settings(preset, config, over)
    if (prompt is None) == (method is None):
        raise UserError(
            "Name what to score: a tuned prompt with --prompt, or a method with --method."
        )
    if prompt is not None:
        scores = score_prompt(task, test, prompt, settings, out)
    else:
        files = {"train": train, "dev": dev, "test": test, "unlabelled": unlabelled}
        sources = {"source": source, "source_rows": source_rows}
        scores = score_method(task, str(method), settings, out, **files, **sources)
    typer.echo(
        f"accuracy {100 * scores['accuracy']:.2f} % on {scores['n']:,} {scores['scored_on']}; "
        f"{out / 'scores.json'}"
    )


@app.command()
def validate(
    task: Task,
    data: Annotated[str | None, typer.Option(help="File of rows to show.")] = None,
    over: Set = None,
    preset: Preset = None,
    config: Config = None,
) -> None:
    """Show real rows in a card's template, with its label words, as the model reads them."""
    from dawgen.backbone import load_backbone
    from dawgen.backbone.choose_frame import frame_for
    from dawgen.tasks import example_rows, load_card, render_card, render_generator

    card = load_card(task)
    rows = example_rows(card, data)
    settings = read_settings(preset, config, over)
    backbone = load_backbone(settings.backbone)
    words = backbone.label_word_ids(card)
    for line in render_card(card, rows, causal=not backbone.is_encoder_decoder):
        typer.echo(on_terminal(line))
    frame = frame_for(card, backbone, settings.generator.frame)
    if frame and rows:
        reads = frame.reads(rows[0].text1 if card.is_pair else "")
        for line in render_generator(rows[0], reads, backbone.end_name(frame)):
            typer.echo(on_terminal(line))
    tokens = backbone.encode_rows(card, rows, settings.tuning.prompt_length)
    typer.echo("")
    typer.echo(
        f"{backbone.name}: inputs of {', '.join(str(len(row)) for row in tokens)} tokens behind "
        f"a prompt of {settings.tuning.prompt_length}; label words of "
        f"{', '.join(str(len(word)) for word in words)} token(s)."
    )


@app.command("settings")
def show_settings(over: Set = None, preset: Preset = None, config: Config = None) -> None:
    """Print all settings and their values, as YAML for --config."""
    from dawgen.settings.layers import dump_settings

    typer.echo(dump_settings(read_settings(preset, config, over)), nl=False)


@tasks_app.callback(invoke_without_command=True)
def list_tasks(context: typer.Context) -> None:
    """List the built-in tasks."""
    if context.invoked_subcommand:
        return
    from dawgen.tasks import list_cards

    for card in list_cards():
        shape = "pair" if card.is_pair else "text"
        typer.echo(f"{card.name:6} {shape}  {len(card.labels)} labels  {card.description}")


@tasks_app.command("new")
def new_task(
    data: Annotated[str, typer.Argument(help="Data file with a header row.")],
    out: Annotated[Path | None, typer.Option(help="Path of the card. Default: NAME.yaml.")] = None,
) -> None:
    """Write a task card for a data file, and print the guesses in it."""
    from dawgen.storage.atomic import write_text
    from dawgen.storage.locking import locked_target
    from dawgen.tasks import new_card

    card = new_card(data)
    target = out or Path(f"{Path(data).stem}.yaml")
    with locked_target(target):
        if os.path.lexists(target):
            raise UserError(f"{target} exists already; name another file with --out.")
        write_text(target, card.text)
    for guess in card.guesses:
        typer.echo(on_terminal(guess))
    named = f"{in_shell(target)} --data {in_shell(data)}"
    typer.echo(f"Card: {target}. Check it, then: dawgen validate {named}")


for command in (
    predict.predict,
    report.report,
    export.export,
    export.push,
    synthesize.synthesize,
    plan.plan,
    bench_commands.bench,
    bench_commands.tables,
):
    app.command()(command)
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
    try:
        with stoppable():
            code = app(args=arguments, standalone_mode=False)
    except UserError as error:
        _complain(str(error))
        return 2
    except Stopped as stop:
        code = stop.exit_code
    except typer.Exit as stop:
        code = stop.exit_code
    except _UsageError as error:
        error.message = on_terminal(without_secrets(error.message))
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
