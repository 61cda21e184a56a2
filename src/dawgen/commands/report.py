"""`dawgen report`: the page of a run or a benchmark, or of several runs beside each other."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from dawgen.errors import UserError


def report(
    folders: Annotated[
        list[Path], typer.Argument(help="A run or benchmark folder, or several run folders.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Page of several runs. Default: comparison.html."),
    ] = None,
    show: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
) -> None:
    """Write a run's report again, or one page that compares several runs."""
    path = _write(folders, out)
    typer.echo(str(path))
    if show and not webbrowser.open(path.resolve().as_uri()):
        raise UserError(f"No browser could be started; open {path} by hand.")


def _write(folders: list[Path], out: Path | None) -> Path:
    from dawgen.report import write_bench_report, write_comparison, write_report
    from dawgen.storage.folder import RunFolder

    for folder in folders:
        if folder.is_dir():
            RunFolder(folder).refuse_links()
    if len(folders) > 1:
        return write_comparison(folders, out or folders[0].resolve().parent / "comparison.html")
    if out is not None:
        raise UserError("--out is for the page of several runs; a run's own is in its folder.")
    (folder,) = folders
    if (folder / "cells").is_dir():
        return write_bench_report(folder)
    if not any((folder / name).exists() for name in ("run.json", "generator", "prompt")):
        raise UserError(
            f"{folder} is no run folder: it has neither run.json nor what a stage has made."
        )
    return write_report(folder)
